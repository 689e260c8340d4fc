/**
 * Restores the files of a checkpoint before a script that saves by itself resumes: to the places where it saved them,
 * or, where a newer file is in the way, in the session's folder.
 */
import {
  closeSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { syncDirectory, syncFile, TEMPORARY_PREFIX } from '../../../base/files.ts';
import { inside } from '../../../base/inside.ts';
import type { Notice } from '../../../protocol/domain.ts';
import { isError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import { nameProblem } from '../../../protocol/names.ts';
import type { CheckpointFile } from '../../../protocol/session.ts';
import { OWN_FOLDER } from '../../../session/directory.ts';
import { isPointer, POINTER_BYTES } from '../../../session/pointers.ts';

export interface RestoredFiles {
  /** Absolute path that the script has to load. */
  checkpoint: string;
  /** Same path without its extension, for scripts that load several files by one name. */
  stem: string;
  /** Files that were gone and have been restored. */
  restored: string[];
  /** Files whose content differs today; the checkpoint's own are in the session's folder. */
  changed: string[];
  /** Files that decide what the script restores, and that name this checkpoint again. */
  pointed: string[];
  /** Files whose places are behind an undeclared link: they were not restored there. */
  behindLinks: string[];
}

interface Places {
  root: string;
  /** Run's own folder. */
  dir: string;
  /** Folders of the project that are links and may be followed. */
  links: ReadonlySet<string>;
}

/** Restores files to the project. `folder` holds the checkpoint's verified files. */
export function restoreFiles(places: Places, folder: string, facts: CheckpointFile): RestoredFiles {
  const { base: target, below } = placeOf(places, facts.place ?? '');
  const restored: string[] = [];
  const changed: string[] = [];
  const behindLinks: string[] = [];
  const pointers: { name: string; source: string; path: string }[] = [];
  for (const { name } of facts.files) {
    const path = targetOf(target, below === '' ? name : `${below}/${name}`, places.links);
    const source = inside(folder, name);
    if (path === null) behindLinks.push(name);
    else if (!lstatSync(path, { throwIfNoEntry: false })) {
      mkdirSync(dirname(path), { recursive: true });
      copyNew(source, path);
      restored.push(name);
    } else if (!isSameFile(source, path)) {
      if (isReplaceable(name, source, path)) pointers.push({ name, source, path });
      else changed.push(name);
    }
  }
  // Only when all that it names is in place.
  const isWhole = changed.length + behindLinks.length === 0;
  if (isWhole) for (const { source, path } of pointers) replace(source, path);
  else changed.push(...pointers.map(({ name }) => name));
  const base = isWhole ? join(target, below) : folder;
  const checkpoint = join(base, mainOf(facts.files.map(({ name }) => name)));
  return {
    checkpoint,
    stem: checkpoint.slice(0, checkpoint.length - extname(checkpoint).length),
    restored,
    changed,
    pointed: isWhole ? pointers.map(({ name }) => name) : [],
    behindLinks,
  };
}

/** Tells a small file that names a checkpoint: what it says can be written again at any time. */
function isReplaceable(name: string, source: string, path: string): boolean {
  const there = lstatSync(path);
  return isPointer(name) && there.isFile() && there.size <= POINTER_BYTES && statSync(source).size <= POINTER_BYTES;
}

function replace(source: string, target: string): void {
  const temporary = join(dirname(target), `${TEMPORARY_PREFIX}${randomId()}`);
  copyFileSync(source, temporary);
  syncFile(temporary);
  renameSync(temporary, target);
  syncDirectory(dirname(target));
}

/** Resolves a place: `@dir/…` is below the run's own folder, everything else below the project. */
function placeOf({ root, dir }: Places, copyNew: string): { base: string; below: string } {
  if (copyNew === OWN_FOLDER) return { base: dir, below: '' };
  if (copyNew.startsWith(`${OWN_FOLDER}/`)) return { base: dir, below: copyNew.slice(OWN_FOLDER.length + 1) };
  return { base: root, below: copyNew };
}

/** Describes for people how the files were restored. */
export function restoredText({
  restored,
  changed,
  pointed,
  behindLinks,
}: RestoredFiles): { level: Notice['level']; text: string }[] {
  const words: { level: Notice['level']; text: string }[] = [];
  const is = (names: readonly string[], one: string, more: string) => (names.length === 1 ? one : more);
  if (restored.length > 0)
    words.push({
      level: 'info',
      text: `${listed(restored)} ${is(restored, 'was', 'were')} missing and ${is(restored, 'has', 'have')} been restored.`,
    });
  if (changed.length > 0)
    words.push({
      level: 'warning',
      text: `${listed(changed)} in the project ${is(changed, 'differs', 'differ')} from the checkpoint and ${is(changed, 'was', 'were')} left alone; the script got the checkpoint's copy.`,
    });
  if (pointed.length > 0)
    words.push({
      level: 'info',
      text: `${listed(pointed)} named another checkpoint and ${is(pointed, 'names', 'name')} this one again.`,
    });
  if (behindLinks.length > 0)
    words.push({
      level: 'warning',
      text: `${listed(behindLinks)} would be behind a link that trainstash.json does not name, and ${is(behindLinks, 'was', 'were')} not restored; the script got the checkpoint's copy.`,
    });
  return words;
}

function listed(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more files`;
}

/** Resolves a file's target; null: it is behind a link. The path is checked before anything is written. */
function targetOf(folder: string, name: string, links: ReadonlySet<string>): string | null {
  try {
    return inside(folder, name, { links, atEnd: 'link' });
  } catch (error) {
    if (isError(error, 'unsafeName') && nameProblem(name) === null) return null;
    throw error;
  }
}

/** Finds the folder that contains all files, or else the file with the weights. */
export function mainOf(names: readonly string[]): string {
  if (names.some(isPointer) && !names.every(isPointer)) return mainOf(names.filter((name) => !isPointer(name)));
  if (names.length === 0) return '';
  const folder = names[0]!.includes('/') ? names[0]!.split('/')[0]! : null;
  if (folder && names.every((name) => name.startsWith(`${folder}/`))) return folder;
  return (
    names.find((name) => /\.pdparams$|\.index(\.json)?$/i.test(name)) ??
    names.find((name) => /(^|[^a-z])(model|weights|net)([^a-z]|$)/i.test(name)) ??
    names[0]!
  );
}

/**
 * Copies a file so that it appears complete. A copy, not a link: changes by the script must not reach the session's
 * file.
 */
function copyNew(source: string, target: string): void {
  const temporary = join(dirname(target), `${TEMPORARY_PREFIX}${randomId()}`);
  copyFileSync(source, temporary);
  syncFile(temporary);
  try {
    // A link fails where a rename would replace a file that has appeared meanwhile.
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
  const there = lstatSync(b);
  if (!there.isFile() || statSync(a).size !== there.size) return false;
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
