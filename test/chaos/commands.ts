/**
 * Trainings that know nothing of Trainstash, beside hostile files and non-finite metrics. The daemon, inspector processes, the runner
 * and the script itself are killed. A training whose own processes were not touched must not notice.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { runResume, runStart } from '../../protocol/messages/run.ts';
import type { Random } from '../../trainer/random.ts';
import { environment } from '../support/commands.ts';
import { type Fixture, kill, makeFixture, openProject, sessionDirectory, show } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { type ChaosReport, checkCommitted, reconnected, remember, tryShow } from './watching.ts';

const STEPS = 60;
const STEP_SECONDS = 0.1;
/** Longest accepted pause in the script's own clock; load on the machine does not explain a longer one. */
const MAX_GAP_SECONDS = 5;
const LONGEST_MS = 1_200;
/** Patience for a training of six seconds, on a machine with other work to do. */
const LONGEST_SESSION_MS = 300_000;
const ENDED = ['completed', 'paused', 'failed', 'lost', 'stopped'];

export interface CommandReport extends ChaosReport {
  /** Trainings that ended or stalled although their processes were not touched. */
  hurt: string[];
}

export async function commandRounds(
  kills: number,
  random: Random,
  say: (text: string) => void,
): Promise<CommandReport> {
  const command = `python3 noisy.py ${STEPS} ${STEP_SECONDS}`;
  const job = {
    run: command,
    resume: `${command} \${checkpoint}`,
    checkpoints: ['checkpoints/*.pt'],
    keep: { last: 100 },
  };
  const fixture = makeFixture({ config: { jobs: { noisy: job } } });
  copyFileSync(join(import.meta.dirname, 'noisy.py'), join(fixture.root, 'noisy.py'));
  const report: CommandReport = { kills: 0, losses: [], inexact: [], hurt: [] };
  const committed = new Map<string, Checkpoint>();
  let client = await openProject(fixture);
  let final = '';
  for (let number = 0; report.kills < kills || number === 0; number++) {
    clear(fixture);
    let run = await client.request(runStart, {
      root: fixture.root,
      job: 'noisy',
      params: {},
      environment: environment(),
    });
    // The first one is not disturbed: all others must end with its result.
    for (let sessions = 0; run.status !== 'completed' && sessions < 20; sessions++) {
      const touched = number > 0 && sessions < 6 ? await disturb(fixture, () => client, run, random, report) : false;
      client = await reconnected(fixture, client);
      run = await ended(client, fixture, run.id);
      remember(committed, await tryShow(client, fixture, run.id));
      const why = touched ? null : hurt(fixture, run);
      if (why !== null) report.hurt.push(`${run.name}: ${why}`);
      if (run.status !== 'completed') run = await resumed(client, fixture, run);
    }
    await checkRun(client, fixture, run, report);
    const reached = existsSync(join(fixture.root, 'final')) ? readFileSync(join(fixture.root, 'final'), 'utf8') : '';
    if (number === 0) final = reached;
    else if (reached !== final) report.inexact.push(`${run.name} ended with "${reached}"`);
    say(`commands ${number}: ${report.kills} kills, ${report.losses.length} losses, ${report.hurt.length} hurt`);
  }
  await checkCommitted(client, fixture, committed, report);
  return report;
}

/** Kills at random moments until the run has ended or had enough. Returns true if the training itself was killed. */
async function disturb(
  fixture: Fixture,
  current: () => Client,
  run: Run,
  random: Random,
  report: CommandReport,
): Promise<boolean> {
  const daemon = current().daemon.pid;
  let daemonPid = daemon;
  for (let strikes = 0; strikes < 12; strikes++) {
    await delay(random.float() * LONGEST_MS);
    const session = sessionDirectory(fixture, run);
    if (session.exit() !== null) return false;
    const choice = random.float();
    const record = session.process();
    if (choice < 0.12 && record) {
      kill(random.float() < 0.5 ? record.pid : (record.child?.pid ?? record.pid), 'SIGKILL');
      report.kills++;
      return true;
    }
    if (choice < 0.5) {
      kill(daemonPid, 'SIGKILL');
      const client = await openProject(fixture);
      daemonPid = client.daemon.pid;
      client.close();
    } else {
      for (const pid of inspectorsOf([daemonPid, record?.pid])) kill(pid, 'SIGKILL');
    }
    report.kills++;
  }
  return false;
}

/** Lists the inspector processes among the children of a daemon or a runner. */
function inspectorsOf(parents: readonly (number | undefined)[]): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && parents.includes(parentOf(pid)) && wordsOf(pid).includes('inspect'));
}

function parentOf(pid: number): number {
  try {
    return Number(/^\d+ \(.*\) \S+ (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}

function wordsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

async function ended(client: Client, fixture: Fixture, id: string): Promise<Run> {
  let seen = '';
  try {
    return await until(
      `run ${id} has ended`,
      async () => {
        const { run } = await show(client, fixture, id);
        seen = `${run.name} is ${run.status} at step ${run.step}, "${run.reason}", in its session ${run.sessions}`;
        return ENDED.includes(run.status) && run;
      },
      LONGEST_SESSION_MS,
    );
  } catch (error) {
    throw new Error(`${seen}: ${(error as Error).message}`, { cause: error });
  }
}

async function resumed(client: Client, fixture: Fixture, run: Run): Promise<Run> {
  return client.request(runResume, {
    root: fixture.root,
    run: run.id,
    environment: environment(),
    accept: true,
  });
}

/** Says how an untouched training was hurt; null if it was not. */
function hurt(fixture: Fixture, run: Run): string | null {
  if (run.status !== 'completed') return `ended as ${run.status}: ${run.reason}`;
  const beats = readFileSync(join(fixture.root, 'heartbeats'), 'utf8').trim().split('\n');
  const times = beats.map((line) => line.split(' ').map(Number) as [pid: number, step: number, time: number]);
  for (const [index, [pid, step, time]] of times.entries()) {
    const before = times[index - 1];
    if (before?.[0] === pid && time - before[2] > MAX_GAP_SECONDS)
      return `stood still for ${(time - before[2]).toFixed(1)} s before step ${step}`;
  }
  return null;
}

/** Checks that every honest file of an ended run that is still on disk is in the store, with its metrics. */
async function checkRun(client: Client, fixture: Fixture, run: Run, report: CommandReport): Promise<void> {
  const { checkpoints } = await show(client, fixture, run.id);
  const steps = new Set(checkpoints.map(({ step }) => step));
  for (let step = 4; step <= STEPS; step += 4)
    if (!steps.has(step)) report.losses.push(`${run.name}: the file of step ${step} was not kept`);
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id, names: ['odd'] });
  if (series[0]?.total !== STEPS) report.losses.push(`${run.name}: ${series[0]?.total ?? 0} values of "odd"`);
}

function clear(fixture: Fixture): void {
  for (const name of ['checkpoints', 'heartbeats', 'final'])
    rmSync(join(fixture.root, name), { recursive: true, force: true });
}
