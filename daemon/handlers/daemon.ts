/** Handlers of the messages about the daemon itself. */

import { daemonHandOver, daemonState, daemonStatus, daemonStop } from '../../protocol/messages/daemon.ts';
import { compareBuilds } from '../../protocol/version.ts';
import type { Handling } from './handling.ts';

export function daemonHandlers({ on, daemon }: Handling): void {
  on(daemonStatus, 'reads', () => daemon.status());
  on(daemonState, 'reads', () => daemon.state());
  on(daemonStop, 'changes', () => {
    const live = daemon.liveRuns().length;
    daemon.stopSoon('asked');
    return { live };
  });
  on(daemonHandOver, 'reads', ({ build }) => {
    const accepted = compareBuilds(build, daemon.build) > 0;
    if (accepted) daemon.stopSoon('handOver');
    return { accepted };
  });
}
