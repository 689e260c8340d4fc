/** Opens the known branches of a project and links its runs to them. */
import { migrateToIds } from '../branches/from-names.ts';
import { KnownBranches, type KnownBranchesSetup } from '../branches/known-branches.ts';
import { gitUnusable } from '../code/failure.ts';
import type { Place } from '../code/project.ts';
import { findRepository } from '../code/repository.ts';
import type { Store } from '../store/client.ts';

/**
 * Opens the known branches; null without git. Throws `gitUnusable`.
 */
export async function branchesOf(
  { root, store, git }: Place,
  setup: Pick<KnownBranchesSetup, 'renamed' | 'mayWrite'>,
): Promise<KnownBranches | null> {
  const repository = git ? await findRepository(root) : null;
  if (repository?.kind === 'failed') throw gitUnusable(repository.failure);
  if (repository?.kind !== 'repository') return null;
  const { gitDirectory, common } = repository;
  return new KnownBranches({ root, gitDirectory, common, storePath: store, ...setup });
}

/**
 * Gives the current branch to runs that were recorded without a branch id: while no daemon was running, or by an older
 * version.
 */
export async function nameRuns(
  store: Store,
  branches: KnownBranches,
  { root, store: storePath }: Place,
): Promise<void> {
  await migrateToIds({ ...branches.directories, root, storePath, known: branches });
  for (const run of await store.runsWithoutBranchId()) {
    const branchId = await branches.idAt(run.branch!, run.createdAt);
    if (branchId !== null) await store.changeRun(run.id, { set: { branchId } });
  }
  const names = branches.all().flatMap(({ id, name, state }) => (state === 'there' ? [[id, name] as const] : []));
  await store.nameBranches(names.map(([id, name]) => [id, name]));
}
