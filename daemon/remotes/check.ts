/** Checks a remote: whether each checkpoint there is whole, and with `data` whether each of its bytes is right. Changes nothing. */
import { createHash } from 'node:crypto';
import { CODEC, decodeChunk } from '../store/objects/codec.ts';
import { damagedObject, keysOf } from './drivers/driver.ts';
import { inParallel } from './drivers/in-parallel.ts';
import { readManifest } from './fetched.ts';
import {
  CHECKPOINTS,
  codecOf,
  OBJECTS,
  objectKey,
  parseManifestKey,
  parseObject,
  parseRecordKey,
  RUNS,
} from './layout.ts';
import type { ManifestChunk } from './manifest.ts';
import type { Watcher } from './push.ts';
import { decodeRecord, MAX_RECORD_BYTES } from './record.ts';
import { isDamage, type Remote } from './remote.ts';

const IN_FLIGHT = 8;
const MOST_PROBLEMS = 1_000;
const OBJECT_SLACK_BYTES = 1 << 10;

export interface Checked {
  checkpoints: number;
  objects: number;
  bytes: number;
  /** Objects that no checkpoint needs; `gc` frees them. */
  unused: { objects: number; bytes: number };
  problems: { key: string; problem: string }[];
}

export async function check(remote: Remote, data: boolean, { signal, progress }: Watcher): Promise<Checked> {
  await remote.requireSame();
  const { driver } = remote;
  const problems: Checked['problems'] = [];
  const report = (key: string, problem: string) => {
    if (problems.length < MOST_PROBLEMS) problems.push({ key, problem });
  };
  const noting = async (key: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!isDamage(error)) throw error;
      report(key, error.message);
    }
  };
  const sizes = new Map<string, number>();
  for await (const { key, bytes } of driver.list(OBJECTS, signal)) if (parseObject(key)) sizes.set(key, bytes);
  const needed = new Map<string, ManifestChunk>();
  const manifests = (await keysOf(driver, CHECKPOINTS, signal)).map(({ key }) => key);
  let checkpoints = 0;
  await inParallel(manifests, IN_FLIGHT, signal, (key) =>
    noting(key, async () => {
      if (!parseManifestKey(key)) throw damagedObject(remote.name, key, 'its name is not that of a manifest');
      const manifest = await readManifest(remote, key, signal);
      if (!manifest) return;
      const absent = manifest.chunks.filter(([hash, , ending]) => !sizes.has(objectKey({ hash, ending })));
      if (absent.length > 0) report(key, `${absent.length} of its ${manifest.chunks.length} objects are missing`);
      else checkpoints++;
      for (const chunk of manifest.chunks) needed.set(objectKey({ hash: chunk[0], ending: chunk[2] }), chunk);
    }),
  );
  const present = [...needed].filter(([key]) => sizes.has(key));
  const total = present.reduce((sum, [key]) => sum + sizes.get(key)!, 0);
  let done = 0;
  if (data) {
    await inParallel(present, IN_FLIGHT, signal, ([key, chunk]) =>
      noting(key, async () => {
        const bytes = await driver.get(key, { maxBytes: chunk[1] + OBJECT_SLACK_BYTES, signal });
        if (!bytes || !isRight(bytes, chunk)) throw damagedObject(remote.name, key, 'its bytes do not match its name');
        done += bytes.length;
        progress(done, total);
      }),
    );
    const records = (await keysOf(driver, RUNS, signal)).map(({ key }) => key).filter((key) => parseRecordKey(key));
    await inParallel(records, IN_FLIGHT, signal, (key) =>
      noting(key, async () => {
        const bytes = await driver.get(key, { maxBytes: MAX_RECORD_BYTES, signal });
        if (bytes) decodeRecord(remote.name, remote.id, key, bytes);
      }),
    );
  }
  const unused = [...sizes].filter(([key]) => !needed.has(key));
  return {
    checkpoints,
    objects: present.length,
    bytes: total,
    unused: { objects: unused.length, bytes: unused.reduce((sum, [, bytes]) => sum + bytes, 0) },
    problems: problems.sort((a, b) => (a.key < b.key ? -1 : 1)),
  };
}

function isRight(bytes: Uint8Array, [hash, size, ending]: ManifestChunk): boolean {
  try {
    const plain = decodeChunk(bytes, codecOf(ending) ?? CODEC.raw, size, null);
    return plain.length === size && createHash('sha256').update(plain).digest('hex') === hash;
  } catch {
    return false;
  }
}
