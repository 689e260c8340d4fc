/** How large a store is, and what keeps it small and whole. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { LIVE_STATUSES, type StoreUsage } from '../../../protocol/domain.ts';
import type { FsckReport } from '../../../protocol/messages.ts';
import { Catalog } from '../catalog.ts';
import { openCatalog } from '../catalog-schema.ts';
import { isDiskFull } from '../failures.ts';
import { checkCatalog, checkObjects } from '../fsck.ts';
import { returnSpace, TRASH_DAYS, withReserve } from '../gc.ts';
import { Metrics } from '../metrics.ts';
import { unpackedBytes } from '../packing.ts';
import { fillCatalog } from '../rebuild.ts';
import type { Packed } from '../upkeep.ts';
import { setAside } from './opening.ts';
import type { Parts } from './parts.ts';

const DAY_MS = 86_400_000;

export function upkeepApi(parts: Parts) {
  const pause = () => breathe();
  return {
    usage(): StoreUsage {
      const { count, trashBytes } = parts.catalog.countCheckpoints();
      const size = (name: string) => (existsSync(join(parts.path, name)) ? statSync(join(parts.path, name)).size : 0);
      const free = Number(Object.values(parts.objects.database.prepare('PRAGMA freelist_count').get()!)[0]);
      return {
        objectsBytes: size('objects.db'),
        catalogBytes: size('catalog.db') + size('catalog.db-wal'),
        sessionsBytes: directoryBytes(join(parts.path, 'sessions')),
        freeBytes: free * 65536,
        trashBytes,
        quotaBytes: Number(parts.objects.meta('quota')),
        checkpoints: count,
      };
    },
    setQuota: (bytes: number) => parts.objects.setMeta('quota', String(bytes)),
    async gc(emptyTrash: boolean) {
      const limit = emptyTrash ? Number.POSITIVE_INFINITY : Date.now() - TRASH_DAYS * DAY_MS;
      return withReserve(parts.path, async () => {
        const expired = parts.catalog.trashedCheckpoints().filter(({ trashedAt }) => trashedAt! < limit);
        for (const { id } of expired) parts.forgetCheckpoint(id);
        for (const { id } of parts.catalog.runsTrashedBefore(Math.min(limit, 1e300))) await parts.purgeRun(id);
        const removedChunks = await parts.upkeep.sweep();
        const returnedBytes = await returnSpace(parts.objects, pause, true);
        return { removedCheckpoints: expired.length, removedChunks, returnedBytes };
      });
    },
    unpackedBytes: () => unpackedBytes(parts.objects),
    pack(milliseconds: number, minAgeMs: number): Promise<Packed> {
      const isLive = (run: string) => LIVE_STATUSES.includes(parts.catalog.run(run)?.status ?? 'lost');
      return parts.upkeep.pack(milliseconds, minAgeMs, isLive);
    },
    async fsck(rebuild: boolean): Promise<FsckReport> {
      const report = await checkObjects(parts.objects, pause);
      if (!rebuild) {
        const problems = [...report.problems, ...checkCatalog(parts.objects, parts.catalog)];
        return { ...report, problems, rebuilt: null };
      }
      parts.catalog.database.close();
      setAside(parts.path);
      parts.catalog = new Catalog(openCatalog(join(parts.path, 'catalog.db')));
      parts.metrics = new Metrics(parts.catalog);
      return { ...report, rebuilt: fillCatalog(parts.objects, parts.catalog, parts.metrics, parts.path) };
    },
    isDiskFull: (error: { code?: string }) => isDiskFull(error),
  };
}

function directoryBytes(path: string): number {
  let bytes = 0;
  for (const entry of readdirSync(path, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    try {
      bytes += statSync(join(entry.parentPath, entry.name)).size;
    } catch {
      // Gone since the listing.
    }
  }
  return bytes;
}
