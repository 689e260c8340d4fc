/** Determines the points of the sessions that make up a run's curve: no zigzag after a resume, no gap after a fork. */
import type { Session } from '../../../protocol/domain.ts';
import type { Catalog } from './catalog.ts';
import type { Segment } from './metrics.ts';

const MAX_ANCESTORS = 64;

export function lineageOf(catalog: Catalog, run: string, depth = 0): Segment[] {
  const sessions = catalog.sessions(run).filter((session) => session.purpose === 'train');
  const segments: Segment[] = [];
  for (const session of sessions) {
    const from = session.resumedFrom;
    if (segments.length === 0 && from && depth < MAX_ANCESTORS)
      segments.push(...ancestors(catalog, run, session, depth));
    // Without a checkpoint it started from the beginning: nothing earlier counts.
    hideAfter(segments, from?.step ?? Number.NEGATIVE_INFINITY);
    // Points of earlier steps are evaluations of an earlier checkpoint.
    segments.push({ session: session.id, to: Number.POSITIVE_INFINITY });
  }
  return segments;
}

/**
 * Returns the ancestors' part: a fork's first session starts from a checkpoint of another run, so that run's curve up
 * to there comes first.
 */
function ancestors(catalog: Catalog, run: string, first: Session, depth: number): Segment[] {
  const parent = catalog.run(run)?.parent;
  if (!parent || parent.run === run) return [];
  const segments = lineageOf(catalog, parent.run, depth + 1);
  const origin = catalog.checkpoint(parent.checkpoint)?.session;
  const last = segments.findIndex((segment) => segment.session === origin);
  const upTo = last < 0 ? segments : segments.slice(0, last + 1);
  hideAfter(upTo, first.resumedFrom!.step);
  return upTo;
}

function hideAfter(segments: Segment[], step: number): void {
  for (const segment of segments) segment.to = Math.min(segment.to, step);
}
