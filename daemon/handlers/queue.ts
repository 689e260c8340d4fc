/** Handlers of the messages about the queue of the machine. */
import { queueChange, queueList } from '../../protocol/messages/queue.ts';
import { changeQueue, queueState } from '../queue/overview.ts';
import type { Handling } from './handling.ts';

export function queueHandlers({ on, daemon, access }: Handling): void {
  on(queueList, 'reads', async ({ root }) => {
    await access.project(root);
    return queueState(daemon.device);
  });
  on(queueChange, 'changes', async ({ root, ...change }) => {
    await changeQueue(daemon.device, await access.accepted(root), change);
    return queueState(daemon.device);
  });
}
