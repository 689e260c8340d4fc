/**
 * Rounds of a run that rolls back again and again, whose daemon or trainer is killed in the middle of it. Afterwards it must have
 * counted each time, never have gone forward or in a circle, have lost nothing, and end with the bits of a run without trouble.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Params, Run } from '../../protocol/domain.ts';
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { runStart } from '../../protocol/messages/run.ts';
import {
  type Fixture,
  isTrainer,
  kill,
  makeFixture,
  openProject,
  SMALL_JOB,
  sessionDirectory,
  shellEnvironment,
  show,
} from './daemon.ts';
import { until } from './folder.ts';

/** The batch that is NaN is counted anew in each session, so that there is trouble again until it comes after the last one. */
const LATER = { do: 'rollback', then: { nanAt: '+1' }, times: 30 };
const FIRST_NAN = 5;
const PATIENCE_MS = 120_000;
/** Time without a change after which an ended run counts as one that stays so. Longer than the delay of a restart. */
const IDLE_MS = 20_000;
const MOST_DELAY_MS = 1_500;

export interface RollbackMachine {
  fixture: Fixture;
  /** Digest of the final state of a run without trouble. */
  final: string;
}

/** Makes a project, and trains a run without trouble. */
export async function makeRollbackMachine(): Promise<RollbackMachine> {
  const job = { ...SMALL_JOB, checkpoint: { every: '2 steps' }, keep: { last: 40 }, onNaN: LATER };
  const fixture = makeFixture({ config: { jobs: { small: job } } });
  const module = join(fixture.root, 'small.ts');
  // A loss that is NaN in a validation is no trouble, but part of the state.
  writeFileSync(module, readFileSync(module, 'utf8').replace(/^ +validation: .*\n/m, ''));
  const client = await openProject(fixture);
  const run = await untilOver(client, fixture, (await start(client, fixture, { nanAt: 0 })).id);
  return { fixture, final: await finalOf(client, fixture, run) };
}

/** Runs one round with up to so many kills. Returns what was wrong, and how many hit. */
export async function rollbackRound(
  { fixture, final }: RollbackMachine,
  most: number,
  random: () => number,
): Promise<{ problems: string[]; kills: number }> {
  let client = await openProject(fixture);
  const { id, name } = await start(client, fixture);
  const seen = new Map<string, Checkpoint>();
  let kills = 0;
  for (let strikes = 0; strikes < most; strikes++) {
    const sessions = endedSessions(fixture);
    const next = await until(
      'a session ends, or all of it',
      async () => {
        const { run } = await show(client, fixture, id);
        return run.status === 'completed' ? 'completed' : endedSessions(fixture) > sessions && 'a session';
      },
      PATIENCE_MS,
    );
    if (next === 'completed') break;
    // From the moment at which the trainer has said why it ends, up to the first steps of the next session.
    await delay(random() * MOST_DELAY_MS);
    const shown = await show(client, fixture, id);
    for (const one of shown.checkpoints) seen.set(one.id, one);
    if (random() < 0.5) {
      const pid = shown.run.session ? sessionDirectory(fixture, shown.run).process()?.pid : undefined;
      if (pid === undefined || !isTrainer(pid)) continue;
      kill(pid, 'SIGKILL');
    } else {
      kill(client.daemon.pid, 'SIGKILL');
      await client.closed;
      client = await openProject(fixture);
    }
    kills++;
  }
  const run = await untilOver(client, fixture, id);
  const problems = await problemsOf(client, fixture, run, final);
  const { checkpoints } = await client.request(checkpointList, { root: fixture.root, run: id, trashed: false });
  for (const one of seen.values())
    if (!checkpoints.some(({ id: kept, stateDigest }) => kept === one.id && stateDigest === one.stateDigest))
      problems.push(`${name}: checkpoint ${one.id} at step ${one.step} is gone or changed`);
  return { problems, kills };
}

async function problemsOf(client: Client, fixture: Fixture, run: Run, final: string): Promise<string[]> {
  const back = run.rollbacks ?? [];
  const what = `${run.name} (${back.map(({ step, toStep, set }) => `${step} to ${toStep} with ${JSON.stringify(set)}`).join(', ')})`;
  const counted = back.map((_, i) => FIRST_NAN + 1 + i);
  const isForward = back.some(({ step, toStep }) => (toStep ?? 0) >= step);
  return [
    ...(run.status === 'completed' ? [] : [`${what}: ${run.status}, ${run.reason}`]),
    ...((await finalOf(client, fixture, run)) === final ? [] : [`${what}: other bits`]),
    ...(run.rolledBack === back.length ? [] : [`${what}: counted ${run.rolledBack} times`]),
    ...(back.every(({ set }, i) => set.nanAt === counted[i]) ? [] : [`${what}: a change twice, or never`]),
    ...(isForward ? [`${what}: forward`] : []),
    ...(new Set(back.map(({ session }) => session)).size === back.length ? [] : [`${what}: twice for one session`]),
  ];
}

async function finalOf(client: Client, fixture: Fixture, run: Run): Promise<string> {
  return (await show(client, fixture, run.id)).checkpoints.at(-1)?.stateDigest ?? 'nothing';
}

function endedSessions({ store }: Fixture): number {
  const folder = join(store, 'sessions');
  return readdirSync(folder).filter((session) => existsSync(join(folder, session, 'exit.json'))).length;
}

function start(client: Client, { root }: Fixture, more: Params = {}): Promise<Run> {
  const params = { nanAt: FIRST_NAN, slow: 20, ...more };
  return client.request(runStart, { root, job: 'small', params, environment: shellEnvironment(), restarts: 50 });
}

/** Waits for the end of a run that neither restarts nor goes back any more. */
async function untilOver(client: Client, fixture: Fixture, id: string): Promise<Run> {
  let since = Date.now();
  let last = '';
  return until(
    'it is over',
    async () => {
      const { run } = await show(client, fixture, id);
      const state = `${run.status} ${run.sessions}`;
      if (state !== last) since = Date.now();
      last = state;
      const isIdle = ['stopped', 'paused', 'failed', 'lost'].includes(run.status) && Date.now() - since > IDLE_MS;
      return (run.status === 'completed' || isIdle) && run;
    },
    PATIENCE_MS,
  );
}
