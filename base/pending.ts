/**
 * Tracks files outside the store that are being written. They have a temporary name until they are complete, and the
 * store records it: when the store is opened again, leftovers of a killed daemon next to the user's files are removed.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, extname, isAbsolute, join, normalize } from 'node:path';
import * as v from 'valibot';
import { randomId } from '../protocol/ids.ts';
import { idSchema } from '../protocol/session.ts';
import { readJson, TEMPORARY_PREFIX, writeJson } from './files.ts';
import { inside } from './inside.ts';

/** Folder of the records, named after exports, its first use. */
const FOLDER = 'exports';
const UNWRITABLE: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO']);
const recordSchema = v.object({ temporary: v.string() });

export class Pending {
  /** Temporary path next to the target, on the same file system. */
  readonly path: string;
  /** Path in the store for intermediate files. */
  readonly scratch: string;
  readonly #record: string;

  constructor(store: string, target: string) {
    const id = randomId();
    const folder = inside(store, FOLDER);
    // With the target's extension: some writers add their own where it is missing.
    this.path = join(dirname(target), `${TEMPORARY_PREFIX}${id}${extname(target)}`);
    this.scratch = join(folder, `${id}.tmp`);
    this.#record = join(folder, `${id}.json`);
    try {
      mkdirSync(folder, { recursive: true });
      writeJson(this.#record, { temporary: this.path } satisfies v.InferOutput<typeof recordSchema>);
    } catch (error) {
      // A store on a full or read-only disk can still be read, and restored to another disk.
      if (!UNWRITABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** Removes whatever is still there under these names, also after success. */
  close(): void {
    removeBoth(this.path);
    for (const path of [this.scratch, this.#record])
      if (existsSync(path)) rmSync(path, { recursive: true, force: true });
  }
}

/** Returns the path of a file that belongs to a pending one. */
export function besidePending(path: string): string {
  return `${path}.json`;
}

/**
 * Removes leftovers. A record is untrusted and names a path outside the store: only a name with the record's own id is
 * ours.
 */
export function sweepPending(store: string): void {
  const folder = inside(store, FOLDER);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const record = v.safeParse(recordSchema, readJson(path));
    if (record.success && isOurs(record.output.temporary, basename(name, '.json'))) removeBoth(record.output.temporary);
    rmSync(path, { recursive: true, force: true });
  }
}

function removeBoth(path: string): void {
  for (const left of [path, besidePending(path)])
    if (lstatSync(left, { throwIfNoEntry: false })) rmSync(left, { recursive: true, force: true });
}

function isOurs(path: string, id: string): boolean {
  if (!v.is(idSchema, id) || !isAbsolute(path) || normalize(path) !== path) return false;
  const name = basename(path);
  if (name !== `${TEMPORARY_PREFIX}${id}${extname(name)}`) return false;
  return !lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink();
}
