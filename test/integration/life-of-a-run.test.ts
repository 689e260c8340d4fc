import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeSnapshot } from '../../daemon/code/snapshot.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { logRead, metricsQuery } from '../../protocol/messages/metrics.ts';
import {
  runCheckpoint,
  runFork,
  runPause,
  runPreflight,
  runRemove,
  runResume,
  runStop,
} from '../../protocol/messages/run.ts';
import { untilCheckpoints } from '../support/commands.ts';
import {
  kill,
  makeFixture,
  openProject,
  SMALL_JOB,
  sessionDirectory,
  shellEnvironment,
  show,
  startHeld,
  startSmall,
  trainerPid,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { shareFixture } from '../support/shared-fixture.ts';

const shared = shareFixture();

test('a run that is killed resumes to the same bits, and the steps done twice prove it', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const whole = await startSmall(client, fixture);
  await untilStatus(client, fixture, whole.id, 'completed');

  // No checkpoint is of step 10: some steps are done twice.
  const { run: killed, release } = await startHeld(client, fixture, 10);
  await untilCheckpoints(client, fixture, killed.id, 1);
  kill(await trainerPid(fixture, killed), 'SIGKILL');
  release();
  const lost = await untilStatus(client, fixture, killed.id, 'lost');
  expect(lost.reason).toMatch(/without an exit record.*newest checkpoint is at step \d+/);

  const resumed = await client.request(runResume, {
    root: fixture.root,
    environment: shellEnvironment(),
    accept: false,
  });
  expect(resumed.id).toBe(killed.id);
  const done = await untilStatus(client, fixture, killed.id, 'completed');
  expect(done.sessions).toBe(2);

  const first = (await show(client, fixture, whole.id)).checkpoints.at(-1)!;
  const { run, checkpoints } = await show(client, fixture, killed.id);
  expect(checkpoints.at(-1)!.stateDigest).toBe(first.stateDigest);
  expect(run.notices).toContainEqual(expect.objectContaining({ code: 'verified', equalSteps: expect.any(Number) }));
  const proven = checkpoints.find(({ grade }) => grade === 'verified');
  expect(proven?.proof).toMatchObject({ kind: 'overlap', verdict: 'equal' });
  expect(proven!.proof!.steps).toBeGreaterThan(0);
});

test('pause saves at the next step, and the curve after the resume has every step once', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 6);
  await client.request(runPause, { root: fixture.root, run: run.id });
  const paused = await untilStatus(client, fixture, run.id, 'paused');
  expect(paused.lastCheckpoint?.step).toBe(paused.step);

  await client.request(runResume, {
    root: fixture.root,
    run: run.id,
    environment: shellEnvironment(),
    accept: false,
  });
  await untilStatus(client, fixture, run.id, 'completed');
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id, names: ['loss'] });
  expect(series[0]!.steps).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
});

test('after a resume from an earlier step the steps done before are hidden, not doubled', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 15 });
  await untilStatus(client, fixture, run.id, 'completed');
  // A slow disk skips due checkpoints, so the test takes one that exists.
  const { step } = (await show(client, fixture, run.id)).checkpoints.find((checkpoint) => checkpoint.step >= 6)!;
  await client.request(runResume, {
    root: fixture.root,
    run: run.id,
    from: String(step),
    set: { learningRate: 0.5 },
    environment: shellEnvironment(),
    accept: true,
  });
  await untilStatus(client, fixture, run.id, 'completed');
  const { series } = await client.request(metricsQuery, {
    root: fixture.root,
    run: run.id,
    names: ['loss', 'learning_rate'],
  });
  expect(series[0]!.steps).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
  // The checkpoint's own step was trained with the old rate, the next one with the new one.
  const rates = series[1]!.values as number[];
  expect(rates[step]! / rates[step - 1]!).toBeGreaterThan(20);
});

test('a run killed before its first checkpoint starts from the beginning, its curve once', async () => {
  const fixture = makeFixture({
    config: { jobs: { small: { ...SMALL_JOB, checkpoint: { every: '100 steps', best: false } } } },
  });
  const client = await openProject(fixture);
  const { run, release } = await startHeld(client, fixture, 4);
  kill(await trainerPid(fixture, run), 'SIGKILL');
  release();
  expect(await untilStatus(client, fixture, run.id, 'lost')).toMatchObject({
    reason: expect.stringContaining('no checkpoint yet'),
    draft: true,
  });
  await client.request(runResume, {
    root: fixture.root,
    run: run.id,
    environment: shellEnvironment(),
    accept: false,
  });
  await untilStatus(client, fixture, run.id, 'completed');
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id, names: ['loss'] });
  expect(series[0]!.steps).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
});

test('a fork starts with its parent’s curve and state, and never changes the parent', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const parent = await startSmall(client, fixture, { slow: 15 });
  await untilStatus(client, fixture, parent.id, 'completed');
  const before = (await show(client, fixture, parent.id)).checkpoints;
  const { step } = before.at(-2)!;
  const fork = await client.request(runFork, {
    root: fixture.root,
    run: parent.id,
    from: String(step),
    set: { learningRate: 0.1 },
    environment: shellEnvironment(),
    accept: false,
  });
  await untilStatus(client, fixture, fork.id, 'completed');
  expect((await show(client, fixture, parent.id)).checkpoints).toEqual(before);
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: fork.id, names: ['loss'] });
  expect(series[0]!.steps).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
  const own = await show(client, fixture, fork.id);
  expect(own.run).toMatchObject({
    parent: { run: parent.id, step },
    label: expect.stringContaining('learningRate 0.1'),
  });
  await expect(client.request(runRemove, { root: fixture.root, target: parent.id })).rejects.toMatchObject({
    code: 'protectedBy',
  });
});

test('a checkpoint on request is stored when the answer comes, and a tag keeps it', async () => {
  const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, keep: { last: 1 } } } } });
  const client = await openProject(fixture);
  const { run, release } = await startHeld(client, fixture, 2);
  const answer = client.request(runCheckpoint, { root: fixture.root, run: run.id, tag: 'mine' });
  await until('the request is there', () => existsSync(sessionDirectory(fixture, run).file('control')));
  release();
  const checkpoint = await answer;
  expect(checkpoint).toMatchObject({ tags: ['mine'], reasons: ['request'] });
  await untilStatus(client, fixture, run.id, 'completed');
  const kept = (await show(client, fixture, run.id)).checkpoints.map(({ id }) => id);
  expect(kept).toContain(checkpoint.id);
  await expect(client.request(runRemove, { root: fixture.root, target: checkpoint.id })).rejects.toMatchObject({
    code: 'protectedBy',
  });
});

test('stop saves; --force ends a trainer that hangs and keeps its checkpoints', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const { run: stopped } = await startHeld(client, fixture, 3);
  await client.request(runStop, { root: fixture.root, run: stopped.id });
  expect((await untilStatus(client, fixture, stopped.id, 'stopped')).lastCheckpoint).not.toBeNull();

  const { run: hanging } = await startHeld(client, fixture, 9);
  await untilCheckpoints(client, fixture, hanging.id, 1);
  kill(await trainerPid(fixture, hanging), 'SIGSTOP');
  const forced = await client.request(runStop, { root: fixture.root, run: hanging.id, force: true });
  expect(forced).toMatchObject({ status: 'stopped', reason: expect.stringContaining('killed by request') });
  expect(forced.lastCheckpoint!.step).toBeGreaterThanOrEqual(4);
});

test('verify replays to the next checkpoint and finds the same state', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 15 });
  await untilStatus(client, fixture, run.id, 'completed');
  // A slow disk skips due checkpoints, so the test takes those that exist.
  const [middle, next] = (await show(client, fixture, run.id)).checkpoints.slice(-2);
  const verified = await client.request(checkpointVerify, {
    root: fixture.root,
    checkpoint: middle!.id,
    environment: shellEnvironment(),
  });
  expect(verified).toMatchObject({
    checkpoint: { grade: 'verified' },
    proof: { kind: 'replay', verdict: 'equal', steps: next!.step - middle!.step },
  });
});

test('verify uses the code of the checkpoint, not the current one', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 15 });
  await untilStatus(client, fixture, run.id, 'completed');
  const file = join(fixture.root, 'small.ts');
  writeFileSync(file, readFileSync(file, 'utf8').replace('clipNorm: 1', 'clipNorm: 0.01'));
  const verified = await client.request(checkpointVerify, {
    root: fixture.root,
    checkpoint: (await show(client, fixture, run.id)).checkpoints.at(-2)!.id,
    environment: shellEnvironment(),
  });
  expect(verified.proof.verdict).toBe('equal');
});

test('a resume with changed code is refused until accepted, and names the file', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 5);
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');
  const file = join(fixture.root, 'small.ts');
  writeFileSync(file, readFileSync(file, 'utf8').replace('clipNorm: 1', 'clipNorm: 2'));
  const resume = { root: fixture.root, run: run.id, environment: shellEnvironment() };
  const error = await client.request(runResume, { ...resume, accept: false }).catch((caught) => caught);
  expect(error).toBeInstanceOf(TrainstashError);
  expect(error).toMatchObject({
    code: 'preflightDiffers',
    data: { differences: [{ kind: 'code', name: 'small.ts' }] },
  });
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');
  await client.request(runResume, { ...resume, accept: true });
  await untilStatus(client, fixture, run.id, 'completed');
});

test('data that differs from the checkpoint’s is refused before anything is loaded', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 5);
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');
  const resume = { root: fixture.root, run: run.id, environment: shellEnvironment(), set: { data: 2 } };
  await expect(client.request(runResume, { ...resume, accept: false })).rejects.toMatchObject({
    code: 'preflightDiffers',
    data: { differences: [{ kind: 'data' }] },
  });
  const after = (await show(client, fixture, run.id)).run;
  expect(after).toMatchObject({ status: 'paused', sessions: 1 });
});

test('a step without a checkpoint is an error, not another checkpoint whose id begins so', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 15 });
  await untilStatus(client, fixture, run.id, 'completed');
  for (const step of [0, 1, 2, 3, 5, 7, 9]) {
    const resume = { root: fixture.root, run: run.id, from: String(step), environment: shellEnvironment() };
    await expect(client.request(runPreflight, resume)).rejects.toMatchObject({ code: 'notFound' });
  }
});

test('snapshots requested at the same time are all taken', async () => {
  const fixture = makeFixture();
  const snapshots = await Promise.all([1, 2, 3].map(() => takeSnapshot(fixture.root, fixture.folder)));
  expect(new Set(snapshots.map((snapshot) => snapshot?.tree)).size).toBe(1);
  expect(snapshots[0]?.tree).toMatch(/^[0-9a-f]{40}$/);
});

test('queued runs start one after the other', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const { run: first, release } = await startHeld(client, fixture, 1);
  const second = await startSmall(client, fixture, {}, { queue: true });
  expect(second.status).toBe('queued');
  release();
  await untilStatus(client, fixture, second.id, 'completed');
  expect((await show(client, fixture, first.id)).run.status).toBe('completed');
});

test('a crash is restarted from the newest checkpoint as often as allowed', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const marker = join(fixture.folder, 'killed');
  const run = await startSmall(client, fixture, { slow: 20, killAt: 11, marker }, { restarts: 2 });
  const done = await until('the run has completed', async () => {
    const shown = (await show(client, fixture, run.id)).run;
    return shown.status === 'completed' && shown;
  });
  expect(done.sessions).toBe(2);
  expect(done.step).toBe(18);
});

test('metrics and the log of all sessions can be read', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture);
  await untilStatus(client, fixture, run.id, 'completed');
  expect(run.metrics).toBeDefined();
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id });
  expect(series.map(({ name }) => name).sort()).toEqual([
    'epoch_loss',
    'learning_rate',
    'loss',
    'val_accuracy',
    'val_loss',
  ]);
  const page = await client.request(logRead, { root: fixture.root, run: run.id, offset: 0 });
  expect(page.ended).toBe(true);
  expect(sessionDirectory(fixture, (await show(client, fixture, run.id)).run).exit()?.outcome).toBe('completed');
});

test('two resumes of one run at once start it once', async () => {
  const { fixture } = shared;
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 3);
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');
  const resume = { root: fixture.root, run: run.id, environment: shellEnvironment(), accept: false };
  const both = await Promise.allSettled([client.request(runResume, resume), client.request(runResume, resume)]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'wrongStatus' } });
  const done = await untilStatus(client, fixture, run.id, 'completed');
  expect(done.sessions).toBe(2);
});
