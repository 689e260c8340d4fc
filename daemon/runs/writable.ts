/**
 * Checks whether the user can make or write a store. Done before a database is opened: the database's own error would
 * not explain it.
 */
import { accessSync, constants, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import { currentUser } from '../code/user.ts';

/**
 * Makes the folder when there is none. Throws `storeUnusable` when the folder, or something in it, cannot be written.
 */
export function requireWritable(store: string): void {
  try {
    mkdirSync(store, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(error as NodeJS.ErrnoException, nearest(store), store);
  }
  check(store, store);
  for (const name of readdirSync(store)) check(join(store, name), store);
}

function check(path: string, store: string): void {
  try {
    const isFolder = statSync(path).isDirectory();
    accessSync(path, constants.R_OK | constants.W_OK | (isFolder ? constants.X_OK : 0));
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    // Files come and go while another daemon has the store: opening it reports that later.
    if (failure.code !== 'ENOENT') throw unusable(failure, path, store);
  }
}

function unusable(error: NodeJS.ErrnoException, path: string, store: string): Error {
  const { code } = error;
  if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') return error;
  const owner = statSync(path, { throwIfNoEntry: false })?.uid;
  const { reason, next } =
    code === 'EROFS' ? readOnly(path) : owner === process.geteuid?.() ? noMode(path) : foreign(path, owner);
  return new TrainstashError(
    'storeUnusable',
    `Nothing can be stored in ${store}: ${reason}. Nothing was started or written. ${next}`,
    { path: store, reason },
  );
}

interface Cause {
  reason: string;
  next: string;
}

function readOnly(path: string): Cause {
  return { reason: `${path} is on a disk that is mounted read-only`, next: 'Work in a copy on another disk.' };
}

/** Names the missing mode: to change the owner of one's own file helps nobody. */
function noMode(path: string): Cause {
  return {
    reason: `${currentUser()} owns ${path}, whose mode forbids writing to it`,
    next: `\`chmod u+rwX ${path}\` allows it again.`,
  };
}

function foreign(path: string, owner: number | undefined): Cause {
  return {
    reason: `${currentUser()} cannot write ${path}, which belongs to user ${owner}`,
    next: `If it should be yours (a command that was run with sudo leaves such files): \`sudo chown -R "$USER" ${path}\`. Otherwise work as that user, or in your own clone.`,
  };
}

function nearest(path: string): string {
  for (let folder = path; ; folder = dirname(folder))
    if (statSync(folder, { throwIfNoEntry: false }) || dirname(folder) === folder) return folder;
}
