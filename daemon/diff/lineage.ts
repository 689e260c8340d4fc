/** Where runs have come from. */
import type { LineageDiff } from '../../protocol/diff.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';

export interface Family {
  checkpoint(id: string): Promise<Checkpoint | null | undefined>;
}

export interface LineageSide {
  run: Run;
  /** Null: the run as it is now. */
  checkpoint: Checkpoint | null;
  step: number;
}

const MAX_ANCESTORS = 100_000;

/** The newest checkpoint that all sides come from, or are. */
export async function diffLineage(sides: readonly LineageSide[], family: Family): Promise<LineageDiff> {
  const lines = await Promise.all(sides.map((side) => ancestorsOf(side, family)));
  const others = lines.slice(1).map((line) => new Set(line.map(({ id }) => id)));
  const found = lines[0]?.find(({ id }) => others.every((other) => other.has(id)));
  return {
    ancestor: found ? { checkpoint: found.id, run: found.run, step: found.step } : null,
    steps: sides.map(({ step }) => step - (found?.step ?? 0)),
  };
}

/** The newest first: itself, what it was taken after, what its session started from, and so on. */
async function ancestorsOf({ run, checkpoint }: LineageSide, family: Family): Promise<Checkpoint[]> {
  const line: Checkpoint[] = [];
  const seen = new Set<string>();
  let next = checkpoint?.id ?? run.lastCheckpoint?.id ?? run.parent?.checkpoint ?? null;
  while (next !== null && !seen.has(next) && line.length < MAX_ANCESTORS) {
    seen.add(next);
    const found: Checkpoint | null | undefined = await family.checkpoint(next);
    // Deleted: what came before it is not known any more, but for a fork's origin.
    if (!found) break;
    line.push(found);
    next = found.parent;
  }
  const origin = run.parent && !seen.has(run.parent.checkpoint) ? await family.checkpoint(run.parent.checkpoint) : null;
  return origin ? [...line, origin] : line;
}
