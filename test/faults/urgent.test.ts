/** GPUs, the queue for them, and urgent runs: first what goes wrong. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { queueChange, queueList } from '../../protocol/messages/queue.ts';
import { runPause, runResume, runStop } from '../../protocol/messages/run.ts';
import { start } from '../support/commands.ts';
import {
  type Fixture,
  kill,
  makeFixture,
  openProject,
  SMALL_JOB,
  shellEnvironment,
  show,
  startHeld,
  startSmall,
  untilStatus,
  untilStep,
} from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { type Gpus, makeGpus } from '../support/gpus.ts';
import { PYTHON } from '../support/python.ts';
import { gitIn } from '../support/repository.ts';
import { TRAINERS } from '../support/trainer.ts';

interface Machine extends Fixture {
  gpus: Gpus;
  journal: string;
}

function machine(indices: readonly number[] = [0, 1]): Machine {
  const gpus = makeGpus(join(temporaryFolder(), 'gpus'), indices);
  const fixture = makeFixture({ config: { jobs: {} }, env: gpus.env });
  for (const name of ['gpus.py', 'plain_gpu.py']) cpSync(join(TRAINERS, name), join(fixture.root, name));
  return { ...fixture, gpus, journal: join(fixture.folder, 'journal') };
}

const words = ({ journal }: Machine, name: string) => [PYTHON, 'plain_gpu.py', name, journal];
const end = ({ journal }: Machine, ...names: string[]) => {
  for (const name of names) writeFileSync(`${journal}.${name}`, '');
};
const noted = ({ journal }: Machine) =>
  existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [];
const begin = (client: Client, fixture: Machine, name: string, extra: object = {}): Promise<Run> =>
  start(client, fixture, words(fixture, name), { environment: fixture.env, ...extra });
const untilBegun = (fixture: Machine, name: string) =>
  until(`${name} has begun`, () => noted(fixture).find((line) => line.startsWith(`begin ${name} `)));

describe.skipIf(!PYTHON)('GPUs', () => {
  test('are given to one run each; a run for which none is free starts only from the queue, in its turn', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    await begin(client, fixture, 'a', { gpu: 1 });
    await begin(client, fixture, 'b', { gpu: [1] });
    expect([await untilBegun(fixture, 'a'), await untilBegun(fixture, 'b')]).toEqual(['begin a 0', 'begin b 1']);
    await expect(begin(client, fixture, 'c', { gpu: 1 })).rejects.toMatchObject({
      code: 'deviceTaken',
      message: expect.stringContaining('GPU 0 is held by plain_gpu #1'),
    });
    await expect(begin(client, fixture, 'c', { gpu: 3, queue: true })).rejects.toMatchObject({
      code: 'deviceTaken',
      data: { never: true },
    });
    const both = await begin(client, fixture, 'both', { gpu: 2, queue: true });
    const small = await begin(client, fixture, 'small', { gpu: 1, queue: true });
    const beside = await begin(client, fixture, 'beside', { gpu: 'shared' });
    const none = await begin(client, fixture, 'none', { gpu: 0, queue: true });
    expect([await untilBegun(fixture, 'beside'), await untilBegun(fixture, 'none')]).toEqual([
      'begin beside -',
      'begin none ',
    ]);
    end(fixture, 'a');
    // GPU 0 is kept for the run that needs both, or small ones would pass it forever.
    await until('it waits', async () => (await show(client, fixture, small.id)).run.reason.includes('kept for'));
    expect((await fixture.cli('queue')).stdout).toMatch(/#3 +plain_gpu #3 +2 GPUs +waits for 2 GPUs: GPU 1 is held by/);
    end(fixture, 'b', 'both', 'small', 'beside', 'none');
    for (const { id } of [both, small, beside, none]) await untilStatus(client, fixture, id, 'completed');
    const begun = noted(fixture).filter((line) => /begin (both|small)/.test(line));
    expect(begun).toEqual(['begin both 0,1', 'begin small 0']);
  });

  test('that others use, that have vanished, or of which nothing is known are waited for, and said', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const free = fixture.gpus.occupy(0, process.pid);
    const first = await begin(client, fixture, 'a', { gpu: [0], queue: true });
    const reason = async (run: Run) => (await show(client, fixture, run.id)).run.reason;
    await until('it waits', async () =>
      (await reason(first)).includes(`used by other programs (process ${process.pid})`),
    );
    const second = await begin(client, fixture, 'b', { gpu: [1] });
    await untilBegun(fixture, 'b');
    const third = await begin(client, fixture, 'c', { gpu: [1], queue: true });
    fixture.gpus.set([0]);
    end(fixture, 'b');
    await untilStatus(client, fixture, second.id, 'completed');
    await until('it is missed', async () => (await reason(third)).includes('nvidia-smi lists only GPU 0'));
    fixture.gpus.fail();
    await until('it is said', async () => (await reason(third)).includes('Driver/library version mismatch'));
    expect((await fixture.cli('queue')).stdout).toContain('! nvidia-smi fails: Failed to initialize NVML');
    fixture.gpus.set([0, 1]);
    free();
    end(fixture, 'a', 'c');
    for (const { id } of [first, third]) await untilStatus(client, fixture, id, 'completed');
    expect(noted(fixture)).toContain('begin c 1');
  });
});

describe.skipIf(!PYTHON)('the queue', () => {
  test('is reordered, paused and widened; a run waits for a time, and for another to complete', async () => {
    const fixture = machine([0]);
    const client = await openProject(fixture);
    const { root } = fixture;
    await begin(client, fixture, 'bad', { gpu: 1 });
    const [b, c, d] = [
      await begin(client, fixture, 'b', { gpu: 1, queue: true }),
      await begin(client, fixture, 'c', { gpu: 1, queue: true }),
      await begin(client, fixture, 'd', { gpu: 1, queue: true, priority: 5 }),
    ];
    const order = async () => (await client.request(queueList, { root })).queued.map(({ run }) => run.id);
    expect(await order()).toEqual([d.id, b.id, c.id]);
    expect((await fixture.cli('queue', String(c.number), '--first')).code).toBe(0);
    expect(await order()).toEqual([c.id, d.id, b.id]);
    await client.request(queueChange, { root, run: b.id, move: { before: d.id } });
    expect(await order()).toEqual([c.id, b.id, d.id]);
    await client.request(queueChange, { root, run: b.id, move: 'last' });
    expect(await order()).toEqual([c.id, d.id, b.id]);
    await client.request(queueChange, { root, run: c.id, after: b.id });
    await client.request(queueChange, { root, run: d.id, after: c.id });
    for (const change of [
      { run: b.id, move: { before: b.id } },
      { run: b.id, after: b.id },
      // They would wait for each other.
      { run: c.id, after: d.id },
      { run: b.id, after: d.id },
      { move: 'first' as const },
      { priority: 3 },
      { priority: 0 },
      { at: null },
      { after: null },
    ])
      await expect(client.request(queueChange, { root, ...change })).rejects.toMatchObject({ code: 'paramInvalid' });
    await expect(client.request(queueChange, { root, run: '1', paused: true })).rejects.toMatchObject({
      code: 'wrongStatus',
    });
    expect((await fixture.cli('queue', '--width', '0')).code).toBe(2);
    expect(await order()).toEqual([c.id, d.id, b.id]);
    for (const run of [c.id, d.id]) await client.request(queueChange, { root, run, after: null });

    // C comes after one that fails, D at another time, and B waits for a request.
    await client.request(queueChange, { root, run: c.id, after: '1' });
    await client.request(queueChange, { root, run: d.id, at: Date.now() + 3_600_000 });
    await client.request(queueChange, { root, run: b.id, paused: true });
    end(fixture, 'bad', 'b', 'c', 'd');
    await untilStatus(client, fixture, '1', 'failed');
    expect((await fixture.cli('resume', '1', '--after', '1', '--detach')).stderr).toContain('wait for itself');
    const waits = async (run: Run) => (await show(client, fixture, run.id)).run.reason;
    await until('c says why', async () => (await waits(c)).includes('which failed'));
    expect(await waits(d)).toContain('waits until');
    expect(await waits(b)).toContain(`\`trainstash queue ${b.number} --continue\``);
    // All of it survives the daemon.
    kill(fixture.daemonPid(), 'SIGKILL');
    await client.closed;
    const next = await openProject(fixture);
    await next.request(queueChange, { root, paused: true });
    for (const change of [
      { run: c.id, after: null },
      { run: d.id, at: null },
      { run: b.id, paused: false },
    ])
      await next.request(queueChange, { root, ...change });
    expect((await next.request(queueList, { root })).queued).toHaveLength(3);
    expect((await fixture.cli('queue')).stdout).toContain('The queue is paused');
    writeFileSync(join(fixture.gpus.folder, 'shared'), '');
    await next.request(queueChange, { root, paused: false, width: 3 });
    for (const { id } of [b, c, d]) await untilStatus(next, fixture, id, 'completed');
    await next.request(queueChange, { root, width: 1 });
  });
});

describe.skipIf(!PYTHON)('an urgent run', () => {
  test('interrupts nobody who would lose work, unless that is accepted: it waits as the first', async () => {
    const fixture = machine([0]);
    const client = await openProject(fixture);
    const first = await begin(client, fixture, 'a', { gpu: 1 });
    await untilBegun(fixture, 'a');
    await until('it is known', async () => !(await show(client, fixture, first.id)).run.cooperative);
    await begin(client, fixture, 'b', { gpu: 1, queue: true });
    const request = { gpu: 1, urgent: 'interrupt' };
    await expect(begin(client, fixture, 'u', request)).rejects.toMatchObject({
      code: 'interruptLoses',
      data: { runs: [{ run: first.id, checkpointStep: null }], mover: null },
    });
    expect((await show(client, fixture, first.id)).run.status).toBe('running');
    // Without a terminal an unanswered question means: do not interrupt.
    const asked = await fixture.cli('run', '--urgent', '--gpu', '1', '--detach', '--', ...words(fixture, 'u'));
    expect(asked.stderr).toContain('Nobody is interrupted. It waits as the first in the queue');
    expect((await show(client, fixture, first.id)).run.status).toBe('running');
    const queued = (await client.request(queueList, { root: fixture.root })).queued;
    expect(queued.map(({ urgent }) => urgent)).toEqual([true, false]);
    end(fixture, 'a', 'b', 'u');
    await untilStatus(client, fixture, first.id, 'completed');
    await until('all have ended', () => noted(fixture).filter((line) => line.startsWith('end')).length === 3);
    expect(noted(fixture).map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(
      ['a', 'u', 'b'].flatMap((name) => [`begin ${name}`, `end ${name}`]),
    );
  });

  test('that is accepted ends them, and they start again after it; of two at once one waits; dropped, they go on', async () => {
    const fixture = machine([0]);
    const client = await openProject(fixture);
    const first = await begin(client, fixture, 'a', { gpu: 1 });
    await untilBegun(fixture, 'a');
    await until('it is known', async () => !(await show(client, fixture, first.id)).run.cooperative);
    const request = { gpu: 1, urgent: 'interrupt', accepted: [first.id] };
    const [u, v] = [await begin(client, fixture, 'u', request), await begin(client, fixture, 'v', request)];
    await untilBegun(fixture, 'u');
    const interrupted = (await show(client, fixture, first.id)).run;
    expect(interrupted).toMatchObject({ status: 'queued', waiting: { for: 'run' } });
    expect(interrupted.reason).toContain('was interrupted for plain_gpu #2');
    end(fixture, 'u');
    await untilBegun(fixture, 'v');
    expect(noted(fixture).slice(-2)).toEqual(['end u 0', 'begin v 0']);
    await untilStatus(client, fixture, v.id, 'running');
    await client.request(runStop, { root: fixture.root, run: v.id });
    await untilStatus(client, fixture, v.id, 'stopped');
    end(fixture, 'a');
    const done = await untilStatus(client, fixture, first.id, 'completed');
    expect(done.notices.map(({ text }) => text).join()).toMatch(
      /interrupted at step 0 for plain_gpu #2, and goes on .* later/,
    );
    expect(u.urgent).toBe(true);
  });
});

test.skipIf(!PYTHON)('an urgent run interrupts one that has enough GPUs rather than two', async () => {
  const fixture = machine([0, 1, 2, 3]);
  const client = await openProject(fixture);
  const runs: Run[] = [];
  for (const [name, gpu] of [
    ['a', [0]],
    ['c', [3]],
    ['both', [1, 2]],
  ] as const)
    runs.push(await begin(client, fixture, name, { gpu: [...gpu] }));
  for (const name of ['a', 'c', 'both']) await untilBegun(fixture, name);
  await expect(begin(client, fixture, 'u', { gpu: 2, urgent: 'interrupt' })).rejects.toMatchObject({
    code: 'interruptLoses',
    data: { runs: [{ run: runs[2]!.id }] },
  });
  end(fixture, 'a', 'both', 'c');
});

test.skipIf(!PYTHON)('an urgent run interrupts those on the GPUs that its shell lets it see', async () => {
  const fixture = machine();
  const client = await openProject(fixture);
  const [a, b] = [await begin(client, fixture, 'a', { gpu: [0] }), await begin(client, fixture, 'b', { gpu: [1] })];
  for (const name of ['a', 'b']) await untilBegun(fixture, name);
  for (const [run, visible] of [
    [b, '1'],
    [a, '0'],
  ] as const) {
    const name = `u${visible}`;
    await until('it is known', async () => !(await show(client, fixture, run.id)).run.cooperative);
    const environment = { ...fixture.env, CUDA_VISIBLE_DEVICES: visible };
    const request = { gpu: 1, urgent: 'interrupt', environment };
    await expect(begin(client, fixture, name, request)).rejects.toMatchObject({
      code: 'interruptLoses',
      data: { runs: [{ run: run.id }] },
    });
    await begin(client, fixture, name, { ...request, accepted: [a.id, b.id] });
    expect(await untilBegun(fixture, name)).toBe(`begin ${name} ${visible}`);
  }
  end(fixture, 'u0', 'u1', 'a', 'b');
  for (const { id } of [a, b]) expect((await untilStatus(client, fixture, id, 'completed')).sessions).toBe(2);
});

test.skipIf(!PYTHON)(
  'an urgent run interrupts one whose trainstash.json has a mistake by now; that one waits for it',
  async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const run = await startSmall(client, fixture, { slow: 60, epochs: 20 });
    await untilStep(client, fixture, run.id, 2);
    const config = join(fixture.root, 'trainstash.json');
    const text = readFileSync(config, 'utf8');
    writeFileSync(config, '{ "jobs": ');
    const urgent = await start(client, fixture, [PYTHON, '-c', 'print(1)'], { urgent: 'interrupt' });
    await untilStatus(client, fixture, urgent.id, 'completed');
    await until('it waits', async () => (await show(client, fixture, run.id)).run.waiting?.for === 'code');
    writeFileSync(config, text);
    const done = await untilStatus(client, fixture, run.id, 'completed');
    expect(done.notices.map(({ code }) => code)).toContain('interrupted');
  },
);

test('a queued run waits while trainstash.json, which git ignores, has a mistake or lacks its job', async () => {
  const fixture = makeFixture();
  appendFileSync(join(fixture.root, '.gitignore'), 'trainstash.json\n');
  const git = gitIn(fixture.root);
  git('rm', '-q', '--cached', 'trainstash.json');
  git('add', '.gitignore');
  git('commit', '-qm', 'Ignore the config');
  const client = await openProject(fixture);
  const config = join(fixture.root, 'trainstash.json');
  const text = readFileSync(config, 'utf8');
  for (const [mistake, said] of [
    ['{ "jobs": ', /trainstash\.json/],
    ['{ "jobs": {} }', /"small"/],
  ] as const) {
    const held = await startHeld(client, fixture, 2);
    const run = await startSmall(client, fixture, { epochs: 1 }, { queue: true });
    writeFileSync(config, mistake);
    held.release();
    await untilStatus(client, fixture, held.run.id, 'completed');
    const waits = await until('it waits', async () => {
      const { run: now } = await show(client, fixture, run.id);
      return now.waiting?.for !== 'device' && now;
    });
    expect(waits).toMatchObject({ status: 'queued', waiting: { for: 'code' } });
    expect(waits.reason).toMatch(said);
    expect(waits.reason).toMatch(/It starts automatically once that is mended/);
    writeFileSync(config, text);
    await untilStatus(client, fixture, run.id, 'completed');
  }
});

/** A git that takes two seconds to compare two trees of code once a second session has been prepared. */
function slowGit(folder: string): string {
  const git = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'git'),
    `#!/bin/sh
case "$*" in *diff-tree*) [ -e "$SESSIONS" ] && [ "$(ls "$SESSIONS"/*/launch.json | wc -l)" = 2 ] && sleep 2;; esac
exec ${git} "$@"
`,
    { mode: 0o755 },
  );
  return `${folder}${delimiter}${process.env.PATH}`;
}

test('a run goes on after it was interrupted, and says with what code, however late the comparison of that is done', async () => {
  const folder = temporaryFolder();
  const env: Record<string, string> = { PATH: slowGit(join(folder, 'git')), SESSIONS: join(folder, 'sessions') };
  const fixture = makeFixture({ env });
  const client = await openProject(fixture);
  symlinkSync(join(fixture.store, 'sessions'), env.SESSIONS!);
  // It waits for the urgent run, which makes it go on when it interrupts it, if it has come so far.
  const go = join(fixture.folder, 'go');
  const run = await startSmall(client, fixture, { holdAfter: 2, go });
  await untilStep(client, fixture, run.id, 2);
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');
  rmSync(go);
  appendFileSync(join(fixture.root, 'small.ts'), '// Changed.\n');
  const options = { root: fixture.root, run: run.id, accept: true, environment: shellEnvironment() };
  const resumed = client.request(runResume, options);
  await untilStatus(client, fixture, run.id, 'running');
  const urgent = await startSmall(client, fixture, { epochs: 1 }, { urgent: 'interrupt' });
  await resumed;
  await untilStatus(client, fixture, urgent.id, 'completed');
  writeFileSync(go, 'null');
  const done = await untilStatus(client, fixture, run.id, 'completed');
  const codes = done.notices.map(({ code }) => code);
  expect(done.sessions).toBe(3);
  expect(codes.filter((code) => ['codeChanged', 'makesWay', 'interrupted'].includes(code))).toEqual([
    'codeChanged',
    'makesWay',
    'interrupted',
  ]);
});

describe('a limit', () => {
  test('pauses a run with a checkpoint, and a resume beyond it is refused until it is raised', async () => {
    const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, maxSteps: 5 } } } });
    const client = await openProject(fixture);
    const run = await startSmall(client, fixture, { slow: 60 });
    const paused = await untilStatus(client, fixture, run.id, 'paused');
    expect(paused.lastCheckpoint!.step).toBeGreaterThanOrEqual(5);
    expect(paused.notices.map(({ text }) => text)).toContain('It is paused: it has reached step 5, its limit.');
    expect((await fixture.cli('resume', '1')).stderr).toContain('`trainstash resume 1 --max-steps N` raises the limit');
    expect((await fixture.cli('resume', '1', '--max-steps', '1000', '--detach')).code).toBe(0);
    await untilStatus(client, fixture, run.id, 'completed');
  });
});
