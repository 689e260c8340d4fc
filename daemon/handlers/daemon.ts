/** Handlers of the messages about the daemon itself. */

import * as m from '../../protocol/messages.ts';
import { compareBuilds } from '../../protocol/version.ts';
import type { Handling } from './handling.ts';

export function daemonHandlers({ on, daemon }: Handling): void {
  on(m.daemonStatus, 'reads', () => daemon.status());
  on(m.daemonState, 'reads', () => daemon.state());
  on(m.daemonStop, 'changes', () => {
    const live = daemon.liveRuns().length;
    daemon.stopSoon('asked');
    return { live };
  });
  on(m.daemonHandOver, 'reads', ({ build }) => {
    const accepted = compareBuilds(build, daemon.build) > 0;
    if (accepted) daemon.stopSoon('handOver');
    return { accepted };
  });
}
