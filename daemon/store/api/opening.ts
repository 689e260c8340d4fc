/** Opens the two databases of a store: content unchanged or not at all; a damaged catalog is rebuilt. */
import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../../base/sqlite.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import { Catalog } from '../catalog/catalog.ts';
import { openCatalog } from '../catalog/catalog-schema.ts';
import { Metrics } from '../catalog/metrics.ts';
import { asStoreError, failureOf } from '../failures.ts';
import { Objects } from '../objects/objects.ts';
import { openObjectsDatabase } from '../objects/objects-schema.ts';
import { fillCatalog } from '../rebuild.ts';

export function openObjects(path: string): Objects {
  refuseWithoutContent(path);
  try {
    return new Objects(openObjectsDatabase(path));
  } catch (error) {
    const known = failureOf(error) === 'damaged' ? error : asStoreError(error, path);
    if (known instanceof TrainstashError) throw known;
    throw new TrainstashError(
      'storeUnusable',
      `${path} cannot be opened as a database (${(error as Error).message}). Nothing was changed, and checkpoints that the store has not yet taken in are safe in ${join(path, '..', 'sessions')}. Restore a copy of the file, or move it away to start an empty store.`,
      { path, reason: (error as Error).message },
    );
  }
}

/** Throws where the content is gone: SQLite would begin an empty database, and the catalog would follow it and forget everything. */
function refuseWithoutContent(path: string): void {
  const [size, catalog] = [sizeOf(path), join(path, '..', 'catalog.db')];
  if (size ? size > 0 : (sizeOf(catalog) ?? 0) === 0) return;
  if (size === undefined && !listsCheckpoints(catalog)) return;
  const [what, reason] =
    size === undefined
      ? ['is not there, although the catalog beside it lists checkpoints', 'the file is missing']
      : ['is empty, although the catalog beside it is not', 'the file is empty'];
  throw new TrainstashError(
    'storeUnusable',
    `${path} ${what}. Nothing was changed, and checkpoints that the store has not yet taken in are safe in ${join(path, '..', 'sessions')}. Bring the file back, or mount the disk that it is on. To start an empty store, move objects.db and catalog.db away.`,
    { path, reason },
  );
}

/** Tells whether a catalog lists any checkpoints; one that cannot be read may. */
function listsCheckpoints(path: string): boolean {
  let database: Database | null = null;
  try {
    database = openDatabase(path);
    return database.prepare('SELECT 1 FROM checkpoint LIMIT 1').get() !== undefined;
  } catch {
    return true;
  } finally {
    database?.close();
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/**
 * Opens the catalog. One that is damaged, or contains foreign entries, is set aside and rebuilt; one from a newer
 * version is not touched.
 */
export function openOrRebuild(store: string, objects: Objects): { catalog: Catalog; rebuilt: boolean } {
  const path = join(store, 'catalog.db');
  const fresh = !existsSync(path);
  let catalog = soundCatalog(path);
  const rebuilt = catalog === null || (fresh && objects.changes() > 0);
  if (catalog === null) {
    setAside(store);
    catalog = new Catalog(openCatalog(path));
  }
  if (rebuilt) fillCatalog(objects, catalog, new Metrics(catalog), store);
  return { catalog, rebuilt };
}

/** Opens the catalog; null if it must be rebuilt. Throws if it merely cannot be opened now. */
function soundCatalog(path: string): Catalog | null {
  let database: Database;
  try {
    database = openCatalog(path);
  } catch (error) {
    if (isError(error, 'storeForeign') || failureOf(error) === 'damaged') return null;
    throw asStoreError(error, path);
  }
  try {
    const catalog = new Catalog(database);
    if (Object.values(database.prepare('PRAGMA quick_check(1)').get()!)[0] === 'ok' && !catalog.isSpoilt)
      return catalog;
  } catch (error) {
    if (failureOf(error) !== 'damaged') {
      database.close();
      throw asStoreError(error, path);
    }
  }
  database.close();
  return null;
}

const SUFFIXES = ['', '-wal', '-shm'];

/**
 * Moves the catalog, which nobody has open, out of the way. Returns a function that puts it back, replacing the new
 * one.
 */
export function setAside(store: string): () => void {
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const places = SUFFIXES.map((suffix) => [
    join(store, `catalog.db${suffix}`),
    join(store, `catalog-damaged-${stamp}.db${suffix}`),
  ]) as [string, string][];
  for (const [file, aside] of places) if (existsSync(file)) renameSync(file, aside);
  return () => {
    for (const [file, aside] of places)
      if (existsSync(aside)) renameSync(aside, file);
      else rmSync(file, { force: true });
  };
}
