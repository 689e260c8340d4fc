/**
 * Rounds of an urgent run that interrupts two PyTorch runs, with a kill in one of the phases. Afterwards both must have trained what
 * they would have trained without it, to the last bit.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { counted } from '../../protocol/words.ts';
import { log } from './commands.ts';
import { type Fixture, isAlive, kill, makeFixture, sessionDirectory, show } from './daemon.ts';
import { temporaryFolder, until } from './folder.ts';
import { type Gpus, makeGpus } from './gpus.ts';
import { PACKAGE } from './python.ts';
import { TRAINERS } from './trainer.ts';

const SEEDS = [1, 2];
const PATIENCE_MS = 180_000;
/** Pause after each step until a run is interrupted: slow enough for a request to find both of them training. */
const PAUSE_SECONDS = 0.1;

/** Moments of a switch, as they follow each other. */
export const PHASES = ['asked', 'saving', 'waiting', 'urgent runs', 'going on', 'none'] as const;
export type Phase = (typeof PHASES)[number];
export const VICTIMS = ['daemon', 'interrupted run', 'urgent run'] as const;
export type Victim = (typeof VICTIMS)[number];

export interface UrgentMachine {
  fixture: Fixture;
  gpus: Gpus;
  /** Last lines of the runs that nobody disturbs. */
  undisturbed: string[];
}

/** Makes a machine with two GPUs, and trains both runs undisturbed. */
export async function makeUrgentMachine(python: string): Promise<UrgentMachine> {
  const gpus = makeGpus(join(temporaryFolder(), 'gpus'), [0, 1]);
  const job = { checkpoint: { every: '7 steps' }, keep: { last: 3 } };
  const jobs = {
    train: { ...job, run: [python, '-W', 'ignore', 'torch_gpu.py'], gpu: 1 },
    urgent: { run: [python, 'plain_gpu.py', 'urgent', join(gpus.folder, 'journal')], gpu: 2 },
  };
  const env = { ...gpus.env, PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1' };
  const fixture = makeFixture({ config: { jobs }, env });
  for (const name of ['gpus.py', 'plain_gpu.py', 'torch_gpu.py'])
    cpSync(join(TRAINERS, name), join(fixture.root, name));
  const machine = { fixture, gpus, undisturbed: [] as string[] };
  const client = await connected(machine);
  const runs = await Promise.all(SEEDS.map((seed) => train(client, fixture, seed, 0)));
  for (const run of runs)
    machine.undisturbed.push(await finalOf(client, fixture, await untilOver(client, fixture, run.id)));
  return machine;
}

export interface Round {
  /** Descriptions of what was wrong; empty: nothing. */
  problems: string[];
  /** Victims that were alive when they were killed. */
  killed: Victim[];
}

/** Runs one round, with a kill in each of these phases, which follow each other. */
export async function urgentRound(
  machine: UrgentMachine,
  strikes: readonly (readonly [Phase, Victim])[],
  atStep: number,
): Promise<Round> {
  const { fixture, undisturbed } = machine;
  let client = await connected(machine);
  const runs = await Promise.all(SEEDS.map((seed) => train(client, fixture, seed, PAUSE_SECONDS)));
  const ids = runs.map(({ id }) => id);
  await until(
    'both have trained',
    async () => (await all(client, fixture, ids)).every(({ step }) => step >= atStep),
    PATIENCE_MS,
  );
  const mayEnd = join(machine.gpus.folder, 'journal.urgent');
  rmSync(mayEnd, { force: true });
  const urgent = await client.request(runStart, {
    root: fixture.root,
    job: 'urgent',
    params: {},
    environment: fixture.env as Record<string, string>,
    urgent: 'interrupt',
    restarts: 2,
  });
  const killed: Victim[] = [];
  for (const [phase, victim] of strikes) {
    if (phase === 'going on') writeFileSync(mayEnd, '');
    await untilReached(client, fixture, phase, ids, urgent.id);
    if (phase !== 'none' && (await strike(client, fixture, victim, ids[0]!, urgent.id))) killed.push(victim);
    if (phase !== 'none' && victim === 'daemon') client = await connected(machine);
  }
  writeFileSync(mayEnd, '');
  // Only one that was not asked yet may end, or crash and complete, without having been interrupted.
  const mayEscape = strikes.some(([phase, victim]) => phase === 'asked' && victim !== 'urgent run');
  const problems: string[] = [];
  for (const [i, id] of ids.entries()) {
    const run = await untilOver(client, fixture, id);
    const what = [run.name, ...strikes.map(([phase, victim]) => `${victim} killed when ${phase}`)].join(', ');
    if (run.status !== 'completed') problems.push(`${what}: ${run.status}, ${run.reason}`);
    else if ((await finalOf(client, fixture, run)) !== undisturbed[i]) problems.push(`${what}: other bits`);
    const told = run.notices.filter(({ code }) => code === 'interrupted').length;
    if (told !== 1 && !(told === 0 && mayEscape))
      problems.push(`${what}: says ${counted(told, 'time')} what it cost, in ${counted(run.sessions, 'session')}`);
  }
  const over = await untilOver(client, fixture, urgent.id);
  if (over.status !== 'completed') problems.push(`${over.name}: ${over.status}, ${over.reason}`);
  return { problems, killed };
}

async function connected({ fixture }: Pick<UrgentMachine, 'fixture'>): Promise<Client> {
  const client = await fixture.connect();
  await client.request(projectOpen, { root: fixture.root, trusted: true });
  return client;
}

function train(client: Client, fixture: Fixture, seed: number, pause: number): Promise<Run> {
  return client.request(runStart, {
    root: fixture.root,
    job: 'train',
    params: { seed, pause },
    environment: fixture.env as Record<string, string>,
    restarts: 3,
  });
}

async function all(client: Client, fixture: Fixture, ids: readonly string[]): Promise<Run[]> {
  return Promise.all(ids.map(async (id) => (await show(client, fixture, id)).run));
}

/** Waits for a phase. An error says what the runs do instead. */
async function untilReached(
  client: Client,
  fixture: Fixture,
  phase: Phase,
  ids: readonly string[],
  urgent: string,
): Promise<void> {
  await until(phase, () => reached(client, fixture, phase, ids, urgent), PATIENCE_MS).catch(async (error: Error) => {
    const runs = await all(client, fixture, [...ids, urgent]);
    const daemonLog = readFileSync(join(fixture.folder, 'state/daemon.log'), 'utf8');
    const states = runs.map(({ name, status, reason, restart }) => `${name}: ${status}, "${reason}", ${restart.used}`);
    throw new Error([error.message, ...states, daemonLog.slice(-4000)].join('\n'));
  });
}

async function reached(
  client: Client,
  fixture: Fixture,
  phase: Phase,
  ids: readonly string[],
  urgent: string,
): Promise<boolean> {
  const runs = await all(client, fixture, ids);
  const { status } = (await show(client, fixture, urgent)).run;
  switch (phase) {
    case 'asked':
    case 'none':
      return true;
    case 'saving':
      return runs.some((run) => run.status !== 'running');
    case 'waiting':
      return runs.every((run) => run.status !== 'running' && run.status !== 'pausing');
    case 'urgent runs':
      return status !== 'queued';
    case 'going on':
      return status === 'completed' && runs.some((run) => run.status !== 'queued');
  }
}

/** Kills a process of the switch. Returns false if it is not there. */
async function strike(client: Client, fixture: Fixture, victim: Victim, run: string, urgent: string): Promise<boolean> {
  if (victim === 'daemon') {
    kill(client.daemon.pid, 'SIGKILL');
    await client.closed;
    return true;
  }
  const shown = (await show(client, fixture, victim === 'urgent run' ? urgent : run)).run;
  // The urgent run waits for the end of the round; one that saves may have ended.
  const find = () => shown.session && sessionDirectory(fixture, shown).process()?.child?.pid;
  const pid = victim === 'urgent run' && shown.session ? await until('it has a process', find) : find();
  if (!pid || !isAlive(pid)) return false;
  kill(pid, 'SIGKILL');
  return true;
}

/** Waits for the end of a run, restarts included. */
function untilOver(client: Client, fixture: Fixture, id: string): Promise<Run> {
  const isOver = ({ status, restart }: Run) =>
    ['completed', 'stopped', 'paused'].includes(status) ||
    (['failed', 'lost'].includes(status) && restart.used >= restart.max);
  let last: Run | undefined;
  return until(
    'it is over',
    async () => {
      last = (await show(client, fixture, id)).run;
      return isOver(last) && last;
    },
    PATIENCE_MS,
  ).catch((error: Error) => {
    throw new Error(`${last?.name}: ${last?.status}, "${last?.reason}"; ${error.message}`);
  });
}

async function finalOf(client: Client, fixture: Fixture, run: Run): Promise<string> {
  return /FINAL \S+ \d+/.exec(await log(client, fixture, run.id))?.[0] ?? `no last line: ${run.status}`;
}
