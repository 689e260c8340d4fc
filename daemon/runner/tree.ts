/**
 * The files below a folder that may be checkpoints, or tell of metrics. Looks, and changes nothing. Folders are read again
 * only when they changed, so that a data set of a million files costs one look.
 */
import { type BigIntStats, type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { FoundState } from './groups.ts';

/** Of others: packages, environments, caches. */
const SKIPPED =
  /^(\.git|\.trainstash|\.hg|\.svn|node_modules|\.?venv|env|__pycache__|site-packages|\.tox|\.mypy_cache|\.ipynb_checkpoints|\.cache)$/;
/** A folder whose time is this young may change within the same tick of its clock. */
const YOUNG_MS = 2_000;
const MAX_FOLDERS = 20_000;
const MAX_DEPTH = 24;

interface Folder {
  mtimeMs: number;
  readAt: number;
  folders: string[];
  /** Those that are wanted: a data set has a million others. */
  files: string[];
}

export interface TreeSetup {
  root: string;
  /** Folders to look below, relative to the root; empty text: all of it. */
  starts: readonly string[];
  /** Whether a file, relative to the root, is of interest. */
  wants(path: string): boolean;
}

export class Tree {
  readonly #setup: TreeSetup;
  readonly #known = new Map<string, Folder>();
  /** There were more folders than are looked at. */
  truncated = false;

  constructor(setup: TreeSetup) {
    this.#setup = setup;
  }

  look(): FoundState[] {
    const { root, starts } = this.#setup;
    const found: FoundState[] = [];
    const seen = new Set<string>();
    const pending = starts.map((path) => ({ path, depth: 0 }));
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { path, depth } = next;
      if (seen.has(path)) continue;
      if (seen.size >= MAX_FOLDERS) {
        this.truncated = true;
        break;
      }
      seen.add(path);
      const folder = this.#folder(path);
      if (!folder) continue;
      if (depth < MAX_DEPTH)
        for (const name of folder.folders) pending.push({ path: under(path, name), depth: depth + 1 });
      for (const name of folder.files) {
        const file = under(path, name);
        const stat = statOf(join(root, file));
        if (stat?.isFile()) found.push(describe(file, stat));
      }
    }
    for (const path of this.#known.keys()) if (!seen.has(path)) this.#known.delete(path);
    return found;
  }

  #folder(path: string): Folder | null {
    const { root, wants } = this.#setup;
    const absolute = join(root, path);
    const stat = statOf(absolute);
    if (!stat?.isDirectory()) return null;
    const mtimeMs = Number(stat.mtimeNs) / 1e6;
    const known = this.#known.get(path);
    if (known && known.mtimeMs === mtimeMs && known.readAt - mtimeMs > YOUNG_MS) return known;
    const readAt = Date.now();
    let entries: Dirent[];
    try {
      entries = readdirSync(absolute, { withFileTypes: true });
    } catch {
      return null;
    }
    const folder: Folder = { mtimeMs, readAt, folders: [], files: [] };
    // Links are not followed: what they lead to may be anybody's.
    for (const entry of entries) {
      if (entry.isDirectory()) {
        if (!SKIPPED.test(entry.name)) folder.folders.push(entry.name);
      } else if (entry.isFile() && wants(under(path, entry.name))) folder.files.push(entry.name);
    }
    this.#known.set(path, folder);
    return folder;
  }
}

/** What the file at `place` is, called `path`. */
export function findState(place: string, path: string): FoundState | null {
  const stat = statOf(place);
  return stat?.isFile() ? describe(path, stat) : null;
}

function under(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

function statOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}

function describe(path: string, stat: BigIntStats): FoundState {
  return {
    path,
    ino: `${stat.dev}:${stat.ino}`,
    bytes: Number(stat.size),
    mtimeMs: Number(stat.mtimeNs) / 1e6,
  };
}
