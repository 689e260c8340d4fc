/** Choice of a training's backend: found, tried in a process of its own, remembered, chosen. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type BackendRequest, Backends } from '../../daemon/backends/backends.ts';
import { plainNode } from '../../daemon/backends/runtime.ts';
import { WEBGPU_VERSION } from '../../protocol/backends.ts';
import { backendSurvey } from '../../protocol/messages/backend.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runFork, runStart } from '../../protocol/messages/run.ts';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { makeFixture, openProject, shellEnvironment, show, startSmall, untilStatus } from '../support/daemon.ts';
import { type NATIVE_FAULTS, writeNativePackage } from '../support/fake-native.ts';
import { temporaryFolder } from '../support/folder.ts';
import { DIST, WEBGPU_PACKAGE } from '../support/trainer.ts';

const GPU = softwareGpu(false);
const ENVIRONMENT = { PATH: process.env.PATH ?? '' };

function bench() {
  const root = temporaryFolder();
  const directory = join(temporaryFolder(), 'backends');
  const open = () => new Backends({ entry: join(DIST, 'probe.js'), build: 'test', directory });
  const request = (more: Partial<BackendRequest> = {}): BackendRequest => ({
    wanted: 'auto',
    root,
    environment: ENVIRONMENT,
    checkpoint: null,
    ...more,
  });
  return { root, directory, open, request };
}

async function findingOf(fault: keyof typeof NATIVE_FAULTS) {
  const { root, open } = bench();
  writeNativePackage(root, fault);
  const findings = await open().survey(root, ENVIRONMENT, false);
  return findings.find(({ backend }) => backend === 'tfjs-node-gpu')!;
}

describe('a native package that', () => {
  test('works is used under our copy of TensorFlow.js, on the newest Node, and timed', async () => {
    const finding = await findingOf('works');
    expect(finding).toMatchObject({ problem: null, missing: null, environment: { library: 'tfjs-node-gpu 4.22.0' } });
    expect(finding.stepMs).toBeGreaterThan(0);
  });

  for (const [fault, reason] of [
    ['noGpu', /not on a GPU: it was built for CUDA 11\.2 with cuDNN 8\.1/],
    ['notFetched', /library was not downloaded.*npm rebuild @tensorflow\/tfjs-node-gpu/],
    ['crashes', /was ended by SIGABRT \(CUDA error: out of memory\)|ended by SIGABRT/],
    ['registersNothing', /registered no backend/],
    ['wrong', /computes gradient of tanh wrongly|losses of a small training differ/],
  ] as const) {
    test(`is broken (${fault}) is rejected with what a person can do`, async () => {
      expect((await findingOf(fault)).problem).toMatch(reason);
    });
  }

  test('hangs is ended after its time', async () => {
    const { root } = bench();
    writeNativePackage(root, 'hangs');
    const { probe } = await import('../../daemon/backends/probe.ts');
    const from = join(root, 'node_modules/@tensorflow/tfjs-node-gpu');
    const reply = await probe(
      { backend: 'tfjs-node-gpu', threads: 1, from, version: '', missing: null },
      {
        node: process.execPath,
        entry: join(DIST, 'probe.js'),
        environment: ENVIRONMENT,
        identify: true,
        timeoutMs: 1_500,
      },
    );
    expect(reply).toEqual({ reason: 'it did not answer within 2 s' });
  });
});

describe('auto', () => {
  test('without any package is wasm at once, and says why', async () => {
    const { open, request, directory } = bench();
    expect(await open().choose(request())).toMatchObject({
      backend: 'wasm',
      options: { from: null },
      reason: 'no package of a GPU backend is installed',
    });
    expect(() => readFileSync(join(directory, 'verdicts.json'))).toThrow();
  });

  test('tries each available one once, takes the fastest, and remembers it beyond the daemon’s life', async () => {
    const { root, open, request, directory } = bench();
    const from = writeNativePackage(root, 'works');
    const told: string[] = [];
    const tell = (text: string) => void told.push(text);
    const chosen = await open().choose(request({ tell }));
    expect(told).toEqual([expect.stringContaining('once (tfjs-node-gpu, wasm)')]);
    // The fake is plain JavaScript, which is slower than wasm.
    expect(chosen).toMatchObject({
      backend: 'wasm',
      reason: expect.stringMatching(/ms for a step.*tfjs-node-gpu takes/),
    });
    const file = join(directory, 'verdicts.json');
    const verdicts = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { backend: string; stepMs: number }>;
    for (const verdict of Object.values(verdicts)) if (verdict.backend === 'tfjs-node-gpu') verdict.stepMs = 0.25;
    writeFileSync(file, JSON.stringify(verdicts));
    expect(await open().choose(request({ tell }))).toMatchObject({
      backend: 'tfjs-node-gpu',
      options: { from },
      reason: expect.stringMatching(/^0\.3 ms for a step of the trial; wasm takes/),
    });
    expect(told).toHaveLength(1);
    const again = await open().survey(root, ENVIRONMENT, true);
    expect(again.find(({ backend }) => backend === 'tfjs-node-gpu')!.stepMs).toBeGreaterThan(1);
  });

  test('keeps a checkpoint’s backend as long as it can be used, even if another is faster', async () => {
    const { root, open, request } = bench();
    writeNativePackage(root, 'works');
    const asked = request({ checkpoint: { backend: 'tfjs-node-gpu' } });
    expect(await open().choose(asked)).toMatchObject({
      backend: 'tfjs-node-gpu',
      reason: 'the same as for the checkpoint',
    });
    writeNativePackage(root, 'noGpu');
    expect(await open().choose(asked)).toMatchObject({ backend: 'wasm', reason: expect.stringContaining('CUDA 11.2') });
  });

  test('keeps to what the daemon’s environment allows', async () => {
    const { root, open, request } = bench();
    const from = writeNativePackage(root, 'works');
    const before = process.env.TRAINSTASH_BACKENDS;
    process.env.TRAINSTASH_BACKENDS = 'tfjs-node-gpu,cpu';
    try {
      expect(await open().choose(request())).toMatchObject({ backend: 'tfjs-node-gpu', options: { from } });
      process.env.TRAINSTASH_BACKENDS = 'webgpu';
      await expect(open().choose(request())).rejects.toMatchObject({ code: 'backendUnavailable' });
    } finally {
      process.env.TRAINSTASH_BACKENDS = before;
    }
  });

  test('an unknown name and an unavailable one are refused, with what to do', async () => {
    const { open, request } = bench();
    await expect(open().choose(request({ wanted: 'cuda' }))).rejects.toMatchObject({ code: 'paramInvalid' });
    await expect(open().choose(request({ wanted: 'webgpu' }))).rejects.toMatchObject({
      code: 'backendUnavailable',
      message: expect.stringContaining('trainstash gpu'),
    });
  });
});

test('a plain Node is looked for on PATH where VS Code’s own will not do: new enough, and no Electron', async () => {
  const [old, electron, right] = ['old', 'electron', 'right'].map((name) => join(temporaryFolder(), name));
  for (const [folder, version] of [
    [old!, '20.1.0'],
    [electron!, '0'],
  ]) {
    mkdirSync(folder!);
    writeFileSync(join(folder!, 'node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
  }
  mkdirSync(right!);
  symlinkSync(process.execPath, join(right!, 'node'));
  expect(await plainNode([old, electron, right].join(':'))).toBe(join(right!, 'node'));
  expect(await plainNode([old, electron].join(':'))).toBeNull();
});

test('a run records its backend; a resume on another one asks first, and says that it continues from the first', async () => {
  const fixture = makeFixture();
  writeNativePackage(fixture.root, 'works');
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { epochs: 1 }, { backend: 'tfjs-node-gpu' });
  await untilStatus(client, fixture, run.id, 'completed');
  const { run: done, checkpoints } = await show(client, fixture, run.id);
  expect(done).toMatchObject({ backend: 'tfjs-node-gpu', backendReason: '' });
  const fork = {
    root: fixture.root,
    run: run.id,
    from: checkpoints[0]!.id,
    environment: shellEnvironment(),
    backend: 'wasm',
  };
  await expect(client.request(runFork, { ...fork, accept: false })).rejects.toMatchObject({
    code: 'preflightDiffers',
    data: { differences: expect.arrayContaining([expect.objectContaining({ kind: 'backend', current: 'wasm' })]) },
  });
  const moved = await client.request(runFork, { ...fork, accept: true });
  await untilStatus(client, fixture, moved.id, 'completed');
  const { run: continued } = await show(client, fixture, moved.id);
  expect(continued).toMatchObject({ backend: 'wasm', status: 'completed' });
  expect(continued.notices).toContainEqual(
    expect.objectContaining({ code: 'continuesFrom', text: expect.stringContaining('of tfjs-node-gpu on wasm') }),
  );
  expect(continued.notices.map(({ code }) => code)).not.toContain('notReproduced');
});

test('the setting is for jobs that name no backend', async () => {
  const fixture = makeFixture({
    config: { jobs: { small: { module: 'small.ts', backend: 'cpu' }, free: { module: 'small.ts' } } },
  });
  const client = await openProject(fixture);
  const start = (job: string, more = {}) =>
    client.request(runStart, {
      root: fixture.root,
      job,
      params: { epochs: 1, model: 'transformer' },
      environment: shellEnvironment(),
      backendSetting: 'wasm',
      ...more,
    });
  expect((await start('small')).backend).toBe('cpu');
  expect((await start('free')).backend).toBe('wasm');
  expect((await start('small', { backend: 'wasm' })).backend).toBe('wasm');
});

test.skipIf(!GPU)(
  'doctor tries the available backends, says which were rejected and why, and fits a terminal',
  async () => {
    const fixture = makeFixture({ env: { VK_DRIVER_FILES: GPU!.VK_DRIVER_FILES! } });
    writeNativePackage(fixture.root, 'noGpu');
    symlinkSync(WEBGPU_PACKAGE, join(fixture.root, 'node_modules/webgpu'));
    const { stdout } = await fixture.cli('doctor', '--trust');
    expect(stdout).toMatch(/✘ webgpu +the only device is software/);
    expect(stdout).toMatch(/✘ tfjs-node-gpu +it runs, but not on a GPU/);
    expect(stdout).toMatch(/✔ wasm +[\d.]+ ms per step/);
    expect(stdout).toContain('`auto` takes wasm');
    expect(stdout).toContain('cuDNN 8.1');
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
    const { findings } = JSON.parse((await fixture.cli('doctor', '--json')).stdout) as {
      findings: { backend: string }[];
    };
    expect(findings.map(({ backend }) => backend)).toEqual(expect.arrayContaining(['webgpu', 'wasm', 'cpu']));
  },
);

test('what a project brings for a GPU is not loaded before somebody trusts it', async () => {
  const fixture = makeFixture();
  writeNativePackage(fixture.root, 'works');
  const client = await fixture.connect();
  await client.request(projectOpen, { root: fixture.root, trusted: false, create: true });
  const survey = client.request(backendSurvey, { root: fixture.root, environment: shellEnvironment() });
  await expect(survey).rejects.toMatchObject({ code: 'untrusted' });
});

test('what `trainstash gpu` fetches is the version that the tests train with', () => {
  const { version } = JSON.parse(readFileSync(join(WEBGPU_PACKAGE, 'package.json'), 'utf8')) as { version: string };
  expect(WEBGPU_VERSION).toBe(version);
});
