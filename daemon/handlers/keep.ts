/** Handlers of the messages about what is kept for good: pins, models, the quota, and the plan of a deletion. */
import { modelPromote, pinSet, storePlan, storeQuota } from '../../protocol/messages/keep.ts';
import { setPins } from '../models/pins.ts';
import { promote } from '../models/promote.ts';
import { exportContext } from './exporting.ts';
import type { Handling } from './handling.ts';

export function keepHandlers({ on, daemon, access }: Handling): void {
  on(pinSet, 'changes', async ({ root, targets, remove }) => ({
    pinned: await setPins(await access.project(root), targets, !remove),
  }));
  on(modelPromote, 'changes', async ({ root, ...request }, _client, task) =>
    promote(exportContext(daemon, access, root, await access.accepted(root)), request, task),
  );
  on(storePlan, 'reads', async ({ root, emptyTrash }) => (await access.project(root)).store.plan(emptyTrash ?? false));
  on(storeQuota, 'changes', async ({ root, bytes, dryRun }) => {
    const { store } = await access.project(root);
    if (bytes !== undefined && !dryRun) await store.setQuota(bytes);
    return store.quota(dryRun ? bytes : undefined);
  });
}
