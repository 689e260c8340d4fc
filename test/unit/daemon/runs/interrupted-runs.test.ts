/** Runs that were interrupted for an urgent one, and what is left of that when the daemon dies at their end. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Interruptions } from '../../../../daemon/runs/interruptions.ts';
import { Queue } from '../../../../daemon/runs/launch/queue.ts';
import { QueuedRuns, type QueuedSetup } from '../../../../daemon/runs/launch/queued.ts';
import { watchLimits } from '../../../../daemon/runs/live/limits.ts';
import { LiveRequests } from '../../../../daemon/runs/live/live-requests.ts';
import type { LiveRun } from '../../../../daemon/runs/live/live-run.ts';
import { newRun } from '../../../../daemon/runs/records.ts';
import { type RunChange, withChange } from '../../../../daemon/store/catalog/run-change.ts';
import type { Run, RunStatus } from '../../../../protocol/domain.ts';
import type { Launch } from '../../../../protocol/session.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const IDENTITY = {
  branch: 'main',
  branchId: null,
  commit: null,
  dirty: false,
  code: null,
  codeLeftOut: [],
};
/** Facts of the launch file. The daemon that made it may have died: the values of its variables are gone then. */
const LAUNCHED = { variables: ['HOME', 'LR_SCALE'], command: { words: ['/venv/bin/python', 'train.py'] } };
const URGENT = { id: 'u', name: 'fix #2' } as Run;

/** A store with one run, which is live and being interrupted. */
class Machine {
  readonly folder = temporaryFolder();
  record: Run;

  constructor() {
    writeFileSync(join(this.folder, 'trainstash.json'), '{ "jobs": { "small": { "module": "small.ts" } } }');
    const facts = { job: 'small', params: {}, overrides: [], seed: 0, backend: '', identity: IDENTITY, restarts: 0 };
    this.record = { ...newRun(facts), status: 'running', session: 'first', step: 7 };
    const launch = { root: this.folder, identity: IDENTITY, ...LAUNCHED } as unknown as Launch;
    expect(this.daemon().noteInterruption(this.record, launch, undefined, URGENT)).toBe(true);
  }

  /** Starts a daemon, which knows only what is on disk. */
  daemon(): QueuedRuns {
    const change = async (_id: string, made: RunChange) => {
      this.record = withChange(this.record, made);
      return this.record;
    };
    const store = {
      run: async () => this.record,
      runsWithStatus: async (statuses: RunStatus[]) => (statuses.includes(this.record.status) ? [this.record] : []),
    };
    const context = { place: { store: this.folder }, store };
    return new QueuedRuns({ context, launcher: { change, find: () => undefined } } as unknown as QueuedSetup);
  }

  /** Kills the daemon and starts the next one. `lives`: the run has a session that is followed. */
  async restart(lives = false): Promise<QueuedRuns> {
    const next = this.daemon();
    await next.recover(() => lives);
    return next;
  }

  get isNoted(): boolean {
    return new Queue(this.folder).has(this.record.id);
  }
}

const ended = (run: Run, status: RunStatus): Run => ({ ...run, status, step: 9, endedAt: 1 });
const goesOn = {
  status: 'queued',
  reason: 'was interrupted for fix #2, and goes on after it',
  waiting: { for: 'run' },
};

test.each(['pausing', 'running', 'starting'] as const)(
  'a daemon that dies after the end of the session and before the record of it, which is %s, loses no run',
  async (status) => {
    const machine = new Machine();
    machine.record = { ...machine.record, status };
    const next = await machine.restart();
    expect(machine.record).toMatchObject(goesOn);
    expect(next.entries.map(({ run }) => run)).toEqual([machine.record.id]);
    expect(next.entries[0]!.interruption?.endedAt).not.toBeNull();
  },
);

test('one that dies, or whose store fails, between the note of the end and the record loses none either', async () => {
  const machine = new Machine();
  const daemon = machine.daemon();
  // The follower hands the end over again after a failure.
  for (let i = 0; i < 2; i++)
    expect(daemon.asInterrupted(ended(machine.record, 'paused'))).toMatchObject({ set: goesOn });
  await machine.restart();
  expect(machine.record).toMatchObject(goesOn);
  expect(machine.isNoted).toBe(true);
});

test('while its session has not ended it is still interrupted under the next daemon', async () => {
  const machine = new Machine();
  const next = await machine.restart(true);
  expect(machine.record.status).toBe('running');
  expect(next.asInterrupted(ended(machine.record, 'failed'))).toMatchObject({ set: goesOn });
});

test.each(['completed', 'stopped'] as const)('a run that %s meanwhile does not go on', async (status) => {
  const machine = new Machine();
  machine.record = ended(machine.record, status);
  await machine.restart();
  expect(machine.record.status).toBe(status);
  expect(machine.isNoted).toBe(false);
});

test.each([
  [
    'for an urgent run',
    (live: LiveRun, queued: QueuedRuns) => {
      const launcher = { find: () => live, environmentOf: () => undefined };
      new Interruptions(launcher as never, queued, () => {}).ask(live.run.id, URGENT, false);
    },
  ],
  [
    'at its limit',
    (live: LiveRun) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      watchLimits(live);
      vi.advanceTimersByTime(1_000);
      vi.useRealTimers();
    },
  ],
] as const)('a run that ends while it is said that it pauses %s is not asked afterwards', async (_, ask) => {
  const machine = new Machine();
  const asked: RunStatus[] = [];
  const live = {
    run: { ...machine.record, cooperative: true, limits: { steps: 1 } },
    launch: { root: machine.folder, identity: IDENTITY },
    follower: { session: { startedAt: Date.now() }, finished: new Promise(() => {}) },
    async requestPause() {
      asked.push(live.run.status);
    },
    async addNotices() {
      live.run.status = 'completed';
    },
  };
  ask(live as unknown as LiveRun, machine.daemon());
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toEqual(['running']);
});

test('one that a person pauses meanwhile stays paused', async () => {
  const machine = new Machine();
  const daemon = machine.daemon();
  const live = { run: { ...machine.record, cooperative: true }, requestPause: async () => live.run };
  const context = { store: { findRun: async () => machine.record } };
  const launcher = { find: () => live };
  const moves = { later: () => null } as never;
  const requests = new LiveRequests(context as never, launcher as never, daemon, {} as never, {} as never, moves);
  await requests.pause('1');
  expect(daemon.asInterrupted(ended(machine.record, 'paused'))).toBeNull();
  expect(machine.isNoted).toBe(false);
});

test('a run in the trash does not go on', async () => {
  const machine = new Machine();
  machine.record = { ...ended(machine.record, 'paused'), trashedAt: 1 };
  await machine.restart();
  expect(machine.record.status).toBe('paused');
  expect(machine.isNoted).toBe(false);
});

test.each([true, false])(
  'a run that has gone on already is not interrupted again, whether that session lives (%s) or was paused since',
  async (lives) => {
    const machine = new Machine();
    machine.daemon().asInterrupted(ended(machine.record, 'paused'));
    // The daemon dies before it removes the note.
    machine.record = { ...machine.record, session: 'second', status: lives ? 'running' : 'paused' };
    const next = await machine.restart(lives);
    expect(machine.record.status).toBe(lives ? 'running' : 'paused');
    expect(next.asInterrupted(ended(machine.record, 'paused'))).toBeNull();
    expect(machine.isNoted).toBe(false);
  },
);

test('a run whose daemon died before the interruption needs the same variables and program as at its launch', () => {
  const [entry] = new Machine().daemon().entries;
  expect(entry).toMatchObject({ variables: LAUNCHED.variables, program: '/venv/bin/python' });
});
