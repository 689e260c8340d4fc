/**
 * Frees room on a remote, in two phases. Objects that no manifest names are noted first, and deleted a day later at the earliest, by
 * another collection, if still no manifest names them. A push that finds one of its objects noted sends it again under another name,
 * so no lock is needed between the two.
 */
import { randomId } from '../../protocol/ids.ts';
import { damagedObject, keysOf } from './drivers/driver.ts';
import { inParallel } from './drivers/in-parallel.ts';
import { readManifest } from './fetched.ts';
import { CHECKPOINTS, candidatesKey, OBJECTS, objectKey, parseManifestKey, parseObject } from './layout.ts';
import type { Watcher } from './push.ts';
import type { Remote } from './remote.ts';

/** Time for which an object stays noted. */
export const COLLECTED_AFTER_MS = 86_400_000;
const IN_FLIGHT = 8;

export interface Collected {
  /** Objects that were deleted, or with `dryRun` would be. */
  deleted: { objects: number; bytes: number };
  /** Objects that are noted now, and can be deleted at `deletableAt` (null: there are none). */
  noted: { objects: number; bytes: number };
  deletableAt: number | null;
}

/** Collects. `dryRun` changes nothing. Throws `remoteDamaged` if a manifest cannot be read: it may name any object. */
export async function collect(remote: Remote, dryRun: boolean, { signal, progress }: Watcher): Promise<Collected> {
  await remote.requireSame();
  const { driver } = remote;
  const now = await driver.now();
  const lists = await remote.candidateLists(signal);
  const sizes = new Map<string, number>();
  for await (const { key, bytes } of driver.list(OBJECTS, signal)) if (parseObject(key)) sizes.set(key, bytes);
  // After the objects: what a push adds meanwhile is not among them, or has its manifest by now.
  const named = await namedObjects(remote, signal, progress);
  const due = lists.filter(({ at }) => at <= now - COLLECTED_AFTER_MS);
  const deletable = [...new Set(due.flatMap(({ keys }) => keys))].filter((key) => sizes.has(key) && !named.has(key));
  const pending = lists.filter((list) => !due.includes(list));
  const waiting = new Set(pending.flatMap(({ keys }) => keys));
  const deleting = new Set(deletable);
  const fresh = [...sizes.keys()].filter((key) => !named.has(key) && !waiting.has(key) && !deleting.has(key));
  if (!dryRun) {
    await inParallel(deletable, IN_FLIGHT, signal, (key) => driver.delete(key, signal));
    // Last: until then a push must see what may be deleted.
    for (const { key } of due) await driver.delete(key, signal);
    const list = Buffer.from(JSON.stringify({ keys: fresh }));
    if (fresh.length > 0) await driver.put(candidatesKey(now, randomId()), list, { signal });
    await driver.settle();
    remote.forget();
  }
  const notedKeys = [...waiting].filter((key) => sizes.has(key) && !named.has(key)).concat(fresh);
  const oldest = Math.min(...pending.map(({ at }) => at), fresh.length > 0 ? now : Number.POSITIVE_INFINITY);
  return {
    deleted: sumOf(deletable, sizes),
    noted: sumOf(notedKeys, sizes),
    deletableAt: notedKeys.length > 0 ? oldest + COLLECTED_AFTER_MS : null,
  };
}

/** Collects the keys that manifests name. */
async function namedObjects(remote: Remote, signal: AbortSignal, progress: Watcher['progress']): Promise<Set<string>> {
  const named = new Set<string>();
  const keys = (await keysOf(remote.driver, CHECKPOINTS, signal)).map(({ key }) => key);
  let done = 0;
  await inParallel(keys, IN_FLIGHT, signal, async (key) => {
    if (!parseManifestKey(key))
      throw damagedObject(remote.name, key, 'it is no manifest, so it is not known what it needs');
    const manifest = await readManifest(remote, key, signal);
    for (const [hash, , ending] of manifest?.chunks ?? []) named.add(objectKey({ hash, ending }));
    progress(++done, keys.length);
  });
  return named;
}

function sumOf(keys: readonly string[], sizes: ReadonlyMap<string, number>): { objects: number; bytes: number } {
  return { objects: keys.length, bytes: keys.reduce((sum, key) => sum + (sizes.get(key) ?? 0), 0) };
}
