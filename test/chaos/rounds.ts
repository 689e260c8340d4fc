/**
 * Kills the trainer, the daemon or both at random moments, again and again, until a run is through, and command lines that
 * export and sweep meanwhile; then checks all.
 */
import type { Client } from '../../client/connect.ts';
import { Random } from '../../daemon/trainer/random.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import * as m from '../../protocol/messages.ts';
import {
  type Fixture,
  isTrainer,
  kill,
  openProject,
  sessionDirectory,
  shellEnvironment,
  show,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';
import { Bystanders } from './bystanders.ts';

export interface ChaosReport {
  kills: number;
  /** Checkpoints that were committed and are gone or changed, metrics missing or doubled, damage that fsck finds. */
  losses: string[];
  /** Runs whose final state differs from the uninterrupted one's. */
  inexact: string[];
}

const STEPS = 18;
const STEP_MS = 25;
/** Large enough for its chunks to become deltas when the store is packed. */
const WIDE = { model: 'conv', units: 600 };

export async function chaosRounds(
  fixture: Fixture,
  kills: number,
  seed: number,
  say: (text: string) => void = () => {},
): Promise<ChaosReport> {
  const random = Random.seeded(seed);
  const report: ChaosReport = { kills: 0, losses: [], inexact: [] };
  let client = await openProject(fixture);
  const whole = await startSmall(client, fixture, { ...WIDE, slow: 1 });
  await untilStatus(client, fixture, whole.id, 'completed');
  const final = (await show(client, fixture, whole.id)).checkpoints.at(-1)!.stateDigest;
  const committed = new Map<string, Checkpoint>();
  const bystanders = new Bystanders(fixture, random, whole.id);
  await bystanders.start();

  for (let number = 1; report.kills < kills; number++) {
    let run = await retried(
      fixture,
      () => client,
      async (c) => startSmall(c, fixture, { ...WIDE, slow: STEP_MS }),
      (c) => {
        client = c;
      },
    );
    for (let round = 0; run.status !== 'completed'; round++) {
      // The last part of a run is left alone now and then, or it would never end.
      if (report.kills < kills && round < 6) {
        const beside = bystanders.one();
        await new Promise((resolve) => setTimeout(resolve, random.float() * STEPS * STEP_MS));
        remember(committed, await tryShow(client, fixture, run.id));
        report.kills += (await strike(fixture, client, run, random)) + (await beside);
      }
      client = await reconnected(fixture, client);
      run = await settled(client, fixture, run.id);
      if (['lost', 'failed', 'paused'].includes(run.status)) {
        run = await client
          .request(m.runResume, { root: fixture.root, run: run.id, environment: shellEnvironment(), accept: true })
          .catch(() => run);
      }
      if (round >= 6) run = await settled(client, fixture, run.id, true);
    }
    await check(client, fixture, run, final, report);
    say(
      `run ${number}: ${report.kills} kills so far, ${report.losses.length} losses, ${report.inexact.length} inexact`,
    );
  }
  await checkCommitted(client, fixture, committed, report);
  // What the last daemon was at is swept by the next.
  await client.request(m.daemonStop, {});
  await client.closed;
  await openProject(fixture);
  report.losses.push(...bystanders.check());
  return report;
}

async function strike(fixture: Fixture, client: Client, run: Run, random: Random): Promise<number> {
  const choice = random.float();
  let kills = 0;
  if (choice < 0.7) {
    const pid = run.session ? sessionDirectory(fixture, run).process()?.pid : undefined;
    if (pid !== undefined && isTrainer(pid)) {
      kill(pid, 'SIGKILL');
      kills++;
    }
  }
  if (choice > 0.4) {
    kill(client.daemon.pid, 'SIGKILL');
    await client.closed;
    kills++;
  }
  return kills;
}

async function check(client: Client, fixture: Fixture, run: Run, final: string, report: ChaosReport): Promise<void> {
  const { checkpoints } = await show(client, fixture, run.id);
  if (checkpoints.at(-1)?.stateDigest !== final) report.inexact.push(`${run.name}: final state differs`);
  const { series } = await client.request(m.metricsQuery, { root: fixture.root, run: run.id, names: ['loss'] });
  const steps = series[0]?.steps.join() ?? '';
  if (steps !== Array.from({ length: STEPS }, (_, i) => i + 1).join())
    report.losses.push(`${run.name}: metrics at steps ${steps}`);
}

async function checkCommitted(
  client: Client,
  fixture: Fixture,
  committed: Map<string, Checkpoint>,
  report: ChaosReport,
): Promise<void> {
  const fsck = await client.request(m.storeFsck, { root: fixture.root });
  for (const { problem, checkpoint } of fsck.problems) report.losses.push(`fsck: ${checkpoint ?? ''} ${problem}`);
  const runs = new Set([...committed.values()].map(({ run }) => run));
  for (const run of runs) {
    const kept = new Map<string, string>();
    for (const trashed of [false, true]) {
      const page = await client.request(m.checkpointList, { root: fixture.root, run, trashed });
      for (const { id, stateDigest } of page.checkpoints) kept.set(id, stateDigest);
    }
    for (const { id, stateDigest } of committed.values()) {
      if (committed.get(id)!.run === run && kept.get(id) !== stateDigest)
        report.losses.push(`checkpoint ${id} is gone or changed`);
    }
  }
}

function remember(committed: Map<string, Checkpoint>, shown: { checkpoints: Checkpoint[] } | null): void {
  for (const checkpoint of shown?.checkpoints ?? []) committed.set(checkpoint.id, checkpoint);
}

async function tryShow(client: Client, fixture: Fixture, run: string) {
  return show(client, fixture, run).catch(() => null);
}

async function reconnected(fixture: Fixture, client: Client): Promise<Client> {
  try {
    await client.request(m.daemonStatus, {});
    return client;
  } catch {
    return openProject(fixture);
  }
}

/** The run once it is decided what it is: running on, or ended. With `end`, once it has ended. */
async function settled(client: Client, fixture: Fixture, run: string, end = false): Promise<Run> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const shown = (await show(client, fixture, run)).run;
    if (['completed', 'paused', 'failed', 'lost', 'stopped'].includes(shown.status)) return shown;
    const pid = shown.session ? sessionDirectory(fixture, shown).process()?.pid : undefined;
    if (!end && shown.status === 'running' && pid !== undefined && isTrainer(pid)) return shown;
    if (Date.now() > deadline) throw new Error(`${shown.name} stays ${shown.status}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function retried(
  fixture: Fixture,
  current: () => Client,
  work: (client: Client) => Promise<Run>,
  use: (client: Client) => void,
): Promise<Run> {
  const client = await reconnected(fixture, current());
  use(client);
  return work(client);
}
