/** Finds the common ancestor of runs. */
import type { LineageDiff } from '../../protocol/diff.ts';
import type { Checkpoint, Run, Session } from '../../protocol/domain.ts';

export interface LineageReader {
  checkpoint(id: string): Promise<Checkpoint | null | undefined>;
  /** Lists the checkpoints that a run still has. */
  checkpoints(run: string): Promise<readonly Checkpoint[]>;
  session(id: string): Promise<Session | null | undefined>;
}

export interface LineageSide {
  run: Run;
  /** Null: the run as it is now. */
  checkpoint: Checkpoint | null;
  step: number;
}

const MAX_ANCESTORS = 100_000;

/** Finds the newest checkpoint that all sides descend from, or are. */
export async function diffLineage(sides: readonly LineageSide[], reader: LineageReader): Promise<LineageDiff> {
  const lines = await Promise.all(sides.map((side) => ancestorsOf(side, reader)));
  const others = lines.slice(1).map((line) => new Set(line.map(({ id }) => id)));
  const found = lines[0]?.find(({ id }) => others.every((other) => other.has(id)));
  return {
    ancestor: found ? { checkpoint: found.id, run: found.run, step: found.step } : null,
    steps: sides.map(({ step }) => step - (found?.step ?? 0)),
  };
}

/**
 * Lists a side's ancestors, the newest first: itself, its parents, the checkpoint that its session started from, and so
 * on.
 */
async function ancestorsOf({ run, checkpoint }: LineageSide, reader: LineageReader): Promise<Checkpoint[]> {
  const line: Checkpoint[] = [];
  const seen = new Set<string>();
  const first = checkpoint?.id ?? run.lastCheckpoint?.id ?? run.parent?.checkpoint;
  let next = first === undefined ? null : await reader.checkpoint(first);
  while (next && !seen.has(next.id) && line.length < MAX_ANCESTORS) {
    seen.add(next.id);
    line.push(next);
    const parent: string | null = next.parent;
    next = parent === null ? null : ((await reader.checkpoint(parent)) ?? (await nearestKept(next, reader)));
  }
  const origin = run.parent && !seen.has(run.parent.checkpoint) ? await reader.checkpoint(run.parent.checkpoint) : null;
  return origin ? [...line, origin] : line;
}

/**
 * Continues past a pruned parent (most are pruned in time): with the session's newest remaining checkpoint before it,
 * or else with the checkpoint that the session started from.
 */
async function nearestKept(checkpoint: Checkpoint, reader: LineageReader): Promise<Checkpoint | null | undefined> {
  const isBefore = (one: Checkpoint) =>
    one.session === checkpoint.session && compareAge(one, checkpoint) < 0 && one.id !== checkpoint.id;
  const [newest] = (await reader.checkpoints(checkpoint.run)).filter(isBefore).sort((a, b) => compareAge(b, a));
  if (newest) return newest;
  const from = (await reader.session(checkpoint.session))?.resumedFrom;
  return from && reader.checkpoint(from.checkpoint);
}

function compareAge(a: Checkpoint, b: Checkpoint): number {
  return a.step - b.step || a.createdAt - b.createdAt;
}
