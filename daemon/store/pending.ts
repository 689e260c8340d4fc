/**
 * What is written outside of the store has a name of ours until it is whole, and the store remembers it: what a killed daemon
 * leaves beside somebody's files is taken away when the store is next opened.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, extname, isAbsolute, join, normalize } from 'node:path';
import * as v from 'valibot';
import { inside } from '../../base/inside.ts';
import { randomId } from '../../protocol/ids.ts';
import { idSchema } from '../../protocol/session.ts';
import { readJson, TEMPORARY_PREFIX, writeJson } from './files.ts';

/** Named after the first that there were. */
const FOLDER = 'exports';
const UNWRITABLE: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO']);
const recordSchema = v.object({ temporary: v.string() });

export class Pending {
  /** Beside the target, and on its file system. */
  readonly path: string;
  /** For what is needed on the way; in the store. */
  readonly scratch: string;
  readonly #record: string;

  constructor(store: string, target: string) {
    const id = randomId();
    const folder = inside(store, FOLDER);
    // With the ending of its name: some writers add their own where it is missing.
    this.path = join(dirname(target), `${TEMPORARY_PREFIX}${id}${extname(target)}`);
    this.scratch = join(folder, `${id}.tmp`);
    this.#record = join(folder, `${id}.json`);
    try {
      mkdirSync(folder, { recursive: true });
      writeJson(this.#record, { temporary: this.path } satisfies v.InferOutput<typeof recordSchema>);
    } catch (error) {
      // A store on a disk that is full or read-only can still be read from, and that to another disk.
      if (!UNWRITABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** Takes away what is still there under these names: also after it has got its own. */
  close(): void {
    removeBoth(this.path);
    for (const path of [this.scratch, this.#record])
      if (existsSync(path)) rmSync(path, { recursive: true, force: true });
  }
}

/** A file that goes with what is pending, until both have their names. */
export function besidePending(path: string): string {
  return `${path}.json`;
}

/** A record may be anybody's, and names a path outside of the store: only a name that holds the record's own id is one that we gave. */
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
