/**
 * Tags and proofs that changed after a checkpoint was pushed. Manifests never change, so each change is an object of its own; the
 * newest counts.
 */
import * as v from 'valibot';
import { namedRecord } from '../../protocol/any-names.ts';
import type { Checkpoint } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { readProof } from '../store/catalog/rows.ts';
import { type Driver, keysOf } from './drivers/driver.ts';
import { readManifest } from './fetched.ts';
import { isSame, type KnownThere, type Marked, merged } from './known.ts';
import { CHECKPOINTS, MARKS, marksKey, parseManifestKey, parseMarksKey } from './layout.ts';
import { parseJson, type Remote, unlessDamaged } from './remote.ts';

const MAX_MARKS_BYTES = 16 << 20;
const MAX_TAGS = 1_000;
/** Number of times that marks are merged with those of machines that send some at the same moment. */
const MOST_ROUNDS = 10;
/** Largest time that the name of marks can have. */
const LAST_TIME = 999_999_999_999_999;

const marksSchema = v.object({
  format: v.literal(1),
  remote: v.string(),
  checkpoints: namedRecord(
    v.string(),
    v.object({
      tags: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(MAX_TAGS)),
      proof: v.unknown(),
    }),
  ),
});

/** Marks of checkpoints by id. */
export type Marks = Map<string, Marked>;

/** Reads the marks in one object; null: it is damaged, or none that this version knows. The marks before it hold then. */
export async function readMarks(remote: Remote, key: string, signal?: AbortSignal): Promise<Marks | null> {
  const bytes = await unlessDamaged(() => remote.driver.get(key, { maxBytes: MAX_MARKS_BYTES, signal }));
  const parsed = bytes && v.safeParse(marksSchema, parseJson(bytes));
  if (!parsed?.success || parsed.output.remote !== remote.id) return null;
  return new Map(
    Object.entries(parsed.output.checkpoints).map(([id, { tags, proof }]) => [
      id,
      { tags, proof: readProof(JSON.stringify(proof ?? null)) },
    ]),
  );
}

/** Sorts the keys of marks, the newest last. */
export function marksInOrder(keys: readonly string[]): string[] {
  return keys
    .filter((key) => parseMarksKey(key) !== null)
    .sort((a, b) => parseMarksKey(a)!.at - parseMarksKey(b)!.at || (a < b ? -1 : 1));
}

/**
 * Sends the marks of a run's checkpoints that have changed here since the last exchange. `there`: checkpoints that the remote had
 * before. Costs no request if nothing has changed.
 */
export async function pushMarks(
  remote: Remote,
  known: KnownThere,
  run: string,
  there: readonly Checkpoint[],
  signal: AbortSignal,
): Promise<void> {
  const changed = there.filter((checkpoint) => !isSame(known.marked(checkpoint.id), checkpoint));
  if (changed.length === 0) return;
  const { driver } = remote;
  const read = new Map<string, Marks>();
  const fromManifests: Marks = new Map();
  // Another machine may send marks at the same moment, as the newest ones. Whoever lists both merges them, so nobody's are lost.
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const keys = marksInOrder((await keysOf(driver, `${MARKS}${run}/`, signal)).map((entry) => entry.key));
    for (const key of keys) if (!read.has(key)) read.set(key, (await readMarks(remote, key, signal)) ?? new Map());
    const newest: Marks = new Map([...fromManifests, ...keys.flatMap((key) => [...read.get(key)!])]);
    if (round === 0) {
      const unread = changed.filter(({ id }) => !newest.has(id)).map(({ id }) => id);
      for (const [id, marked] of await marksOfManifests(remote, run, unread, signal)) {
        fromManifests.set(id, marked);
        newest.set(id, marked);
      }
    }
    const news = changed.flatMap((checkpoint): [string, Marked][] => {
      const present = newest.get(checkpoint.id);
      if (!present) return [];
      const both = merged(known.marked(checkpoint.id), checkpoint, present);
      return isSame(present, both) ? [] : [[checkpoint.id, both]];
    });
    if (news.length === 0) {
      // Last: what was not sent must not count as sent.
      for (const checkpoint of changed) if (newest.has(checkpoint.id)) known.agreed(checkpoint.id, checkpoint);
      return;
    }
    const bytes = Buffer.from(JSON.stringify({ format: 1, remote: remote.id, checkpoints: Object.fromEntries(news) }));
    const key = marksKey(run, await timeAfter(driver, keys), randomId());
    await driver.put(key, bytes, { signal });
    await driver.settle();
    read.set(key, new Map(news));
  }
}

/** Reads the marks that manifests of these checkpoints have. */
async function marksOfManifests(
  remote: Remote,
  run: string,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Marks> {
  const marks: Marks = new Map();
  if (ids.length === 0) return marks;
  const keys = (await keysOf(remote.driver, `${CHECKPOINTS}${run}/`, signal)).map((entry) => entry.key);
  for (const id of ids) {
    const key = keys.find((name) => parseManifestKey(name)?.id === id);
    // What a damaged one says is not known: its marks wait until it was mended.
    const manifest = key && (await unlessDamaged(() => readManifest(remote, key, signal)));
    if (manifest) marks.set(id, manifest);
  }
  return marks;
}

/** Returns a time for new marks that is later than that of all present ones, with which they were merged. */
async function timeAfter(driver: Driver, present: readonly string[]): Promise<number> {
  const newest = Math.max(0, ...present.map((key) => parseMarksKey(key)!.at));
  return Math.min(Math.max(await driver.now(), newest + 1), LAST_TIME);
}
