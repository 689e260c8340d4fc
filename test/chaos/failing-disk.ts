/** Trains on a disk that fills up, fails, freezes, becomes read-only or loses power, again and again; then checks everything. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { runResume } from '../../protocol/messages/run.ts';
import type { Random } from '../../trainer/random.ts';
import {
  type Fixture,
  isAlive,
  isTrainer,
  kill,
  makeFixture,
  openProject,
  shellEnvironment,
  startSmall,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { Disk, FAULTS } from './disk.ts';
import {
  type ChaosReport,
  check,
  checkCommitted,
  reconnected,
  remember,
  settled,
  tryShow,
  uninterrupted,
  WIDE,
} from './watching.ts';

const STEP_MS = 60;
const LONGEST_MS = 1_500;

/** Runs `faults` faults, each kind equally often; null if no file system can be mounted. */
export async function diskRounds(
  faults: number,
  random: Random,
  say: (text: string) => void,
): Promise<ChaosReport | null> {
  const fixture = makeFixture({ env: { TRAINSTASH_QUOTA_BYTES: '1e12' } });
  const disk = Disk.make(fixture.folder, fixture.store);
  if (!disk) return null;
  const report: ChaosReport = { kills: 0, losses: [], inexact: [] };
  // What is on a disk of its own is there before the store is.
  let client = await openProject(fixture, { acceptStore: true });
  const { final } = await uninterrupted(client, fixture);
  const committed = new Map<string, Checkpoint>();

  for (let number = 0; number < faults; number++) {
    const fault = FAULTS[number % FAULTS.length]!;
    let run = await startSmall(client, fixture, { ...WIDE, slow: STEP_MS });
    await delay(random.float() * LONGEST_MS);
    remember(committed, await tryShow(client, fixture, run.id));
    disk.begin(fault);
    void tryShow(client, fixture, run.id);
    await delay(random.float() * LONGEST_MS);
    if (fault !== 'slow' && random.float() < 0.3) {
      await end([client.daemon.pid]);
      report.kills++;
      client = await openProject(fixture).catch(() => client);
    }
    if (!disk.end(fault)) {
      await end([client.daemon.pid, ...trainersOf(fixture)]);
      // The kernel closes the files of ended processes a moment later.
      await until('nobody uses the disk', () => disk.remount());
    }
    client = await reconnected(fixture, client);
    run = await throughToTheEnd(client, fixture, run.id);
    await check(client, fixture, run, final, report);
    say(`disk ${number + 1}, ${fault}: ${report.losses.length} losses, ${report.inexact.length} inexact`);
  }
  await checkCommitted(client, fixture, committed, report);
  return report;
}

/** Resumes a run as often as needed until it is complete. */
async function throughToTheEnd(client: Client, fixture: Fixture, id: string): Promise<Run> {
  for (let tries = 0; ; tries++) {
    const run = await settled(client, fixture, id, true);
    if (run.status === 'completed' || tries === 5) return run;
    await client.request(runResume, { root: fixture.root, run: id, environment: shellEnvironment(), accept: true });
  }
}

/** Lists trainers by the session folder in their arguments, including those that have not written their pid yet. */
function trainersOf({ store }: Fixture): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && isTrainer(pid) && wordsOf(pid).some((word) => word.startsWith(store)));
}

function wordsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

async function end(pids: readonly number[]): Promise<void> {
  for (const pid of pids) kill(pid, 'SIGKILL');
  await until('they are gone', () => !pids.some(isAlive));
}
