/** Handlers of the messages about the store's upkeep. */
import { resolve } from 'node:path';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import {
  storeEject,
  storeFsck,
  storeGc,
  storeKept,
  storePack,
  storeScrub,
  storeTrash,
} from '../../protocol/messages/store.ts';
import { PACK_SLICE_MS } from '../idle-packing.ts';
import { scrub } from '../scrub.ts';
import { cancelled } from '../tensors/client.ts';
import type { Handling } from './handling.ts';

export function storeHandlers({ on, daemon, access }: Handling): void {
  on(storeKept, 'reads', async ({ root, run }) => ({ runs: await (await access.project(root)).kept(run) }));
  on(storeTrash, 'reads', async ({ root }) => {
    const { trash, worktrees } = await access.project(root);
    const stashes = await worktrees.stashes.list();
    return { ...(await trash.list()), stashes: stashes.filter(({ droppedAt }) => droppedAt !== null) };
  });
  on(storeGc, 'changes', async ({ root, emptyTrash }) => {
    const { store, worktrees } = await access.project(root);
    await worktrees.tidy(emptyTrash ?? false);
    const evictedBytes = await worktrees.evict(await daemon.rootOf(root));
    const report = await store.gc(emptyTrash ?? false);
    return { ...report, returnedBytes: report.returnedBytes + evictedBytes };
  });
  on(storePack, 'changes', async ({ root }, _client, task) => {
    const { store } = await access.project(root);
    const total = await store.unpackedBytes();
    for (let savedBytes = 0; ; ) {
      if (task.signal.aborted) throw cancelled();
      const slice = await store.pack(PACK_SLICE_MS, 0);
      savedBytes += slice.savedBytes;
      if (!slice.more) return { savedBytes, noRoom: slice.noRoom };
      task.progress(total - (await store.unpackedBytes()), total);
    }
  });
  on(storeFsck, 'changes', async ({ root, rebuild, full }) => {
    const opened = await access.project(root).catch((error: unknown) => {
      // The request asks what is wrong with the store.
      if (isError(error, 'storeForeign') || isError(error, 'storeUnusable')) return null;
      throw error;
    });
    if (!opened) return daemon.look(root);
    if (rebuild && opened.busy)
      throw new TrainstashError(
        'wrongStatus',
        'Runs are live, so the catalog cannot be rebuilt. Nothing was changed; pause or stop them first.',
        { run: '', status: 'running', allowed: [] },
      );
    const report = await opened.store.fsck(rebuild ?? false, full ?? false);
    // Sessions that exist only as directories are found as after a restart.
    if (rebuild) await daemon.forget(opened);
    return report;
  });
  on(storeScrub, 'changes', async ({ root, apply, logs }) =>
    scrub(await (apply ? access.accepted(root) : access.project(root)), {
      apply,
      logs: logs ?? false,
      ...daemon.scrubPaths,
    }),
  );
  on(storeEject, 'changes', async ({ root, directory }) => {
    const opened = await access.accepted(root);
    const result = await opened.eject(resolve(root, directory));
    await daemon.forget(opened);
    return result;
  });
}
