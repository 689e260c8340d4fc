/** Jobs that end while no life of their run was followed: submitted again, but not for ever. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { AnswerLost, type Engine, type JobState } from '../../../../daemon/engines/contract.ts';
import type { ProjectContext } from '../../../../daemon/runs/context.ts';
import { NoLife } from '../../../../daemon/runs/engines/no-life.ts';
import { type EngineRecord, EngineRecords } from '../../../../daemon/runs/engines/records.ts';
import type { Launcher } from '../../../../daemon/runs/launch/launcher.ts';
import { type RunChange, withChange } from '../../../../daemon/store/catalog/run-change.ts';
import type { Run } from '../../../../protocol/domain.ts';
import { blankRun } from '../../../../protocol/records.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const HOUR_MS = 3_600_000;
const ID = '0123456789ab';
const ENDED = { phase: 'ended', end: 'failed', reason: '', nodes: 'n1', restarts: 0 } as const;

afterEach(() => void vi.useRealTimers());

const PRINTED = 'no module\n';

function settling(answer: (count: number) => string | Error) {
  vi.useFakeTimers();
  const store = temporaryFolder();
  const records = new EngineRecords(store);
  const at: number[] = [];
  let run = { ...blankRun({ id: ID } as Parameters<typeof blankRun>[0], 0), notices: [] } as Run;
  const launcher = {
    change: async (_id: string, change: RunChange) => {
      run = withChange(run, change);
      return run;
    },
    environmentOf: () => undefined,
  } as unknown as Launcher;
  const engine = {
    reach: {
      folder: async (path: string) => path,
      stat: async () => ({}),
      read: async () => Buffer.from(PRINTED),
    },
    cancel: async () => {},
    submit: async () => {
      at.push(Date.now());
      const job = answer(at.length);
      if (job instanceof Error) throw job;
      return { jobs: [job], startsAgain: true, notices: [] };
    },
  } as unknown as Engine;
  const config = {
    type: 'slurm',
    folder: '/s',
    options: [],
    setup: [],
    grace: '30s',
    atOnce: 1,
    nodes: 1,
    launcher: 'plain',
    lives: 20,
  };
  records.put({
    ...({
      run: ID,
      engine: 'cluster',
      config,
      job: '1',
      key: 'k',
      task: null,
      place: '/s/runs/a/1',
      root: '/r',
    } as const),
    ...{ nodes: 1, startsAgain: false, submittedAt: 0, session: null, seen: ['s'], hasSecrets: false },
    ...{ isUnwanted: false, endsAs: 'stopped', isClosing: false, fruitless: 0, againAt: 0 },
  } as EngineRecord);
  // Its program is there as it is here.
  writeFileSync(join(store, 'node-run.mjs'), PRINTED);
  const context = {
    place: { store },
    runner: join(store, 'runner.js'),
    store: { run: async () => run },
  } as unknown as ProjectContext;
  const noLife = new NoLife(context, launcher, records);
  return {
    at,
    records,
    run: () => run,
    /** Settles the run's job, as it was when the job was looked at. */
    settleAs: (seen: Run, state: JobState) => noLife.settle(records.get(ID)!, seen, state, engine),
    /** Changes the run, as the end of its life does. */
    change: (patch: Partial<Run>) => {
      run = { ...run, ...patch };
    },
    /** Settles the run's job, as often as a watch does in that time. */
    async settle(ms: number): Promise<void> {
      for (const until = Date.now() + ms; Date.now() < until; vi.setSystemTime(Date.now() + 5_000)) {
        const record = records.get(ID);
        if (!record || record.job === '') return;
        await noLife.settle(record, run, ENDED, engine);
      }
    },
  };
}

test('a job that never begins is submitted again later and later, and then given up with what it printed', async () => {
  const { at, settle, run, records } = settling((count) => String(count + 1));
  await settle(5 * HOUR_MS);
  expect(at).toHaveLength(5);
  const waits = at.slice(1).map((time, i) => time - at[i]!);
  expect(waits.every((wait, i) => i === 0 || wait >= 3 * waits[i - 1]!)).toBe(true);
  expect(run()).toMatchObject({ status: 'lost', reason: expect.stringContaining('no module') });
  expect(run().notices[0]!.text).toContain('environment of Trainstash’s daemon');
  expect(records.get(ID)).toBeUndefined();
});

test('a submission whose answer was lost is not made again', async () => {
  const { at, settle, records } = settling(() => new AnswerLost('timed out'));
  await settle(HOUR_MS);
  expect(at).toHaveLength(1);
  expect(records.get(ID)).toMatchObject({ job: '', fruitless: 1 });
  expect(records.get(ID)!.key).not.toBe('k');
});

test.each([
  ['cancelled', 'stopped'],
  ['failed', 'submitted again'],
] as const)(
  'a job that was %s keeps the checkpoint that the end of its life has written since the look',
  async (end, as) => {
    const { settleAs, change, run } = settling(() => '2');
    const seen = run();
    change({ step: 15, lastCheckpoint: { id: 'abcdefghjkmn', step: 15, grade: 'complete' }, checkpoints: 1 });
    await settleAs(seen, { ...ENDED, end });
    expect(run()).toMatchObject({ step: 15, checkpoints: 1, lastCheckpoint: { step: 15 } });
    if (as === 'stopped') expect(run().status).toBe('stopped');
    else expect(run().notices.map(({ code }) => code)).toEqual(['resubmitted']);
  },
);
