/** Output of an export: it has a temporary name next to its own until it is complete. */
import { existsSync, linkSync, lstatSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory, syncFile } from '../../base/files.ts';
import { besidePending, Pending, sweepPending } from '../../base/pending.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { outputProblem } from '../tensors/output-file.ts';

export const MANIFEST_SUFFIX = '.trainstash.json';
export class Target {
  readonly path: string;
  /** File or folder that is written. */
  readonly temporary: string;
  /** Path in the store for intermediate files. */
  readonly scratch: string;
  readonly manifest: string;
  readonly #force: boolean;
  readonly #pending: Pending;

  /** Checks the path. Throws `outputExists`, `outputUnusable`; then nothing is written. */
  constructor(store: string, path: string, force: boolean) {
    checkTarget(path, force);
    this.path = path;
    this.manifest = `${path}${MANIFEST_SUFFIX}`;
    this.#force = force;
    this.#pending = new Pending(store, path);
    this.temporary = this.#pending.path;
    this.scratch = this.#pending.scratch;
  }

  /** Temporary path of the manifest. */
  get #temporaryManifest(): string {
    return besidePending(this.temporary);
  }

  /**
   * Gives the output and the manifest their names. Throws `outputExists` when something has appeared there meanwhile.
   */
  publish(manifest: unknown): void {
    try {
      // Written before the output gets its name: a full disk then leaves nothing behind.
      writeFileSync(this.#temporaryManifest, `${JSON.stringify(manifest, null, 2)}\n`);
      syncFile(this.#temporaryManifest);
      if (lstatSync(this.temporary).isDirectory()) publishFolder(this.temporary, this.path);
      else publishFile(this.temporary, this.path, this.#force);
      renameSync(this.#temporaryManifest, this.manifest);
      syncDirectory(dirname(this.path));
    } catch (error) {
      if (error instanceof TrainstashError) throw error;
      throw outputProblem(this.path, error as NodeJS.ErrnoException);
    }
  }

  /** Cleans up, also after a failure. */
  close(): void {
    this.#pending.close();
  }
}

/** Removes leftovers of exports and restores whose daemon died. */
export function sweepExports(store: string): void {
  sweepPending(store);
}

function checkTarget(path: string, force: boolean): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory())
    throw new TrainstashError(
      'outputUnusable',
      `${path} is a folder. Nothing was exported; give a new file name in it.`,
      { path, problem: 'it is a folder' },
    );
  if (found && !force) throw alreadyExists(path);
  const folder = statSync(dirname(path), { throwIfNoEntry: false });
  if (!folder?.isDirectory())
    throw new TrainstashError(
      'outputUnusable',
      `There is no folder ${dirname(path)}. Nothing was exported; create it first.`,
      { path, problem: 'its folder does not exist' },
    );
}

function publishFile(from: string, to: string, force: boolean): void {
  if (force) {
    renameSync(from, to);
    return;
  }
  try {
    // A rename would replace a file that has appeared there meanwhile.
    linkSync(from, to);
    unlinkSync(from);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw alreadyExists(to);
    // File systems without links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error;
    if (existsSync(to)) throw alreadyExists(to);
    renameSync(from, to);
  }
}

function publishFolder(from: string, to: string): void {
  if (existsSync(to)) throw alreadyExists(to);
  syncDirectory(from);
  renameSync(from, to);
}

function alreadyExists(path: string): TrainstashError {
  return new TrainstashError(
    'outputExists',
    `${path} exists already and was not changed. Give another name, or use --force to replace it.`,
    { path },
  );
}
