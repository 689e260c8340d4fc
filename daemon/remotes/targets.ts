/** Resolves what a person names: here for a push, on a remote for a pull. */
import type { Checkpoint } from '../../protocol/domain.ts';
import type { Store } from '../store/client.ts';
import type { Fetched, FetchedCheckpoint, FetchedRun } from './fetched.ts';
import { findFetchedCheckpoint, findFetchedRun } from './find.ts';

const PAGE = 200;

/** Resolves `RUN` to all of its checkpoints, and everything else to one. */
export async function named(
  { store, findCheckpoint }: { store: Store; findCheckpoint(query: string): Promise<Checkpoint> },
  targets: readonly string[],
): Promise<Checkpoint[]> {
  const found = new Map<string, Checkpoint>();
  for (const target of targets) {
    const run = target.includes('@') ? null : await store.findRun(target).catch(() => null);
    const checkpoints = run ? await store.checkpoints(run.id) : [await findCheckpoint(target)];
    for (const checkpoint of checkpoints) found.set(checkpoint.id, checkpoint);
  }
  return [...found.values()];
}

/** Lists all checkpoints outside the trash. */
export async function everything(store: Store): Promise<Checkpoint[]> {
  const found: Checkpoint[] = [];
  for (let before: number | null = null; ; ) {
    const { runs } = await store.runs({ drafts: true, trashed: false, before, limit: PAGE });
    for (const run of runs) found.push(...(await store.checkpoints(run.id)));
    if (runs.length < PAGE) return found;
    before = runs.at(-1)!.number;
  }
}

/** Chooses what targets name, among what was fetched. */
export function chosen(
  fetched: Fetched,
  name: string,
  targets: readonly { run?: string; checkpoint?: string }[],
): { runs: FetchedRun[]; checkpoints: FetchedCheckpoint[] } {
  const runs = new Map<string, FetchedRun>();
  const checkpoints = new Map<string, FetchedCheckpoint>();
  for (const { run: query, checkpoint } of targets) {
    const found = query === undefined ? fetched.runs : [findFetchedRun(fetched, name, query)];
    for (const one of found) runs.set(one.run.id, one);
    const own = checkpoint
      ? [findFetchedCheckpoint(fetched, name, found[0]!, checkpoint)]
      : fetched.checkpoints.filter((entry) => found.some(({ run }) => run.id === entry.checkpoint.run));
    for (const one of own) checkpoints.set(one.checkpoint.id, one);
  }
  const byAge = [...checkpoints.values()].sort((a, b) => a.checkpoint.createdAt - b.checkpoint.createdAt);
  return { runs: [...runs.values()].sort((a, b) => a.run.createdAt - b.run.createdAt), checkpoints: byAge };
}
