/** Compares steps computed again after a kill with their first record: a proof without extra work. */
import type { Catalog } from './catalog.ts';
import type { Metrics } from './metrics.ts';
import type { Points } from './points.ts';

export interface Overlap {
  /** Checkpoint that the session resumed from. */
  checkpoint: string;
  /** Number of steps that both have, and of those equal in every bit of every common metric. */
  steps: number;
  equal: number;
  firstDifferent: { step: number; metric: string; recorded: number; replayed: number } | null;
  /** Newest step that was recorded before: once it is computed again there is nothing more to compare. */
  recordedUpTo: number;
}

/** Metrics that measure time or load never repeat. */
const MEASURES_TIME =
  /(^|[_/.\s-])(time|seconds?|secs?|ms|fps|speed|throughput|duration|elapsed|memory|mem|runtime)($|[_/.\s-])|per_sec/i;

/** Compares the steps. Null when the session did not resume, or nothing after its checkpoint had been recorded. */
export function compareOverlap(catalog: Catalog, metrics: Metrics, sessionId: string): Overlap | null {
  const session = catalog.session(sessionId);
  if (!session?.resumedFrom) return null;
  const origin = catalog.checkpoint(session.resumedFrom.checkpoint)?.session;
  const before = catalog
    .sessions(session.run)
    .filter(
      ({ id, ordinal, purpose }) =>
        purpose === 'train' && (id === origin || ordinal < session.ordinal) && id !== session.id,
    );
  const from = session.resumedFrom.step;
  const equalAt = new Map<number, boolean>();
  let firstDifferent: Overlap['firstDifferent'] = null;
  let recordedUpTo = from;
  for (const name of new Set(before.flatMap((earlier) => metrics.names(earlier.id)))) {
    if (MEASURES_TIME.test(name)) continue;
    const recorded = new Map(before.flatMap((earlier) => [...tellingsAfter(from, metrics.read(earlier.id, name))]));
    for (const step of recorded.keys()) recordedUpTo = Math.max(recordedUpTo, step);
    for (const [step, replayed] of tellingsAfter(from, metrics.read(sessionId, name))) {
      for (const [i, old] of (recorded.get(step) ?? []).entries()) {
        // Not logged yet.
        if (i >= replayed.length) break;
        const same = Object.is(old, replayed[i]);
        equalAt.set(step, (equalAt.get(step) ?? true) && same);
        if (!same && (firstDifferent === null || step < firstDifferent.step))
          firstDifferent = { step, metric: name, recorded: old, replayed: replayed[i]! };
      }
    }
  }
  if (recordedUpTo === from) return null;
  const equal = [...equalAt.values()].filter(Boolean).length;
  return { checkpoint: session.resumedFrom.checkpoint, steps: equalAt.size, equal, firstDifferent, recordedUpTo };
}

/** Collects all values of each step in order: the first value of one session is compared with the first of another. */
function tellingsAfter(from: number, { steps, values }: Points): Map<number, number[]> {
  const tellings = new Map<number, number[]>();
  for (let i = 0; i < steps.length; i++) {
    if (!(steps[i]! > from)) continue;
    const known = tellings.get(steps[i]!);
    if (known) known.push(values[i]!);
    else tellings.set(steps[i]!, [values[i]!]);
  }
  return tellings;
}
