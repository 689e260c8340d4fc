/** Reports the size of a store, and keeps it small and intact. */
import { renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { syncDirectory } from '../../../base/files.ts';
import type { StoreUsage } from '../../../protocol/domain.ts';
import { type FsckReport, TRASH_DAYS } from '../../../protocol/messages/store.ts';
import { LIVE_STATUSES } from '../../../protocol/status.ts';
import { Catalog } from '../catalog/catalog.ts';
import { openCatalog } from '../catalog/catalog-schema.ts';
import { Metrics } from '../catalog/metrics.ts';
import { checkCatalog, checkObjects } from '../maintenance/fsck.ts';
import { bytesOutside, sweepStore } from '../maintenance/outside.ts';
import { unpackedBytes } from '../maintenance/packing.ts';
import type { Packed } from '../maintenance/schedule.ts';
import { rewriteObjects, type ScrubOptions, scrubDatabases, wipeFree } from '../maintenance/scrub.ts';
import { returnSpace, withReserve } from '../maintenance/sweep.ts';
import { fillCatalog } from '../rebuild.ts';
import { setAside } from './opening.ts';
import type { Parts } from './parts.ts';

const DAY_MS = 86_400_000;

export function upkeepApi(parts: Parts) {
  const pause = () => breathe();
  return {
    async usage(): Promise<StoreUsage> {
      const { count, trashed, trashBytes } = parts.catalog.countCheckpoints();
      const size = (name: string) => statSync(join(parts.path, name), { throwIfNoEntry: false })?.size ?? 0;
      const number = (name: string) =>
        Number(Object.values(parts.objects.database.prepare(`PRAGMA ${name}`).get()!)[0]);
      const outside = await bytesOutside(parts.path, pause);
      return {
        objectsBytes: size('objects.db'),
        catalogBytes: size('catalog.db') + size('catalog.db-wal'),
        sessionsBytes: outside.sessions + outside.incoming,
        filesBytes: outside.files,
        stashesBytes: outside.stashes,
        otherBytes: outside.other,
        leftBytes: outside.left,
        freeBytes: number('freelist_count') * number('page_size'),
        trashBytes,
        quotaBytes: parts.quotaBytes,
        checkpoints: count,
        trashedCheckpoints: trashed,
      };
    },
    /** Removes leftovers of processes that were killed while working in the store. */
    sweepStore: () => sweepStore(parts.path),
    async gc(emptyTrash: boolean) {
      const limit = emptyTrash ? Number.POSITIVE_INFINITY : Date.now() - TRASH_DAYS * DAY_MS;
      return withReserve(parts.path, async () => {
        const expired = parts.catalog.trashedCheckpoints().filter(({ trashedAt }) => trashedAt! < limit);
        for (const { id } of expired) parts.forgetCheckpoint(id);
        for (const { id } of parts.catalog.runsTrashedBefore(Math.min(limit, 1e300))) await parts.purgeRun(id);
        const removedChunks = await parts.upkeep.sweep();
        const returnedBytes = await returnSpace(parts.path, parts.objects, pause, true);
        return { removedCheckpoints: expired.length, removedChunks, returnedBytes };
      });
    },
    unpackedBytes: () => unpackedBytes(parts.objects),
    fillChecksums: (milliseconds: number): Promise<boolean> => parts.upkeep.fillChecksums(milliseconds),
    pack(milliseconds: number, minAgeMs: number): Promise<Packed> {
      const isLive = (run: string) => LIVE_STATUSES.includes(parts.catalog.run(run)?.status ?? 'lost');
      return parts.upkeep.pack(milliseconds, minAgeMs, isLive);
    },
    /** Reads everything. `full` compares SHA-256 as well, and records missing and wrong checksums anew. */
    async fsck(rebuild: boolean, full = false): Promise<FsckReport> {
      const report = await checkObjects(parts.objects, { full, mend: full }, pause);
      if (!rebuild) {
        const problems = [...report.problems, ...checkCatalog(parts.objects, parts.catalog)];
        return { ...report, problems, rebuilt: null };
      }
      return { ...report, rebuilt: rebuildCatalog(parts) };
    },
    async scrub(options: ScrubOptions) {
      const report = await scrubDatabases(parts.path, parts.objects, parts.catalog, options);
      parts.follow(() => {});
      return report;
    },
    wipeFree: () => wipeFree(parts.path, parts.objects, parts.catalog),
    rewriteObjects: () => rewriteObjects(parts.path, parts.objects),
  };
}

/** Rebuilds the catalog next to the old one, which is set aside only when the new one is complete. */
function rebuildCatalog(parts: Parts): NonNullable<FsckReport['rebuilt']> {
  const path = join(parts.path, 'catalog.db');
  const fresh = join(parts.path, 'catalog-new.db');
  const suffixes = ['', '-wal', '-shm'];
  const remove = () => suffixes.forEach((suffix) => void rmSync(fresh + suffix, { force: true }));
  remove();
  let rebuilt: NonNullable<FsckReport['rebuilt']>;
  try {
    const database = openCatalog(fresh);
    try {
      const catalog = new Catalog(database);
      rebuilt = fillCatalog(parts.objects, catalog, new Metrics(catalog), parts.path);
      // Closing would do this as well, but without an error when the disk is full: the file alone would then be
      // incomplete.
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } finally {
      database.close();
    }
  } catch (error) {
    remove();
    throw error;
  }
  parts.catalog.database.close();
  const putBack = setAside(parts.path);
  try {
    renameSync(fresh, path);
    syncDirectory(parts.path);
    useCatalog(parts, path);
  } catch (error) {
    // The new catalog used the last space: the old one needs none.
    putBack();
    useCatalog(parts, path);
    throw error;
  }
  return rebuilt;
}

function useCatalog(parts: Parts, path: string): void {
  parts.catalog = new Catalog(openCatalog(path));
  parts.metrics = new Metrics(parts.catalog);
}
