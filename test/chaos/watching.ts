/** Watches a run during chaos: its progress, its committed checkpoints, and whether they are still there. */
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { daemonStatus } from '../../protocol/messages/daemon.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { storeFsck } from '../../protocol/messages/store.ts';
import {
  type Fixture,
  isTrainer,
  openProject,
  sessionDirectory,
  show,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';

export interface ChaosReport {
  kills: number;
  /** Committed checkpoints that are gone or changed, metrics missing or doubled, damage that fsck finds. */
  losses: string[];
  /** Runs whose final state differs from the uninterrupted one's. */
  inexact: string[];
}

/** Number of steps of a complete small job. */
export const STEPS = 18;
/** Params that make chunks large enough to become deltas when the store is packed. */
export const WIDE = { model: 'conv', units: 600 };

/** Runs the small job without interruption and returns the digest of its final state. */
export async function uninterrupted(client: Client, fixture: Fixture): Promise<{ run: string; final: string }> {
  const run = await startSmall(client, fixture, { ...WIDE, slow: 1 });
  await untilStatus(client, fixture, run.id, 'completed');
  return { run: run.id, final: (await show(client, fixture, run.id)).checkpoints.at(-1)!.stateDigest };
}

export async function check(
  client: Client,
  fixture: Fixture,
  run: Run,
  final: string,
  report: ChaosReport,
): Promise<void> {
  const { checkpoints } = await show(client, fixture, run.id);
  if (checkpoints.at(-1)?.stateDigest !== final) report.inexact.push(`${run.name}: final state differs`);
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id, names: ['loss'] });
  const steps = series[0]?.steps.join() ?? '';
  if (steps !== Array.from({ length: STEPS }, (_, i) => i + 1).join())
    report.losses.push(`${run.name}: metrics at steps ${steps}`);
}

export async function checkCommitted(
  client: Client,
  fixture: Fixture,
  committed: Map<string, Checkpoint>,
  report: ChaosReport,
): Promise<void> {
  const fsck = await client.request(storeFsck, { root: fixture.root });
  for (const { problem, checkpoint } of fsck.problems) report.losses.push(`fsck: ${checkpoint ?? ''} ${problem}`);
  const runs = new Set([...committed.values()].map(({ run }) => run));
  for (const run of runs) {
    const kept = new Map<string, string>();
    for (const trashed of [false, true]) {
      const page = await client.request(checkpointList, { root: fixture.root, run, trashed });
      for (const { id, stateDigest } of page.checkpoints) kept.set(id, stateDigest);
    }
    for (const { id, stateDigest } of committed.values()) {
      if (committed.get(id)!.run === run && kept.get(id) !== stateDigest)
        report.losses.push(`checkpoint ${id} is gone or changed`);
    }
  }
}

export function remember(committed: Map<string, Checkpoint>, shown: { checkpoints: Checkpoint[] } | null): void {
  for (const checkpoint of shown?.checkpoints ?? []) committed.set(checkpoint.id, checkpoint);
}

export async function tryShow(client: Client, fixture: Fixture, run: string) {
  return show(client, fixture, run).catch(() => null);
}

export async function reconnected(fixture: Fixture, client: Client): Promise<Client> {
  try {
    await client.request(daemonStatus, {});
    return client;
  } catch {
    return openProject(fixture);
  }
}

/** Waits until the run is running or has ended; with `end`, until it has ended. */
export async function settled(client: Client, fixture: Fixture, run: string, end = false): Promise<Run> {
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
