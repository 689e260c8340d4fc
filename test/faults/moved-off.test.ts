/**
 * Runs that cannot save on request, and that `cuda-checkpoint` moves off their GPUs for an urgent one. The processes are real and hold a
 * lock for memory; a program with the command line and the states of NVIDIA's moves them. NVIDIA's own was not run.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { queueList } from '../../protocol/messages/queue.ts';
import { runList, runPause, runStop } from '../../protocol/messages/run.ts';
import { start } from '../support/commands.ts';
import { type Fixture, kill, makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { type Gpus, type Mover, makeGpus } from '../support/gpus.ts';
import { PYTHON } from '../support/python.ts';
import { TRAINERS } from '../support/trainer.ts';

interface Machine extends Fixture {
  gpus: Gpus;
  mover: Mover;
  journal: string;
}

function machine(): Machine {
  const gpus = makeGpus(join(temporaryFolder(), 'gpus'), [0]);
  const mover = gpus.addMover();
  const fixture = makeFixture({ config: { jobs: {} }, env: gpus.env });
  for (const name of ['gpus.py', 'plain_gpu.py']) cpSync(join(TRAINERS, name), join(fixture.root, name));
  return { ...fixture, gpus, mover, journal: join(fixture.folder, 'journal') };
}

const begin = (client: Client, fixture: Machine, name: string, extra: object = {}): Promise<Run> =>
  start(client, fixture, [PYTHON, 'plain_gpu.py', name, fixture.journal], {
    environment: fixture.env,
    gpu: 1,
    ...extra,
  });
const beginUrgent = (client: Client, fixture: Machine, name = 'u') =>
  begin(client, fixture, name, { urgent: 'interrupt' });
const end = ({ journal }: Machine, name: string) => writeFileSync(`${journal}.${name}`, '');
const stepsOf = ({ journal }: Machine, name: string) =>
  existsSync(`${journal}.${name}.steps`) ? Number(readFileSync(`${journal}.${name}.steps`, 'utf8')) : 0;
const noted = ({ journal }: Machine) =>
  existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [];
const untilBegun = (fixture: Machine, name: string) =>
  until(`${name} has begun`, () => noted(fixture).some((line) => line.startsWith(`begin ${name} `)));
const runOf = async (client: Client, fixture: Machine, { id }: Run) => (await show(client, fixture, id)).run;
const told = async (client: Client, fixture: Machine, run: Run, code: string) =>
  (await runOf(client, fixture, run)).notices.find((notice) => notice.code === code);
const untilTold = (client: Client, fixture: Machine, run: Run, code: string) =>
  until(`it says ${code}`, () => told(client, fixture, run, code));
const listed = async (fixture: Machine) => (await fixture.cli('queue')).stdout.replace(/\s+/g, ' ');
const untilSteps = (fixture: Machine, name: string, more = 1) => {
  const before = stepsOf(fixture, name);
  return until(`${name} makes steps`, () => stepsOf(fixture, name) >= before + more);
};

/** Starts a run that cannot save on request. */
async function plainRun(client: Client, fixture: Machine, name = 'a'): Promise<Run> {
  const run = await begin(client, fixture, name);
  await untilSteps(fixture, name, 3);
  await until('it is known', async () => !(await runOf(client, fixture, run)).cooperative);
  return run;
}

describe.skipIf(!PYTHON)('a run that cannot save on request', () => {
  test('is moved off its GPU for an urgent one, waits, and is moved back before others begin', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    const [pid] = fixture.gpus.users(0);
    const later = await begin(client, fixture, 'later', { queue: true });
    const urgent = await beginUrgent(client, fixture);
    await untilBegun(fixture, 'u');
    expect(fixture.gpus.users(0)).not.toContain(pid);
    const away = await runOf(client, fixture, first);
    expect(away).toMatchObject({
      status: 'running',
      reason: expect.stringContaining('moved off its GPU for plain_gpu #3'),
    });
    expect(await listed(fixture)).toMatch(/#1 .* moved off its GPU for plain_gpu #3, and goes on after it #2 /);
    const steps = stepsOf(fixture, 'a');
    await untilSteps(fixture, 'u', 10);
    expect(stepsOf(fixture, 'a')).toBe(steps);
    end(fixture, 'u');
    await untilStatus(client, fixture, urgent.id, 'completed');
    const back = await untilTold(client, fixture, first, 'movedBack');
    expect(back.text).toMatch(
      /after it made way for plain_gpu #3\. No step was lost\. Moving took .* there and .* back/,
    );
    expect(fixture.gpus.users(0)).toEqual([pid]);
    await untilSteps(fixture, 'a');
    expect(noted(fixture).some((line) => line.startsWith('begin later'))).toBe(false);
    expect(fixture.mover.actions()).toEqual(['lock', 'checkpoint', 'restore', 'unlock']);
    end(fixture, 'a');
    const done = await untilStatus(client, fixture, first.id, 'completed');
    expect(done).toMatchObject({ sessions: 1, reason: expect.not.stringContaining('moved') });
    end(fixture, 'later');
    await untilStatus(client, fixture, later.id, 'completed');
  });

  for (const [action, how] of [
    ['lock', 'refused'],
    ['checkpoint', 'refused'],
  ] as const)
    test(`goes on as before if the ${action} is ${how}; the loss is asked for, and nothing was started`, async () => {
      const fixture = machine();
      const client = await openProject(fixture);
      const first = await plainRun(client, fixture);
      fixture.mover.fail(action, how);
      await expect(beginUrgent(client, fixture)).rejects.toMatchObject({
        code: 'interruptLoses',
        data: { runs: [{ run: first.id }], mover: expect.stringContaining(`${how}). It goes on as before`) },
      });
      await untilSteps(fixture, 'a', 5);
      expect((await client.request(runList, { root: fixture.root, drafts: true })).runs).toHaveLength(1);
      const asked = await fixture.cli(
        'run',
        '--urgent',
        '--gpu',
        '1',
        '--detach',
        '--',
        PYTHON,
        'plain_gpu.py',
        'v',
        fixture.journal,
      );
      expect(asked.stderr.replace(/\s+/g, ' ')).toContain('could not move it off the GPU');
      expect(asked.stderr).toContain('Nobody is interrupted');
      for (const name of ['a', 'v']) end(fixture, name);
      expect(await untilStatus(client, fixture, first.id, 'completed')).toMatchObject({ sessions: 1 });
    });

  test('with several processes on its GPU is moved as a whole, or not at all', async () => {
    const fixture = machine();
    writeFileSync(join(fixture.gpus.folder, 'shared'), '');
    const client = await openProject(fixture);
    const one = (name: string) => `${PYTHON} plain_gpu.py ${name} ${fixture.journal}`;
    const words = ['sh', '-c', `${one('a')} & ${one('b')}; wait`];
    // Without a demand it holds the whole machine.
    const environment = { ...fixture.env, CUDA_VISIBLE_DEVICES: '0' };
    const first = await start(client, fixture, words, { environment });
    for (const name of ['a', 'b']) await untilSteps(fixture, name, 3);
    await until('it is known', async () => !(await runOf(client, fixture, first)).cooperative);
    const users = fixture.gpus.users(0);
    expect(users).toHaveLength(2);
    const mended = fixture.mover.fail('checkpoint', 'refused', users[1]!);
    await expect(beginUrgent(client, fixture)).rejects.toMatchObject({
      data: { mover: expect.stringContaining('It goes on as before') },
    });
    for (const name of ['a', 'b']) await untilSteps(fixture, name, 3);
    expect(fixture.gpus.users(0).sort()).toEqual(users.sort());
    mended();
    const urgent = await beginUrgent(client, fixture);
    await untilBegun(fixture, 'u');
    expect(fixture.gpus.users(0)).toHaveLength(1);
    await untilStatus(client, fixture, urgent.id, 'running');
    await client.request(runStop, { root: fixture.root, run: urgent.id });
    await untilTold(client, fixture, first, 'movedBack');
    for (const name of ['a', 'b']) await untilSteps(fixture, name, 3);
    for (const name of ['a', 'b']) end(fixture, name);
    expect(await untilStatus(client, fixture, first.id, 'completed')).toMatchObject({ sessions: 1 });
  });

  test('stays where it is for a second urgent run, which waits for the first', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    await beginUrgent(client, fixture);
    await untilBegun(fixture, 'u');
    const second = await beginUrgent(client, fixture, 'v');
    expect(second.status).toBe('queued');
    end(fixture, 'u');
    await untilBegun(fixture, 'v');
    const waits = 'moved off its GPU, and waits for GPU 0: GPU 0 is held by plain_gpu #3';
    await until('it says so', async () => (await runOf(client, fixture, first)).reason === waits);
    expect((await client.request(queueList, { root: fixture.root })).away).toMatchObject([
      { run: { id: first.id, reason: waits }, phase: 'away' },
    ]);
    end(fixture, 'v');
    await untilTold(client, fixture, first, 'movedBack');
    expect((await client.request(queueList, { root: fixture.root })).away).toEqual([]);
    expect(fixture.mover.actions()).toEqual(['lock', 'checkpoint', 'restore', 'unlock']);
    end(fixture, 'a');
    expect(await untilStatus(client, fixture, first.id, 'completed')).toMatchObject({ sessions: 1 });
  });

  test('that is hurt on its way says so and what to do, and holds its GPU', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    fixture.mover.fail('checkpoint', 'failed');
    await expect(beginUrgent(client, fixture)).rejects.toMatchObject({
      code: 'interruptLoses',
      data: { mover: expect.stringContaining('it did not come back: the CUDA state of process') },
    });
    const notice = await untilTold(client, fixture, first, 'notMovedBack');
    expect(notice).toMatchObject({ level: 'error', text: expect.stringContaining('`trainstash stop --force 1`') });
    await expect(begin(client, fixture, 'b')).rejects.toMatchObject({ code: 'deviceTaken' });
    await client.request(runStop, { root: fixture.root, run: first.id, force: true });
    await untilStatus(client, fixture, first.id, 'stopped');
    end(fixture, 'b');
    await begin(client, fixture, 'b');
  });

  test('is not moved where its memory does not fit into that of the machine', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    writeFileSync(join(fixture.gpus.folder, 'used'), '99999999');
    await expect(beginUrgent(client, fixture)).rejects.toMatchObject({
      data: { mover: expect.stringMatching(/its memory on the GPU .* does not fit into that of the machine/) },
    });
    expect(fixture.mover.actions()).toEqual([]);
    end(fixture, 'a');
    await untilStatus(client, fixture, first.id, 'completed');
  });

  test('is moved back by the next daemon, if the one that moved it has died', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    const urgent = await beginUrgent(client, fixture);
    await untilBegun(fixture, 'u');
    await untilStatus(client, fixture, urgent.id, 'running');
    kill(client.daemon.pid, 'SIGKILL');
    const next = await openProject(fixture);
    expect(fixture.gpus.users(0)).toHaveLength(1);
    end(fixture, 'u');
    await untilTold(next, fixture, first, 'movedBack');
    await untilSteps(fixture, 'a');
    end(fixture, 'a');
    expect(await untilStatus(next, fixture, first.id, 'completed')).toMatchObject({ sessions: 1 });
  });

  for (const phase of ['checkpoint', 'restore'] as const)
    test(`makes way and comes back although the daemon dies during the ${phase}`, async () => {
      const fixture = machine();
      const client = await openProject(fixture);
      const first = await plainRun(client, fixture);
      const [pid] = fixture.gpus.users(0);
      fixture.mover.slow(phase);
      const started = beginUrgent(client, fixture).catch(() => {});
      if (phase === 'restore') {
        await untilBegun(fixture, 'u');
        await started;
        end(fixture, 'u');
      }
      await until('it is under way', () => fixture.mover.actions().includes(phase));
      kill(client.daemon.pid, 'SIGKILL');
      const next = await openProject(fixture);
      await untilBegun(fixture, 'u');
      end(fixture, 'u');
      await until('it is back', () => fixture.gpus.users(0).includes(pid!));
      await untilSteps(fixture, 'a', 5);
      end(fixture, 'a');
      expect(await untilStatus(next, fixture, first.id, 'completed')).toMatchObject({ sessions: 1 });
    }, 60_000);

  test('that does not come back says so once, and comes back when that has become possible', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    await beginUrgent(client, fixture);
    await untilBegun(fixture, 'u');
    const mended = fixture.mover.fail('restore', 'refused');
    end(fixture, 'u');
    const notice = await untilTold(client, fixture, first, 'notMovedBack');
    expect(notice.text).toContain('Its checkpoints are safe');
    expect(await listed(fixture)).toMatch(/#1 .* it did not come back to its GPU/);
    mended();
    await until('it makes steps', async () => stepsOf(fixture, 'a') > 3 && fixture.gpus.users(0).length === 1, 30_000);
    await untilTold(client, fixture, first, 'movedBack');
    expect((await runOf(client, fixture, first)).notices.filter(({ code }) => code === 'notMovedBack')).toHaveLength(1);
    end(fixture, 'a');
    await untilStatus(client, fixture, first.id, 'completed');
  }, 60_000);

  test('can be killed while it is away; a pause waits for its return', async () => {
    const fixture = machine();
    const client = await openProject(fixture);
    const first = await plainRun(client, fixture);
    await beginUrgent(client, fixture);
    await untilBegun(fixture, 'u');
    const { root } = fixture;
    const asked = await client.request(runPause, { root, run: first.id, accept: true });
    expect(asked).toMatchObject({
      status: 'pausing',
      reason: expect.stringContaining('as soon as it is back on its GPU'),
    });
    end(fixture, 'u');
    await untilStatus(client, fixture, first.id, 'paused');
    expect(fixture.mover.actions()).toEqual(['lock', 'checkpoint', 'restore', 'unlock']);
    const second = await plainRun(client, fixture, 'b');
    const urgent = await beginUrgent(client, fixture, 'w');
    await untilBegun(fixture, 'w');
    await client.request(runStop, { root, run: second.id, force: true });
    await untilStatus(client, fixture, second.id, 'stopped');
    expect((await runOf(client, fixture, urgent)).status).toBe('running');
    end(fixture, 'w');
    await untilStatus(client, fixture, urgent.id, 'completed');
    end(fixture, 'c');
    await untilStatus(client, fixture, (await begin(client, fixture, 'c')).id, 'completed');
  });
});
