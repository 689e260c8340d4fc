/** Opens the two databases of a store: content as it is or not at all, the catalog anew where it is damaged. */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { TrainstashError } from '../../../protocol/errors.ts';
import { Catalog } from '../catalog.ts';
import { openCatalog } from '../catalog-schema.ts';
import { isDiskFull } from '../gc.ts';
import { Metrics } from '../metrics.ts';
import { Objects } from '../objects.ts';
import { fillCatalog } from '../rebuild.ts';

export function openObjects(path: string): Objects {
  try {
    return new Objects(path);
  } catch (error) {
    if (error instanceof TrainstashError) throw error;
    throw new TrainstashError(
      'storeUnusable',
      `${path} cannot be opened as a database (${(error as Error).message}). Nothing was changed. Checkpoints not yet taken in are still in ${join(path, '..', 'sessions')}; put a copy of the file back, or move it away to start an empty store.`,
      { path, reason: (error as Error).message },
    );
  }
}

/** A catalog that is damaged is set aside and rebuilt; one from the future is not touched. */
export function openOrRebuild(store: string, objects: Objects): { catalog: Catalog; rebuilt: boolean } {
  const path = join(store, 'catalog.db');
  const fresh = !existsSync(path);
  try {
    const database = openCatalog(path);
    const check = database.prepare('PRAGMA quick_check(1)').get()!;
    if (Object.values(check)[0] !== 'ok') {
      database.close();
      throw new Error(String(Object.values(check)[0]));
    }
    const catalog = new Catalog(database);
    if (fresh && objects.changes() > 0) {
      fillCatalog(objects, catalog, new Metrics(catalog), store);
      return { catalog, rebuilt: true };
    }
    return { catalog, rebuilt: false };
  } catch (error) {
    if (error instanceof TrainstashError || isDiskFull(error)) throw error;
    setAside(store);
    const catalog = new Catalog(openCatalog(path));
    fillCatalog(objects, catalog, new Metrics(catalog), store);
    return { catalog, rebuilt: true };
  }
}

export function setAside(store: string): void {
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  for (const suffix of ['', '-wal', '-shm']) {
    const file = join(store, `catalog.db${suffix}`);
    if (existsSync(file)) renameSync(file, join(store, `catalog-damaged-${stamp}.db${suffix}`));
  }
}
