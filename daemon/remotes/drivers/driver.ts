/** The contract that each kind of remote fulfils. Keys are relative paths with `/`; an object appears complete, or not at all. */
import { TrainstashError } from '../../../protocol/errors.ts';

/**
 * Folder of objects that are being written, on remotes that are folders: one may be reached as `file:` and by SSH. Those of killed
 * writers are removed after a day.
 */
export const UNFINISHED = 'unfinished';
export const UNFINISHED_MS = 86_400_000;

export interface Entry {
  key: string;
  bytes: number;
  /** Time of the last change, by the remote's own clock. */
  changedAt: number;
}

export interface PutOptions {
  /** SHA-256 of the bytes in hexadecimal digits, if the caller knows it. */
  sha256?: string | undefined;
  /** Fails with `taken` if there is an object of that name, where the remote can tell; others overwrite it. */
  ifAbsent?: boolean;
  /** Lets the driver free the memory of the bytes once they are written: the garbage collector would come late. */
  takeOver?: boolean;
  signal?: AbortSignal | undefined;
}

export interface GetOptions {
  /** Limit of what is read: a larger object is an error. */
  maxBytes: number;
  /** Reads only the first bytes. */
  first?: number;
  signal?: AbortSignal | undefined;
}

export interface Driver {
  /** Lists all objects whose keys start with the prefix, in any order. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry>;
  /** Reads an object; null if there is none. */
  get(key: string, options: GetOptions): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Writes an object. It is there after the next `settle` at the latest; with `ifAbsent` at once. */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<'written' | 'taken'>;
  /** Resolves when everything that was written before is there, and durable. */
  settle(): Promise<void>;
  /** Deletes an object, if there is one. */
  delete(key: string, signal?: AbortSignal): Promise<void>;
  stat(key: string, signal?: AbortSignal): Promise<Entry | null>;
  /** Returns the remote's time, in milliseconds since the epoch. */
  now(): Promise<number>;
  /** Makes the place itself, where that is possible; for `remote add`. */
  create(): Promise<void>;
  /** Tells whether the place is there. */
  exists(): Promise<boolean>;
  /** Frees connections and processes. */
  close(): void;
}

export function unreachable(remote: string, reason: string): TrainstashError<'remoteUnreachable'> {
  return new TrainstashError(
    'remoteUnreachable',
    `The remote ${remote} cannot be reached: ${asPart(reason)}. Everything here is kept as it was; what was sent before stays there and is not sent again. Try again once it answers.`,
    { remote, reason },
  );
}

export function denied(remote: string, reason: string): TrainstashError<'remoteDenied'> {
  return new TrainstashError(
    'remoteDenied',
    `The remote ${remote} refused access: ${asPart(reason)}. Nothing here was changed. Check credentials and permissions, then try again.`,
    { remote, reason },
  );
}

export function full(remote: string): TrainstashError<'remoteFull'> {
  return new TrainstashError(
    'remoteFull',
    `The remote ${remote} has no room left. Everything here is kept, and no checkpoint there is incomplete. Free some room there (\`trainstash remote gc ${remote}\`), then push again.`,
    { remote },
  );
}

export function gone(remote: string, place: string): TrainstashError<'remoteGone'> {
  return new TrainstashError(
    'remoteGone',
    `${place}, where the remote ${remote} is kept, is not there, or is empty. Nothing was written. Mount, make or restore it. If it is gone for good, \`trainstash remote rm\` and \`remote add\` begin anew.`,
    { remote, place },
  );
}

export function damagedObject(remote: string, object: string, problem: string): TrainstashError<'remoteDamaged'> {
  return new TrainstashError(
    'remoteDamaged',
    `${object} on the remote ${remote} cannot be used: ${problem}. Nothing of it was stored. \`trainstash remote fsck ${remote}\` lists what is intact there.`,
    { remote, object },
  );
}

/** Makes the words of somebody else a part of a sentence. */
function asPart(reason: string): string {
  return reason.trim().replace(/\.+$/, '');
}

/** Frees the memory of bytes that nobody reads any more, unless they are a part of something else. */
export function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** Collects the keys of a listing. */
export async function keysOf(driver: Driver, prefix: string, signal?: AbortSignal): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of driver.list(prefix, signal)) entries.push(entry);
  return entries;
}
