/** Chooses the backend for `auto`, with the reason in one line. Pure. */
import type { BackendFinding } from '../../protocol/backends.ts';

export interface Chosen {
  finding: BackendFinding;
  reason: string;
}

/** Factor for threads: if they win by less, they are not worth the cores they take from everything else. */
const WORTHWHILE_FACTOR = 0.9;

/** Chooses from `findings`, which have all been tried. Null where none can be used. */
export function chooseFastest(findings: readonly BackendFinding[]): Chosen | null {
  const usable = findings.filter((finding) => finding.problem === null && finding.stepMs !== null);
  const one = usable.filter(({ threads }) => threads === 1);
  const fastest = (of: readonly BackendFinding[]) =>
    of.reduce<BackendFinding | null>((best, next) => (best && best.stepMs! <= next.stepMs! ? best : next), null);
  const single = fastest(one);
  const threaded = fastest(usable.filter(({ threads }) => threads > 1));
  const best = threaded && (!single || threaded.stepMs! < single.stepMs! * WORTHWHILE_FACTOR) ? threaded : single;
  if (!best) return null;
  const second = fastest(usable.filter((finding) => finding !== best && finding.backend !== 'cpu'));
  const parts = [
    `${best.threads > 1 ? `with ${best.threads} threads ` : ''}${round(best.stepMs!)} ms for a step of the trial`,
    ...(second ? [`${titleOf(second)} takes ${round(second.stepMs!)}`] : []),
    rejectionsOf(findings),
  ];
  return { finding: best, reason: parts.filter(Boolean).join('; ') };
}

/** Names the backends that are here but cannot be used or trusted; empty if there are none. */
export function rejectionsOf(findings: readonly BackendFinding[]): string {
  return findings
    .filter(({ problem, missing }) => problem !== null && missing === null)
    .map((finding) => `${titleOf(finding)} was rejected, because ${finding.problem}`)
    .join('; ');
}

export function titleOf({ backend, threads }: Pick<BackendFinding, 'backend' | 'threads'>): string {
  return threads > 1 ? `${backend} with ${threads} threads` : backend;
}

function round(milliseconds: number): string {
  return milliseconds < 10 ? milliseconds.toFixed(1) : String(Math.round(milliseconds));
}
