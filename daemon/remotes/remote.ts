/** A remote that is in use: its driver, its id, and what is known to be there. */
import * as v from 'valibot';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { idSchema } from '../../protocol/session.ts';
import { type Driver, damagedObject, gone, keysOf } from './drivers/driver.ts';
import type { SealKeys } from './drivers/sealed.ts';
import type { KnownThere } from './known.ts';
import { CANDIDATES, MARKER, OBJECTS, parseCandidatesKey, parseObject } from './layout.ts';

const FORMAT = 1;
/** Format of encrypted remotes, which earlier versions do not write into. */
const SEALED_FORMAT = 2;
const MAX_MARKER_BYTES = 64 << 10;
const MAX_CANDIDATES_BYTES = 256 << 20;
/**
 * Age from which the list of objects is read again. Far below the day for which a collection waits: no object that the list has can
 * be gone.
 */
const LISTED_MS = 3_600_000;

const markerSchema = v.object({
  format: v.number(),
  id: idSchema,
  hash: v.literal('sha256'),
  created: v.number(),
  /** First commits of the project's history; null: not known. */
  roots: v.nullable(v.array(v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/)))),
  /** Value by which the key of an encrypted remote is recognised; absent: it is not encrypted. */
  sealed: v.optional(v.object({ check: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) })),
});
export type Marker = v.InferOutput<typeof markerSchema>;

/** Objects that a remote had at a moment, by `Date.now()`. */
export interface KnownObjects {
  /** Ending of each object's name, by hash; without those that a collection may delete. */
  endings: Map<string, string>;
  /** Keys that a collection may delete. */
  doomed: Set<string>;
  listedAt: number;
}

/**
 * Tells whether a moment of `Date.now()` is longer ago. The monotonic clock stands still while a laptop sleeps, and a collection
 * does not. A clock that was set back counts as old.
 */
export function isOlder(at: number, ms: number): boolean {
  const age = Date.now() - at;
  return age < 0 || age > ms;
}

const candidatesSchema = v.object({ keys: v.array(v.pipe(v.string(), v.maxLength(256))) });

export class Remote {
  readonly name: string;
  readonly id: string;
  readonly driver: Driver;
  /** Memory of what is there. */
  readonly there: KnownThere;
  #known: KnownObjects | null = null;

  constructor(name: string, id: string, driver: Driver, there: KnownThere) {
    this.name = name;
    this.id = id;
    this.driver = driver;
    this.there = there;
  }

  /** Rejects with `remoteGone` or `remoteForeign` unless the marker is there and has this remote's id. */
  async requireSame(): Promise<void> {
    const marker = await readMarker(this.name, this.driver);
    if (!marker) throw gone(this.name, 'The marker trainstash.json');
    if (marker.id !== this.id)
      throw new TrainstashError(
        'remoteForeign',
        `The place of the remote ${this.name} now holds another remote (${marker.id}, not ${this.id}). Nothing was sent or taken. If that is meant, remove the remote with \`trainstash remote rm ${this.name}\` and add it again.`,
        { remote: this.name, found: marker.id },
      );
  }

  /** Returns the objects of the remote. The list is read again when it is old, or `anew`. */
  async objects(signal?: AbortSignal, anew = false): Promise<KnownObjects> {
    const known = this.#known;
    if (known && !anew && !isOlder(known.listedAt, LISTED_MS)) return known;
    const listedAt = Date.now();
    const doomed = await this.candidates(signal);
    const endings = new Map<string, string>();
    for await (const { key } of this.driver.list(OBJECTS, signal)) {
      const object = parseObject(key);
      if (object && !doomed.has(key)) endings.set(object.hash, object.ending);
    }
    this.#known = { endings, doomed, listedAt };
    return this.#known;
  }

  /** Forgets what is known to be there. */
  forget(): void {
    this.#known = null;
  }

  /** Returns all keys that collections have noted for deletion. */
  async candidates(signal?: AbortSignal): Promise<Set<string>> {
    const keys = new Set<string>();
    for (const list of await this.candidateLists(signal)) for (const key of list.keys) keys.add(key);
    return keys;
  }

  async candidateLists(signal?: AbortSignal): Promise<{ key: string; at: number; keys: string[] }[]> {
    const lists: { key: string; at: number; keys: string[] }[] = [];
    for (const { key } of await keysOf(this.driver, CANDIDATES, signal)) {
      const at = parseCandidatesKey(key);
      if (at === null) continue;
      const bytes = await this.driver.get(key, { maxBytes: MAX_CANDIDATES_BYTES, signal });
      if (!bytes) continue;
      const parsed = v.safeParse(candidatesSchema, parseJson(bytes));
      if (!parsed.success) throw damagedObject(this.name, key, 'it is no list of objects');
      lists.push({ key, at, keys: parsed.output.keys.filter((name) => parseObject(name) !== null) });
    }
    return lists;
  }
}

/** Reads the marker; null: there is none. Throws `remoteForeign` for one of a newer version, or of something else. */
export async function readMarker(name: string, driver: Driver): Promise<Marker | null> {
  const bytes = await driver.get(MARKER, { maxBytes: MAX_MARKER_BYTES });
  if (!bytes) return null;
  const parsed = v.safeParse(markerSchema, parseJson(bytes));
  if (parsed.success && parsed.output.format === (parsed.output.sealed ? SEALED_FORMAT : FORMAT)) return parsed.output;
  const found = parsed.success
    ? `a remote of a newer format (${parsed.output.format})`
    : 'a trainstash.json that is no remote';
  throw new TrainstashError(
    'remoteForeign',
    `The place of the remote ${name} has ${found}. Nothing was changed. ${parsed.success ? 'Update Trainstash' : 'Choose an empty place'}.`,
    { remote: name, found },
  );
}

/**
 * Makes the place a remote with this id, or joins the one that is there. Throws `remoteForeign` for the remote of another project, and for a place
 * that has something else in it.
 */
export async function joinOrCreate(
  name: string,
  driver: Driver,
  plainRoots: string[] | null,
  keys: SealKeys | null,
  id: string,
): Promise<Marker> {
  const roots = keys ? keys.sealRoots(plainRoots) : plainRoots;
  const known = await readMarker(name, driver);
  if (known) return requireProject(name, known, roots);
  for await (const { key } of driver.list('')) {
    const first = key.split('/')[0]!;
    throw new TrainstashError(
      'remoteForeign',
      `The place of the remote ${name} is not empty, and no remote: it has ${JSON.stringify(first)} in it. Nothing was written. Choose an empty place, such as a folder of its own.`,
      { remote: name, found: first },
    );
  }
  const marker: Marker = {
    format: keys ? SEALED_FORMAT : FORMAT,
    id,
    hash: 'sha256',
    created: await driver.now(),
    roots,
    ...(keys ? { sealed: { check: keys.check } } : {}),
  };
  const bytes = Buffer.from(`${JSON.stringify(marker)}\n`);
  const written = await driver.put(MARKER, bytes, { ifAbsent: true });
  await driver.settle();
  // Somebody else may have been first, or last.
  const there = await readMarker(name, driver);
  if (!there) throw gone(name, 'The marker that was just written');
  return written === 'taken' ? requireProject(name, there, roots) : there;
}

function requireProject(name: string, marker: Marker, roots: string[] | null): Marker {
  if (marker.roots === null || roots === null || marker.roots.some((root) => roots.includes(root))) return marker;
  throw new TrainstashError(
    'remoteForeign',
    `The place of the remote ${name} belongs to another project: its history begins with commit ${marker.roots[0]?.slice(0, 10)}, which this repository does not have. Nothing was changed. Give each project a place of its own.`,
    { remote: name, found: marker.id },
  );
}

export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Tells whether an error is about one object of the remote only. */
export function isDamage(error: unknown): error is TrainstashError<'remoteDamaged'> {
  return isError(error, 'remoteDamaged');
}

/** Returns what the work returns; null: the object that it is about is damaged. */
export async function unlessDamaged<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}
