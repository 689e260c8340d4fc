/** Where an export goes: a name of ours beside it until everything is there, then its own. */
import { existsSync, linkSync, lstatSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import { outputProblem } from '../content/out-file.ts';
import { syncDirectory, syncFile } from '../store/files.ts';
import { besidePending, Pending, sweepPending } from '../store/pending.ts';

export const MANIFEST_SUFFIX = '.trainstash.json';
export class Target {
  readonly path: string;
  /** What is written, a file or a folder. */
  readonly temporary: string;
  /** For what is needed on the way; in the store. */
  readonly scratch: string;
  readonly manifest: string;
  readonly #force: boolean;
  readonly #pending: Pending;

  /** Throws `outputExists`, `outputUnusable`; nothing is written then. */
  constructor(store: string, path: string, force: boolean) {
    checkTarget(path, force);
    this.path = path;
    this.manifest = `${path}${MANIFEST_SUFFIX}`;
    this.#force = force;
    this.#pending = new Pending(store, path);
    this.temporary = this.#pending.path;
    this.scratch = this.#pending.scratch;
  }

  /** The manifest, until it has its name. */
  get #note(): string {
    return besidePending(this.temporary);
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
    this.#pending.close();
  }
}

/** Takes away what exports and restores left behind whose daemon died. */
export function sweepExports(store: string): void {
  sweepPending(store);
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
