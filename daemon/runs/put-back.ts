/** Before a script of others goes on: the files of its checkpoint where it saved them, or, never over newer ones, beside. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { randomId } from '../../protocol/ids.ts';
import type { CheckpointFile } from '../../protocol/session.ts';
import { OWN_FOLDER } from '../sessions/directory.ts';
import { syncDirectory, syncFile, TEMPORARY_PREFIX } from '../store/files.ts';

export interface PutBack {
  /** What the script is to load: absolute. */
  checkpoint: string;
  /** The same without its ending, for scripts that load several files by one name. */
  stem: string;
  /** Files that were gone and are back. */
  restored: string[];
  /** Files that are something else today; the checkpoint's own are in the session's folder. */
  changed: string[];
}

/** `restored` holds the checkpoint's files, verified. `dir` is the run's own folder. */
export function putBack(places: { root: string; dir: string }, restored: string, facts: CheckpointFile): PutBack {
  const home = placeOf(places, facts.place ?? '');
  const back: string[] = [];
  const changed: string[] = [];
  for (const { name } of facts.files) {
    const target = join(home, name);
    const source = join(restored, name);
    if (!existsSync(target)) {
      mkdirSync(dirname(target), { recursive: true });
      place(source, target);
      back.push(name);
    } else if (!isSameFile(source, target)) changed.push(name);
  }
  const base = changed.length === 0 ? home : restored;
  const checkpoint = join(base, mainOf(facts.files.map(({ name }) => name)));
  return {
    checkpoint,
    stem: checkpoint.slice(0, checkpoint.length - extname(checkpoint).length),
    restored: back,
    changed,
  };
}

/** Where a place lies: `@dir/…` is below the run's own folder, everything else below the project. */
export function placeOf({ root, dir }: { root: string; dir: string }, place: string): string {
  return place.startsWith(OWN_FOLDER) ? join(dir, place.slice(OWN_FOLDER.length)) : join(root, place);
}

/** The folder that all files lie in, or the file with the weights. */
export function mainOf(names: readonly string[]): string {
  const folder = names[0]!.includes('/') ? names[0]!.split('/')[0]! : null;
  if (folder && names.every((name) => name.startsWith(`${folder}/`))) return folder;
  return (
    names.find((name) => /\.pdparams$|\.index(\.json)?$/i.test(name)) ??
    names.find((name) => /(^|[^a-z])(model|weights|net)([^a-z]|$)/i.test(name)) ??
    names[0]!
  );
}

/** It appears whole. A copy, so that what the script does to its file leaves the session's alone. */
function place(source: string, target: string): void {
  const temporary = join(dirname(target), `${TEMPORARY_PREFIX}${randomId()}`);
  copyFileSync(source, temporary);
  syncFile(temporary);
  try {
    // A link fails where a rename would replace what has appeared meanwhile.
    linkSync(temporary, target);
    rmSync(temporary);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      rmSync(temporary);
      throw error;
    }
    renameSync(temporary, target);
  }
  syncDirectory(dirname(target));
}

const COMPARE_BYTES = 1 << 20;

function isSameFile(a: string, b: string): boolean {
  if (statSync(a).size !== statSync(b).size) return false;
  const files = [openSync(a, 'r'), openSync(b, 'r')] as const;
  const buffers = [Buffer.alloc(COMPARE_BYTES), Buffer.alloc(COMPARE_BYTES)] as const;
  try {
    for (;;) {
      const [left, right] = [0, 1].map((i) => readSync(files[i]!, buffers[i]!, 0, COMPARE_BYTES, null)) as [
        number,
        number,
      ];
      if (left !== right || !buffers[0].subarray(0, left).equals(buffers[1].subarray(0, right))) return false;
      if (left === 0) return true;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}
