/**
 * Opens a store and returns the functions that its worker offers to the daemon. One instance for each store; all of
 * SQLite is behind these functions.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { linksIn, storeForeign } from '../../base/foreign.ts';
import { randomId } from '../../protocol/ids.ts';
import { checkpointsApi } from './api/checkpoints.ts';
import { exchangeApi } from './api/exchange.ts';
import { filesApi } from './api/files.ts';
import { keepingApi } from './api/keeping.ts';
import { upkeepApi } from './api/maintenance.ts';
import { metricsApi } from './api/metrics.ts';
import { openObjects, openOrRebuild } from './api/opening.ts';
import { Parts } from './api/parts.ts';
import { runsApi } from './api/runs.ts';
import type { Catalog } from './catalog/catalog.ts';
import { Metrics } from './catalog/metrics.ts';
import { Writing } from './checkpoints/writing.ts';
import { Upkeep } from './maintenance/schedule.ts';
import { Coders } from './objects/codec-pool.ts';
import { Hasher } from './objects/hasher.ts';
import type { Objects } from './objects/objects.ts';
import { defaultQuotaBytes, takeOwnership } from './ownership.ts';
import { followObjects } from './rebuild.ts';

const STORE_ID = 'store';

export interface StoreOptions {
  /** Directory of the store; created when missing. */
  path: string;
  /** Bundle of the hasher thread. */
  hasherEntry: string;
  /** Bundle of the coder threads. */
  coderEntry: string;
  /** Bundle of the thread that writes restored files. */
  writingEntry: string;
  quotaBytes?: number;
}

export type StoreApi = ReturnType<typeof openStore>;

export function openStore(options: StoreOptions) {
  const { path } = options;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const links = linksIn(path);
  if (links.length > 0) throw storeForeign(path, links);
  mkdirSync(join(path, 'sessions'), { recursive: true });
  const ownership = takeOwnership(path);
  let objects: Objects;
  let catalog: Catalog;
  let rebuiltAtOpen = false;
  try {
    objects = openObjects(join(path, 'objects.db'));
    ({ catalog, rebuilt: rebuiltAtOpen } = openOrRebuild(path, objects));
    objects.useChecksums(join(path, 'objects.db'));
  } catch (error) {
    ownership.release();
    throw error;
  }
  const hasher = new Hasher(new URL(options.hasherEntry));
  const coders = new Coders(new URL(options.coderEntry));
  const writing = new Writing(new URL(options.writingEntry));
  const upkeep = new Upkeep(path, objects, coders);
  if (objects.meta('quota') === undefined)
    objects.setMeta('quota', String(options.quotaBytes ?? defaultQuotaBytes(path)));
  followObjects(objects, catalog);
  const parts = new Parts({ path, objects, catalog, metrics: new Metrics(catalog), hasher, coders, writing, upkeep });
  return {
    /** Returns facts about the store. This machine recognises the store by its `id`; null until it has one. */
    info: () => ({ driver: objects.database.driver, rebuiltAtOpen, id: objects.meta(STORE_ID) ?? null }),
    giveId(): string {
      const id = objects.meta(STORE_ID) ?? randomId();
      objects.setMeta(STORE_ID, id);
      return id;
    },
    ...runsApi(parts),
    ...checkpointsApi(parts),
    ...filesApi(parts),
    ...exchangeApi(parts),
    ...metricsApi(parts),
    ...upkeepApi(parts),
    ...keepingApi(parts),
    async close(): Promise<void> {
      await upkeep.close();
      await coders.close();
      await writing.close();
      await hasher.close();
      parts.catalog.database.close();
      objects.close();
      ownership.release();
    },
  };
}
