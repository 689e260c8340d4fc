/** The real npm packages tfjs-node and tfjs-node-gpu, under our copy of TensorFlow.js and on the TensorFlow that pip installs. */

import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BackendFinding } from '../../protocol/backends.ts';
import { runFork } from '../../protocol/messages/run.ts';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { backendBench } from '../support/backends.ts';
import { makeFixture, openProject, shellEnvironment, show, startSmall, untilStatus } from '../support/daemon.ts';
import { environmentsMade } from '../support/environments-made.ts';
import { installNative, type NativeName, nativeVariables } from '../support/native-package.ts';
import { hasTurn } from '../support/sample.ts';
import { WEBGPU_PACKAGE } from '../support/trainer.ts';

const GPU = softwareGpu(false);
await environmentsMade();
const NATIVE = nativeVariables();
if (!NATIVE) console.warn('TESTS OF TFJS-NODE ARE SKIPPED: its packages, or TensorFlow, are missing.');
// A person who uses these packages has the library's folder in the environment of every training.
Object.assign(process.env, NATIVE);
const ENVIRONMENT = { PATH: process.env.PATH ?? '', ...NATIVE };

async function findingOf(name: NativeName, how: Parameters<typeof installNative>[2] = {}): Promise<BackendFinding> {
  const { root, open } = backendBench(ENVIRONMENT);
  installNative(root, name, how);
  const findings = await open().survey(root, ENVIRONMENT, false);
  return findings.find(({ backend }) => backend === name)!;
}

describe.runIf(NATIVE)('a native package', () => {
  test('is used under our copy of TensorFlow.js, on the newest Node, and timed', async () => {
    const finding = await findingOf('tfjs-node');
    expect(finding).toMatchObject({ problem: null, missing: null });
    expect(finding.environment.library).toMatch(/^tfjs-node 4\.22\.0, TensorFlow 2\.\d+\.\d+$/);
    expect(finding.stepMs).toBeGreaterThan(0);
  });

  test('that finds no GPU is rejected with what a person can do', {
    skip: !hasTurn('a rejected package', 0, 3),
  }, async () => {
    const { problem } = await findingOf('tfjs-node-gpu');
    expect(problem).toMatch(/not on a GPU: it was built for CUDA 11\.2 with cuDNN 8\.1/);
  });

  test('whose library was not downloaded is rejected with what a person can do', {
    skip: !hasTurn('a rejected package', 1, 3),
  }, async () => {
    const { problem } = await findingOf('tfjs-node-gpu', { binding: false });
    expect(problem).toMatch(/library was not downloaded.*npm rebuild @tensorflow\/tfjs-node-gpu/);
  });

  test('that computes wrongly is rejected with what a person can do', {
    skip: !hasTurn('a rejected package', 2, 3),
  }, async () => {
    const { problem } = await findingOf('tfjs-node', { wrong: true });
    expect(problem).toMatch(/computes gradient of tanh wrongly|losses of a small training differ/);
  });
});

describe.runIf(NATIVE)('auto', () => {
  test('tries each available one once, takes the fastest, and remembers it beyond the daemon’s life', async () => {
    const { root, open, request, directory } = backendBench(ENVIRONMENT);
    const from = installNative(root, 'tfjs-node');
    const told: string[] = [];
    const tell = (text: string) => void told.push(text);
    await open().choose(request({ tell }));
    expect(told).toEqual([expect.stringContaining('once (tfjs-node, wasm)')]);
    // Which of the two is faster depends on the machine, so the verdict says it.
    const file = join(directory, 'verdicts.json');
    const record = (stepMs: number) => {
      const verdicts = JSON.parse(readFileSync(file, 'utf8')) as Record<string, BackendFinding>;
      for (const verdict of Object.values(verdicts)) if (verdict.backend === 'tfjs-node') verdict.stepMs = stepMs;
      writeFileSync(file, JSON.stringify(verdicts));
    };
    record(1e6);
    expect(await open().choose(request({ tell }))).toMatchObject({
      backend: 'wasm',
      reason: expect.stringMatching(/ms for a step.*tfjs-node takes/),
    });
    record(0.25);
    expect(await open().choose(request({ tell }))).toMatchObject({
      backend: 'tfjs-node',
      options: { from },
      reason: expect.stringMatching(/^0\.3 ms for a step of the trial; wasm takes/),
    });
    expect(told).toHaveLength(1);
    const again = await open().survey(root, ENVIRONMENT, true);
    expect(again.find(({ backend }) => backend === 'tfjs-node')!.stepMs).toBeGreaterThan(1);
  });

  test('keeps a checkpoint’s backend as long as it can be used, even if another is faster', {
    skip: !hasTurn('what auto keeps to', 0, 2),
  }, async () => {
    const { root, open, request } = backendBench(ENVIRONMENT);
    const from = installNative(root, 'tfjs-node');
    const asked = request({ checkpoint: { backend: 'tfjs-node' } });
    expect(await open().choose(asked)).toMatchObject({
      backend: 'tfjs-node',
      reason: 'the same as for the checkpoint',
    });
    rmSync(join(from, 'lib'), { recursive: true });
    expect(await open().choose(asked)).toMatchObject({
      backend: 'wasm',
      reason: expect.stringContaining('was not downloaded'),
    });
  });

  test('keeps to what the daemon’s environment allows', { skip: !hasTurn('what auto keeps to', 1, 2) }, async () => {
    const { root, open, request } = backendBench(ENVIRONMENT);
    const from = installNative(root, 'tfjs-node');
    const before = process.env.TRAINSTASH_BACKENDS;
    process.env.TRAINSTASH_BACKENDS = 'tfjs-node,cpu';
    try {
      expect(await open().choose(request())).toMatchObject({ backend: 'tfjs-node', options: { from } });
      process.env.TRAINSTASH_BACKENDS = 'webgpu';
      await expect(open().choose(request())).rejects.toMatchObject({ code: 'backendUnavailable' });
    } finally {
      process.env.TRAINSTASH_BACKENDS = before;
    }
  });
});

test.runIf(NATIVE)(
  'a run records its backend; a resume on another one asks first, and says that it continues from the first',
  async () => {
    const fixture = makeFixture();
    installNative(fixture.root, 'tfjs-node');
    const client = await openProject(fixture);
    const environment = { ...shellEnvironment(), ...NATIVE };
    const run = await startSmall(client, fixture, { epochs: 1 }, { backend: 'tfjs-node', environment });
    await untilStatus(client, fixture, run.id, 'completed');
    const { run: done, checkpoints } = await show(client, fixture, run.id);
    expect(done).toMatchObject({ backend: 'tfjs-node', backendReason: '' });
    const fork = {
      root: fixture.root,
      run: run.id,
      from: checkpoints[0]!.id,
      environment,
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
      expect.objectContaining({ code: 'continuesFrom', text: expect.stringContaining('of tfjs-node on wasm') }),
    );
    expect(continued.notices.map(({ code }) => code)).not.toContain('notReproduced');
  },
);

test.runIf(GPU && NATIVE)(
  'doctor tries the available backends, says which were rejected and why, and fits a terminal',
  async () => {
    const fixture = makeFixture({ env: { VK_DRIVER_FILES: GPU!.VK_DRIVER_FILES! } });
    installNative(fixture.root, 'tfjs-node-gpu');
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
