/** Where an export goes: a name of ours beside it until everything is there, then its own. */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, extname, isAbsolute, join, normalize } from 'node:path';
import * as v from 'valibot';
import { inside } from '../../base/inside.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { idSchema } from '../../protocol/session.ts';
import { outputProblem } from '../content/out-file.ts';
import { readJson, syncDirectory, syncFile, TEMPORARY_PREFIX, writeJson } from '../store/files.ts';

export const MANIFEST_SUFFIX = '.trainstash.json';
/** In the store's folder: what a daemon that dies in the middle leaves behind is found by these. */
const PENDING = 'exports';

export class Target {
  readonly path: string;
  /** What is written, a file or a folder. */
  readonly temporary: string;
  /** For what is needed on the way; in the store. */
  readonly scratch: string;
  readonly manifest: string;
  readonly #force: boolean;
  readonly #pending: string;

  /** Throws `outputExists`, `outputUnusable`; nothing is written then. */
  constructor(store: string, path: string, force: boolean) {
    checkTarget(path, force);
    this.path = path;
    this.manifest = `${path}${MANIFEST_SUFFIX}`;
    this.#force = force;
    const id = randomId();
    // With the ending of its name: some writers add their own where it is missing.
    this.temporary = join(dirname(path), `${TEMPORARY_PREFIX}${id}${extname(path)}`);
    const pending = inside(store, PENDING);
    mkdirSync(pending, { recursive: true });
    this.scratch = join(pending, `${id}.tmp`);
    this.#pending = join(pending, `${id}.json`);
    writeJson(this.#pending, { temporary: this.temporary });
  }

  get #note(): string {
    return noteOf(this.temporary);
  }

  /** The output gets its name, and the manifest its own. Throws `outputExists` when somebody was faster. */
  publish(manifest: unknown): void {
    try {
      // Before the output has its name: a full disk is met while nothing is there.
      writeFileSync(this.#note, `${JSON.stringify(manifest, null, 2)}\n`);
      syncFile(this.#note);
      if (lstatSync(this.temporary).isDirectory()) publishFolder(this.temporary, this.path);
      else publishFile(this.temporary, this.path, this.#force);
      renameSync(this.#note, this.manifest);
      syncDirectory(dirname(this.path));
    } catch (error) {
      if (error instanceof TrainstashError) throw error;
      throw outputProblem(this.path, error as NodeJS.ErrnoException);
    }
  }

  /** Also after a failure. */
  close(): void {
    rmSync(this.temporary, { recursive: true, force: true });
    rmSync(this.#note, { force: true });
    rmSync(this.scratch, { recursive: true, force: true });
    rmSync(this.#pending, { force: true });
  }
}

/**
 * Takes away what exports left behind whose daemon died. A record names a path outside of the store, and may be anybody's: only
 * a name that holds the record's own id is one that we gave.
 */
export function sweepExports(store: string): void {
  const folder = inside(store, PENDING);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const record = v.safeParse(pendingSchema, readJson(path));
    if (record.success && isOurs(record.output.temporary, basename(name, '.json')))
      for (const left of [record.output.temporary, noteOf(record.output.temporary)])
        rmSync(left, { recursive: true, force: true });
    rmSync(path, { recursive: true, force: true });
  }
}

const pendingSchema = v.object({ temporary: v.string() });

function isOurs(path: string, id: string): boolean {
  if (!v.is(idSchema, id) || !isAbsolute(path) || normalize(path) !== path) return false;
  const name = basename(path);
  return (
    name === `${TEMPORARY_PREFIX}${id}${extname(name)}` && !lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()
  );
}

/** The manifest, until it has its name. */
function noteOf(temporary: string): string {
  return `${temporary}.json`;
}

function checkTarget(path: string, force: boolean): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory())
    throw new TrainstashError(
      'outputUnusable',
      `${path} is a folder. Nothing was exported; give the name of something new in it.`,
      { path, problem: 'it is a folder' },
    );
  if (found && !force) throw exists(path);
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  if (!folder?.isDirectory())
    throw new TrainstashError(
      'outputUnusable',
      `There is no folder ${dirname(path)}. Nothing was exported; make it first.`,
      { path, problem: 'its folder does not exist' },
    );
}

function publishFile(from: string, to: string, force: boolean): void {
  if (force) {
    renameSync(from, to);
    return;
  }
  try {
    // A rename would replace what appeared there meanwhile.
    linkSync(from, to);
    unlinkSync(from);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw exists(to);
    // File systems without links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error;
    if (existsSync(to)) throw exists(to);
    renameSync(from, to);
  }
}

function publishFolder(from: string, to: string): void {
  if (existsSync(to)) throw exists(to);
  syncDirectory(from);
  renameSync(from, to);
}

function exists(path: string): TrainstashError {
  return new TrainstashError(
    'outputExists',
    `${path} is there already and was kept. Give another name, or --force to replace it.`,
    { path },
  );
}
