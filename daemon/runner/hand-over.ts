/** Puts files of a script into its session's inbox: as links, so that a script that deletes its older ones loses none. */
import { constants, copyFileSync, linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CHECKPOINT_FILE, type CheckpointFile } from '../../protocol/session.ts';
import type { SessionDirectory } from '../sessions/directory.ts';
import { syncDirectory, writeJson } from '../store/files.ts';
import type { FoundState } from './groups.ts';
import { stateOf } from './seen.ts';
import { findState } from './tree.ts';

/** A file was written again meanwhile: it will be looked at as what it is then. */
export class Changed extends Error {}

export interface Source {
  /** Absolute. */
  place: string;
  /** Below the checkpoint's place, with `/`. */
  name: string;
  state: FoundState;
}

/** Appears whole in the inbox, under `name`. Throws `Changed`, and what the file system says. */
export function handOver(
  directory: SessionDirectory,
  name: string,
  facts: Omit<CheckpointFile, 'files'>,
  sources: readonly Source[],
): CheckpointFile {
  const temporary = join(directory.file('inbox'), `.tmp-${name}`);
  try {
    const files = sources.map((source) => putInto(temporary, source));
    const whole: CheckpointFile = { ...facts, files };
    writeJson(join(temporary, CHECKPOINT_FILE), whole, true);
    syncDirectory(temporary);
    renameSync(temporary, join(directory.file('inbox'), name));
    syncDirectory(directory.file('inbox'));
    return whole;
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function putInto(folder: string, { place, name, state }: Source): CheckpointFile['files'][number] {
  const target = join(folder, name);
  mkdirSync(dirname(target), { recursive: true });
  const linked = linkOrCopy(place, target);
  const now = findState(place, state.path);
  if (!now || stateOf(now) !== stateOf(state)) throw new Changed();
  return { name, bytes: state.bytes, ...(linked ? { stat: { ino: state.ino, mtimeMs: state.mtimeMs } } : {}) };
}

/** True: a link. Other file systems, and some without links, get a copy; one that shares its blocks where that can be. */
function linkOrCopy(source: string, target: string): boolean {
  try {
    linkSync(source, target);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new Changed();
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK', 'EACCES'].includes(code)) throw error;
    copyFileSync(source, target, constants.COPYFILE_FICLONE);
    return false;
  }
}
