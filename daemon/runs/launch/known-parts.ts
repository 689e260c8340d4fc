/** Finds the parts that the files of a script had in earlier sessions and runs of the same job. */
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import type { CheckpointFile } from '../../../protocol/session.ts';
import { groupFiles, rolesOf } from '../../../session/groups.ts';
import type { Store } from '../../store/client.ts';

/** Number of newest checkpoints and runs to look at. */
const CHECKPOINTS = 6;
const RUNS = 3;
const RUNS_LISTED = 30;

export type KnownPartsStore = Pick<Store, 'checkpoints' | 'checkpointFacts' | 'runs'>;

/**
 * Maps each series to its parts. Looks at the run's own checkpoints if there are any, else at those of the job's newest
 * runs.
 */
export async function knownParts(store: KnownPartsStore, run: Run): Promise<Record<string, string[]>> {
  const known = new Map<string, Set<string>>();
  const own = await store.checkpoints(run.id);
  const checkpoints = own.length > 0 ? newest(own) : await checkpointsOfEarlierRuns(store, run);
  for (const { id } of checkpoints) {
    const facts = (await store.checkpointFacts(id))?.checkpoint;
    if (!facts || facts.place === null) continue;
    for (const { series, files } of groupFiles(filesOf(facts))) {
      const parts = known.get(series) ?? new Set();
      for (const role of rolesOf(files)) parts.add(role);
      known.set(series, parts);
    }
  }
  return Object.fromEntries([...known].map(([series, parts]) => [series, [...parts]]));
}

async function checkpointsOfEarlierRuns(store: KnownPartsStore, run: Run): Promise<Checkpoint[]> {
  const { runs } = await store.runs({ drafts: false, trashed: false, before: run.number, limit: RUNS_LISTED });
  const ofJob = runs.filter(({ job, checkpoints }) => job === run.job && checkpoints > 0).slice(0, RUNS);
  const lists = await Promise.all(ofJob.map(async ({ id }) => newest(await store.checkpoints(id)).slice(0, 2)));
  return lists.flat();
}

/** Leaves out incomplete checkpoints: they do not show which parts exist. */
function newest(checkpoints: readonly Checkpoint[]): Checkpoint[] {
  return checkpoints
    .filter(({ lacks }) => !lacks?.length)
    .sort((a, b) => b.createdAt - a.createdAt)
    .slice(0, CHECKPOINTS);
}

function filesOf({ place, files }: CheckpointFile) {
  const before = place ? `${place}/` : '';
  return files.map(({ name, bytes }) => ({ path: `${before}${name}`, ino: '', bytes, mtimeMs: 0 }));
}
