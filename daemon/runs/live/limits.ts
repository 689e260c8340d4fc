/** Limits of a run: a session that reaches one is paused, with a checkpoint. */
import { duration, integer } from '../../../protocol/words.ts';
import type { LiveRun } from './live-run.ts';

const LOOK_MS = 500;
const HOUR_MS = 3_600_000;

/** Watches a live run until it ends. */
export function watchLimits(live: LiveRun): void {
  if (!live.run.limits) return;
  const timer = setInterval(() => {
    const reached = reachedLimit(live);
    if (reached === null || live.run.status !== 'running') return;
    clearInterval(timer);
    // Asked before anything is awaited: meanwhile it could end, or be stopped.
    const paused = live.requestPause();
    const told = live.addNotices([{ code: 'limit', level: 'info', text: `It is paused: ${reached}.` }]);
    void Promise.all([paused, told]);
  }, LOOK_MS);
  timer.unref();
  const end = () => clearInterval(timer);
  void live.follower.finished.then(end, end);
}

/** Says which limit the run has reached; null: none. */
function reachedLimit({ run, follower }: LiveRun): string | null {
  // A process that waits off its GPU cannot be asked; the limit counts once it is back.
  if (follower.isHeld) return null;
  const { hours, steps } = run.limits ?? {};
  const trained = Date.now() - follower.session.startedAt;
  if (hours !== undefined && trained >= hours * HOUR_MS)
    return `it has trained for ${duration(trained / 1000)}, its limit`;
  return steps !== undefined && run.step >= steps ? `it has reached step ${integer(steps)}, its limit` : null;
}
