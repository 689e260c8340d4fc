/**
 * Puts a script's files into its session's inbox as links, so that the script can delete its old files without loss.
 */
import { constants } from 'node:fs';
import { copyFile, link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncDirectoryBeside, writeJsonBeside } from '../base/files.ts';
import { CHECKPOINT_FILE, type CheckpointFile } from '../protocol/session.ts';
import type { SessionDirectory } from '../session/directory.ts';
import { type FoundState, stateOf } from '../session/groups.ts';
import { findState } from './file-scan.ts';

/** A file was written again meanwhile; a later look takes it in its new state. */
export class FileChanged extends Error {}

export interface Source {
  /** Absolute. */
  place: string;
  /** Relative to the checkpoint's folder, with `/`. */
  name: string;
  state: FoundState;
}

/** A small file to write with this text, since the original may change at any time. */
export interface Written {
  name: string;
  text: string;
}

/**
 * Publishes the files as a whole in the inbox, under `name`. Rejects with `FileChanged` and with the file system's errors.
 */
export async function handOver(
  directory: SessionDirectory,
  name: string,
  facts: Omit<CheckpointFile, 'files'>,
  sources: readonly Source[],
  written: readonly Written[] = [],
): Promise<CheckpointFile> {
  const temporary = join(directory.file('inbox'), `.tmp-${name}`);
  try {
    const files: CheckpointFile['files'] = [];
    for (const source of sources) files.push(await putInto(temporary, source));
    for (const { name: file, text } of written) {
      await mkdir(dirname(join(temporary, file)), { recursive: true });
      await writeFile(join(temporary, file), text);
      files.push({ name: file, bytes: Buffer.byteLength(text) });
    }
    const whole: CheckpointFile = { ...facts, files };
    await writeJsonBeside(join(temporary, CHECKPOINT_FILE), whole);
    await syncDirectoryBeside(temporary);
    await rename(temporary, join(directory.file('inbox'), name));
    await syncDirectoryBeside(directory.file('inbox'));
    return whole;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function putInto(folder: string, { place, name, state }: Source): Promise<CheckpointFile['files'][number]> {
  const target = join(folder, name);
  await mkdir(dirname(target), { recursive: true });
  const linked = await linkOrCopy(place, target);
  const now = findState(place, state.path);
  if (!now || stateOf(now) !== stateOf(state)) throw new FileChanged();
  return { name, bytes: state.bytes, ...(linked ? { stat: { ino: state.ino, mtimeMs: state.mtimeMs } } : {}) };
}

/**
 * Returns true for a link. Other file systems, and those without links, get a copy that shares its blocks where
 * possible.
 */
async function linkOrCopy(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new FileChanged();
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK', 'EACCES'].includes(code)) throw error;
    await copyFile(source, target, constants.COPYFILE_FICLONE);
    return false;
  }
}
