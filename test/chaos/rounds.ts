/**
 * Kills the trainer, the daemon or both at random moments until a run is complete, and command lines that export and sweep
 * meanwhile; then checks everything.
 */
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runResume } from '../../protocol/messages/run.ts';
import { Random } from '../../trainer/random.ts';
import {
  type Fixture,
  isTrainer,
  kill,
  openProject,
  sessionDirectory,
  shellEnvironment,
  startSmall,
} from '../support/daemon.ts';
import { Bystanders } from './bystanders.ts';
import {
  type ChaosReport,
  check,
  checkCommitted,
  reconnected,
  remember,
  STEPS,
  settled,
  tryShow,
  uninterrupted,
  WIDE,
} from './watching.ts';

const STEP_MS = 25;

export async function chaosRounds(
  fixture: Fixture,
  kills: number,
  seed: number,
  say: (text: string) => void = () => {},
): Promise<ChaosReport> {
  const random = Random.seeded(seed);
  const report: ChaosReport = { kills: 0, losses: [], inexact: [] };
  let client = await openProject(fixture);
  const { run: whole, final } = await uninterrupted(client, fixture);
  const committed = new Map<string, Checkpoint>();
  const bystanders = new Bystanders(fixture, random, whole);
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
      // The last part of a run is sometimes undisturbed, or it would never end.
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
          .request(runResume, { root: fixture.root, run: run.id, environment: shellEnvironment(), accept: true })
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
  // The next daemon sweeps what the last one left.
  await client.request(daemonStop, {});
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
