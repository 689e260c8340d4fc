/** Choice of a training's backend: found, tried in a process of its own, remembered, chosen. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { plainNode } from '../../daemon/backend-selection/runtime.ts';
import { WEBGPU_VERSION } from '../../protocol/backends.ts';
import { backendSurvey } from '../../protocol/messages/backend.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { backendBench } from '../support/backends.ts';
import { makeFixture, openProject, shellEnvironment } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { writeBroken } from '../support/native-package.ts';
import { DIST, WEBGPU_PACKAGE } from '../support/trainer.ts';

const ENVIRONMENT = { PATH: process.env.PATH ?? '' };

async function findingOf(fault: Parameters<typeof writeBroken>[1]) {
  const { root, open } = backendBench(ENVIRONMENT);
  writeBroken(root, fault);
  const findings = await open().survey(root, ENVIRONMENT, false);
  return findings.find(({ backend }) => backend === 'tfjs-node-gpu')!;
}

describe('a native package that', () => {
  for (const [fault, reason] of [
    ['crashes', /was ended by SIGABRT \(CUDA error: out of memory\)|ended by SIGABRT/],
    ['registersNothing', /registered no backend/],
  ] as const) {
    test(`is broken (${fault}) is rejected with what a person can do`, async () => {
      expect((await findingOf(fault)).problem).toMatch(reason);
    });
  }

  test('hangs is ended after its time', async () => {
    const { root } = backendBench(ENVIRONMENT);
    writeBroken(root, 'hangs');
    const { probe } = await import('../../daemon/backend-selection/probe.ts');
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
    const { open, request, directory } = backendBench(ENVIRONMENT);
    expect(await open().choose(request())).toMatchObject({
      backend: 'wasm',
      options: { from: null },
      reason: 'no package of a GPU backend is installed',
    });
    expect(() => readFileSync(join(directory, 'verdicts.json'))).toThrow();
  });

  test('an unknown name and an unavailable one are refused, with what to do', async () => {
    const { open, request } = backendBench(ENVIRONMENT);
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

test('what a project brings for a GPU is not loaded before somebody trusts it', async () => {
  const fixture = makeFixture();
  writeBroken(fixture.root, 'registersNothing');
  const client = await fixture.connect();
  await client.request(projectOpen, { root: fixture.root, trusted: false, create: true });
  const survey = client.request(backendSurvey, { root: fixture.root, environment: shellEnvironment() });
  await expect(survey).rejects.toMatchObject({ code: 'untrusted' });
});

test('what `trainstash gpu` fetches is the version that the tests train with', () => {
  const { version } = JSON.parse(readFileSync(join(WEBGPU_PACKAGE, 'package.json'), 'utf8')) as { version: string };
  expect(WEBGPU_VERSION).toBe(version);
});
