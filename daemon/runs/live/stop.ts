import type { Run } from '../../../protocol/domain.ts';
import type { LiveRun } from './live-run.ts';

/** Asks a live run to end. */
export function askToStop(live: LiveRun): Promise<Run> {
  live.request({ stop: true });
  const reason = live.run.cooperative ? 'at the next step' : 'its script was asked to end';
  return live.update({ status: 'stopping', reason });
}
