/**
 * Places of stores on this machine. A store stands in its project, unless that is on a network file system, across which the locks of
 * databases do not hold: then it stands in a folder of this machine. The Python package decides by the same rule
 * (`python/src/trainstash/store_place.py`).
 */
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { readJson, writeJson } from './files.ts';
import { networkFileSystem } from './network-file-systems.ts';
import { defaultDirectory, folderProblem, makeFolder, statePaths } from './paths.ts';

export interface StorePlace {
  store: string;
  /** Network file system of the project, for which the store stands elsewhere; null: it stands in the project. */
  network: string | null;
}

/** Finds the place for the store of a project whose usual place is given. It stays the usual one where no local folder is known. */
export function storePlace(usual: string, env: NodeJS.ProcessEnv = process.env): StorePlace {
  const network = networkFileSystem(existing(usual));
  if (network === null) return { store: usual, network: null };
  const folder = storesFolder(env);
  return folder === null ? { store: usual, network: null } : { store: join(folder, storeName(usual)), network };
}

/** Returns the folder of this machine for stores of projects on network file systems; null: nobody has named one, and there is none. */
export function storesFolder(env: NodeJS.ProcessEnv = process.env): string | null {
  const chosen = (readJson(choicePath(env)) as { folder?: unknown } | null)?.folder;
  if (typeof chosen === 'string' && isAbsolute(chosen)) return chosen;
  const { directory } = statePaths(env);
  // With a home on a network the state is where a new start of the machine deletes it: no place for checkpoints.
  const isPassing = ownState(env) === null && !relative(tmpdir(), directory).startsWith('..');
  return isPassing || networkFileSystem(directory) !== null ? null : join(directory, 'stores');
}

/** Remembers that folder for this machine. Returns why it is no place for stores, in a clause; null: it is remembered. */
export function chooseStoresFolder(folder: string, env: NodeJS.ProcessEnv = process.env): string | null {
  if (!isAbsolute(folder) || folder.includes('\0')) return 'its path is not absolute';
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    return folderProblem(error as NodeJS.ErrnoException);
  }
  const network = networkFileSystem(folder);
  if (network !== null) return `it is on a network or pass-through file system (${network}) as well`;
  const path = choicePath(env);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeJson(path, { folder }, true);
  return null;
}

/** Returns a state directory that somebody has named. A client names the usual one to the daemon that it starts, which is none. */
function ownState(env: NodeJS.ProcessEnv): string | null {
  if (!env.TRAINSTASH_STATE) return null;
  const given = resolve(env.TRAINSTASH_STATE);
  try {
    return given === defaultDirectory(env) ? null : given;
  } catch {
    // Without a home folder there is no usual one.
    return given;
  }
}

/** Returns the path of the choice: each host has its own, also where they share a home folder. */
function choicePath(env: NodeJS.ProcessEnv): string {
  const own = ownState(env);
  if (own !== null) return join(own, 'stores-folder.json');
  const given = env.XDG_CONFIG_HOME ?? '';
  const home = process.platform === 'win32' ? homedir() : (env.HOME ?? homedir());
  return join(isAbsolute(given) ? given : join(home, '.config'), 'trainstash', `stores-${hostname()}.json`);
}

/** Names a store after its project, and uniquely by the path of its usual place. */
export function storeName(usual: string): string {
  const folder = existing(usual);
  const path = join(realpathSync(folder), relative(folder, usual));
  const [outer, inner] = [dirname(path), basename(dirname(path))];
  const project = basename(inner === '.git' ? dirname(outer) : outer).replace(/[^\w.-]/gu, '_') || 'project';
  return `${project}-${createHash('sha256').update(path).digest('hex').slice(0, 12)}`;
}

/** Returns the folder itself, or its nearest existing parent. */
function existing(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path));
}
