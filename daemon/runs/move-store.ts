/**
 * Moves a store that was made before `git init` out of the tree, where `git clean` deletes it, into git's own folder.
 */
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { namesIn, syncDirectory } from '../../base/files.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { isAlive } from '../../session/watch.ts';

/** Folders that a script started by hand makes where it finds git. */
const SCRIPT_FOLDERS = ['sessions', 'files'];

/** Tells whether the store can be moved now: by a rename, with nobody writing into it. */
export function canMoveStore(from: string, to: string): boolean {
  if (namesIn(to).some((name) => !SCRIPT_FOLDERS.includes(name))) return false;
  if (statSync(from).dev !== statSync(dirname(to)).dev) return false;
  const sessions = [from, to].flatMap((store) =>
    namesIn(join(store, 'sessions')).map((id) => join(store, 'sessions', id)),
  );
  return sessions.every((path) => !isAlive(new SessionDirectory(path)));
}

/** Moves the store. At every moment it is complete in one of the two places. */
export function moveStore(from: string, to: string): void {
  for (const name of SCRIPT_FOLDERS) {
    for (const entry of namesIn(join(to, name))) {
      mkdirSync(join(from, name), { recursive: true });
      renameSync(join(to, name, entry), join(from, name, entry));
    }
    if (existsSync(join(to, name))) rmdirSync(join(to, name));
  }
  if (existsSync(to)) rmdirSync(to);
  renameSync(from, to);
  rmSync(join(to, '.gitignore'), { force: true });
  for (const folder of [dirname(from), dirname(to)]) syncDirectory(folder);
}
