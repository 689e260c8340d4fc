/** Where runs have come from. */
import type { LineageDiff } from '../../protocol/diff.ts';
import type { Checkpoint, Run, Session } from '../../protocol/domain.ts';

export interface Family {
  checkpoint(id: string): Promise<Checkpoint | null | undefined>;
  /** Those that a run still has. */
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
  const first = checkpoint?.id ?? run.lastCheckpoint?.id ?? run.parent?.checkpoint;
  let next = first === undefined ? null : await family.checkpoint(first);
  while (next && !seen.has(next.id) && line.length < MAX_ANCESTORS) {
    seen.add(next.id);
    line.push(next);
    const parent: string | null = next.parent;
    next = parent === null ? null : ((await family.checkpoint(parent)) ?? (await keptBefore(next, family)));
  }
  const origin = run.parent && !seen.has(run.parent.checkpoint) ? await family.checkpoint(run.parent.checkpoint) : null;
  return origin ? [...line, origin] : line;
}

/** Its parent was pruned, as most are in time: what is left of its session before it, or what that session started from. */
async function keptBefore(checkpoint: Checkpoint, family: Family): Promise<Checkpoint | null | undefined> {
  const isBefore = (one: Checkpoint) =>
    one.session === checkpoint.session && compareAge(one, checkpoint) < 0 && one.id !== checkpoint.id;
  const [newest] = (await family.checkpoints(checkpoint.run)).filter(isBefore).sort((a, b) => compareAge(b, a));
  if (newest) return newest;
  const from = (await family.session(checkpoint.session))?.resumedFrom;
  return from && family.checkpoint(from.checkpoint);
}

function compareAge(a: Checkpoint, b: Checkpoint): number {
  return a.step - b.step || a.createdAt - b.createdAt;
}
