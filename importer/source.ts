/** A tool whose runs can be read: the interface of the files in `sources/`. */
import type { FoundCheckpoint, FoundRun, ImporterRequest, ImportTool, ReadRun } from '../protocol/imports.ts';
import type { Points } from './points.ts';
import type { Folder, FoundFile } from './walk.ts';

/** A run that was found, and the way to read it. */
export interface Candidate extends Omit<FoundRun, 'checkpoints' | 'tool'> {
  checkpoints: FoundCheckpoint[];
  read(points: Points): Partial<Omit<ReadRun, 'points' | 'leftOut' | 'lastStep'>>;
}

export interface Source {
  tool: ImportTool;
  /** Returns the runs of which this folder is the place, and the files and folders that are theirs; null: none. */
  find(folder: Folder, surroundings: Surroundings): Found | null;
}

export interface Found {
  runs: Candidate[];
  /** Folders that no other source has to look into. */
  taken: readonly Folder[];
  /** True if the folder itself is taken with all that is in it. */
  all: boolean;
}

export interface Surroundings {
  /** Names of the folders around, the outermost first. */
  around: readonly string[];
  tell(path: string, problem: string): void;
  /** Folder for files that a source needs beside the originals. */
  temporary: string;
  python: ImporterRequest['python'];
}

/** Returns a text that changes whenever one of these files does. */
export function stampOf(files: Iterable<Pick<FoundFile, 'bytes' | 'mtimeMs' | 'path'>>): string {
  let count = 0;
  let bytes = 0;
  let newest = 0;
  for (const file of files) {
    count++;
    bytes += file.bytes;
    newest = Math.max(newest, file.mtimeMs);
  }
  return `${count}/${bytes}/${Math.round(newest)}`;
}
