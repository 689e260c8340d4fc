/** Chooses the runs whose curves are shown. Pure. */
import type { RunRow } from '../contract.ts';

/** Number of runs that a fresh dashboard shows, beside live ones. */
const NEWEST = 5;
const MAX_CHOSEN = 20;

export interface Choice {
  ids: readonly string[];
  /** Number of the newest run when the choice was made: later ones join it. */
  upTo: number;
  /** Runs that had no curves when the choice was made, and may get some: they join it, too. */
  waited: readonly string[];
}

/** Returns the runs to show: pinned ones, then the oldest addition first; runs that are gone are left out. A null choice was never made. */
export function chosenOf(
  choice: Choice | null,
  rows: ReadonlyMap<string, RunRow>,
  pinned: readonly string[] = [],
): string[] {
  const { ids, upTo, waited } = choice ?? firstChoice([...rows.values()]);
  const kept = pinned.filter((id) => rows.has(id)).slice(0, MAX_CHOSEN);
  const known = ids.filter((id) => rows.has(id) && !kept.includes(id));
  const joined = [...rows.values()]
    .filter((row) => row.number > upTo || waited.includes(row.id))
    .filter((row) => hasCurves(row) && !known.includes(row.id) && !kept.includes(row.id))
    .sort((a, b) => a.number - b.number)
    .map(({ id }) => id);
  const most = MAX_CHOSEN - kept.length;
  return [...kept, ...(most > 0 ? [...known, ...joined].slice(-most) : [])];
}

/** Makes a choice of exactly these runs. Those that have yet to get curves may still join: nobody has seen them. */
export function choose(ids: readonly string[], rows: ReadonlyMap<string, RunRow>): Choice {
  const waited = [...rows.values()].filter((row) => row.live && !hasCurves(row));
  return { ids: ids.slice(-MAX_CHOSEN), upTo: newestOf(rows.values()), waited: waited.map(({ id }) => id) };
}

/** Chooses live runs and the newest ones that have curves; a run that comes later joins. */
export function firstChoice(rows: readonly RunRow[]): Choice {
  const newest = rows.filter(hasCurves).sort((a, b) => b.number - a.number);
  const chosen = newest.filter(({ live }, place) => live || place < NEWEST).slice(0, MAX_CHOSEN);
  return choose(chosen.map(({ id }) => id).reverse(), new Map(rows.map((row) => [row.id, row])));
}

function hasCurves({ metrics }: RunRow): boolean {
  return Object.keys(metrics).length > 0;
}

function newestOf(rows: Iterable<RunRow>): number {
  let newest = 0;
  for (const { number } of rows) newest = Math.max(newest, number);
  return newest;
}
