/** Runs that were recorded while nobody looked, or by an older version, get the branch that they are of now. */
import { giveIds } from '../branches/from-names.ts';
import type { KnownBranches } from '../branches/known-branches.ts';
import type { Place } from '../code/project.ts';
import type { Store } from '../store/client.ts';

export async function nameRuns(
  store: Store,
  branches: KnownBranches,
  { root, store: storePath }: Place,
): Promise<void> {
  await giveIds({ ...branches.directories, root, storePath, known: branches });
  for (const run of await store.runsWithoutBranchId()) {
    const branchId = await branches.idAt(run.branch!, run.createdAt);
    if (branchId !== null) await store.putRun({ ...run, branchId });
  }
  const names = branches.all().flatMap(({ id, name, state }) => (state === 'there' ? [[id, name] as const] : []));
  await store.nameBranches(names.map(([id, name]) => [id, name]));
}
