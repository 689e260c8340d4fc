/** The watch over jobs of engines: what their answers end, and what they do not. */
import { afterEach, expect, test, vi } from 'vitest';
import type { Engine, JobState } from '../../../../daemon/engines/contract.ts';
import type { ProjectContext } from '../../../../daemon/runs/context.ts';
import type { Lives } from '../../../../daemon/runs/engines/lives.ts';
import { OpenedEngines } from '../../../../daemon/runs/engines/opened.ts';
import { type EngineRecord, EngineRecords } from '../../../../daemon/runs/engines/records.ts';
import { EngineWatch } from '../../../../daemon/runs/engines/watch.ts';
import type { Launcher } from '../../../../daemon/runs/launch/launcher.ts';
import type { Run } from '../../../../protocol/domain.ts';
import { blankRun } from '../../../../protocol/records.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const ID = '0123456789ab';
const SESSION = 'abcdefghjkmn';
const RECORD = {
  ...{ run: ID, engine: 'cluster', job: '1', key: 'k', task: null, place: '/s/runs/a/1', root: '/r', nodes: 1 },
  config: {
    ...{ type: 'slurm', folder: '/s', options: [], setup: [], grace: '30s' },
    ...{ atOnce: 1, nodes: 1, launcher: 'plain', lives: 20 },
  },
  ...{ startsAgain: true, submittedAt: 0, session: SESSION, seen: [SESSION], hasSecrets: false },
  ...{ isUnwanted: false, endsAs: 'stopped', isClosing: false, fruitless: 0, againAt: 0 },
} as unknown as EngineRecord;
const state = (phase: JobState['phase']): JobState => ({ phase, reason: '', nodes: 'n1', restarts: 0 });

afterEach(() => void vi.useRealTimers());

/** Watches a run with a life. `poll` answers for its job, and `look` copies what the life has written. */
function watching(poll: () => Promise<JobState>, look: () => Promise<boolean>) {
  vi.useFakeTimers();
  const records = new EngineRecords(temporaryFolder());
  const run = { ...blankRun({ id: ID } as Parameters<typeof blankRun>[0], 0), status: 'running', notices: [] } as Run;
  const ended: string[] = [];
  const engines = new OpenedEngines();
  const { engine } = engines.of(RECORD.engine, RECORD.config);
  Object.assign(engine, { poll: async () => new Map([['1', await poll()]]) } satisfies Partial<Engine>);
  const lives = {
    pass: async () => {},
    look,
    isSucceeded: async () => false,
    isEarlierThan: () => false,
    end: (session: string) => ended.push(session),
  } as unknown as Lives;
  const launcher = { find: () => undefined, changeIf: async () => run } as unknown as Launcher;
  const context = { store: { run: async () => run }, log: () => {} } as unknown as ProjectContext;
  const noLife = {} as never;
  const isSubmitting = () => false;
  const watch = new EngineWatch({
    context,
    launcher,
    records,
    lives,
    engines,
    noLife,
    isSubmitting,
    kill: async () => {},
  });
  // A folder that is there, and is of this machine.
  records.put({ ...RECORD, place: temporaryFolder() });
  watch.schedule(0);
  return { ended, dispose: () => watch.dispose() };
}

test('a life is not ended by an answer that was given before it began, though a newer one comes during the look', async () => {
  let asked = 0;
  let isSlow = false;
  const waiting: (() => void)[] = [];
  const later = () => new Promise<void>((resolve) => waiting.push(resolve));
  const { ended, dispose } = watching(
    async () => {
      // The job is still pending when it is asked for first, and runs when it is asked for again.
      if (asked++ === 0) return state('pending');
      await later();
      return state('running');
    },
    async () => {
      if (isSlow) await later();
      return false;
    },
  );
  await vi.advanceTimersByTimeAsync(4_500);
  isSlow = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect([asked, waiting.length], 'it is asked for again during a look').toEqual([2, 2]);
  while (waiting.length > 0) {
    waiting.shift()!();
    await vi.advanceTimersByTimeAsync(0);
  }
  isSlow = false;
  await vi.advanceTimersByTimeAsync(3_000);
  expect(ended).toEqual([]);
  dispose();
});

test('a life whose job has not been running by two answers is ended', async () => {
  const { ended, dispose } = watching(
    async () => ({ ...state('ended'), end: 'failed' }),
    async () => false,
  );
  await vi.advanceTimersByTimeAsync(3_000);
  expect(ended).toEqual([]);
  await vi.advanceTimersByTimeAsync(8_000);
  expect(ended[0]).toBe(SESSION);
  dispose();
});
