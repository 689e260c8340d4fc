/** Compares the tensors of two checkpoints. */
import type { WeightsDiff } from '../../protocol/diff.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { type ContentWorkers, runContentRequest, type Watcher } from '../tensors/client.ts';
import type { NameMapping } from '../tensors/names.ts';
import { findSides, labelOf, type Side, type SideContext } from './operands.ts';

/** Compares the weights; `workers` read them. Rejects with `notFound` when a side has no checkpoint. */
export async function diffWeights(
  context: SideContext,
  workers: ContentWorkers,
  queries: readonly string[],
  mapping: NameMapping[],
  watcher: Watcher,
): Promise<WeightsDiff> {
  const [first, second] = (await findSides(context, queries)) as [Side, Side];
  const sides: [string, string] = [labelOf(first), labelOf(second)];
  const checkpoints = [checkpointOf(first), checkpointOf(second)] as const;
  if (checkpoints[0].stateDigest === checkpoints[1].stateDigest) return { sides, ...SAME };
  const ids: [string, string] = [checkpoints[0].id, checkpoints[1].id];
  const result = await runContentRequest(workers, context.store, { do: 'compare', checkpoints: ids, mapping }, watcher);
  return { sides, ...result };
}

/** Result for equal digests: nothing has to be read, not even the list of tensors. */
const SAME: Omit<WeightsDiff, 'sides'> = {
  equal: true,
  counts: { equal: 0, equalUnread: 0, changed: 0, reshaped: 0, unreadable: 0 },
  only: [
    { names: [], count: 0 },
    { names: [], count: 0 },
  ],
  totals: [],
  tensors: [],
  notes: [],
  readBytes: 0,
};

function checkpointOf({ run, checkpoint }: Side) {
  if (checkpoint) return checkpoint;
  throw new TrainstashError('notFound', `${run.name} has no checkpoint, so there are no weights to compare.`, {
    what: 'checkpoint',
    query: run.name,
  });
}
