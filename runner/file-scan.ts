/**
 * Finds files below a folder that may be checkpoints or event files, without changing anything. It rereads only changed
 * folders, so that a data set of a million files costs one scan.
 */
import { type BigIntStats, type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { FoundState } from '../session/groups.ts';

/** Folders of packages, environments and caches. */
const SKIPPED =
  /^(\.git|\.trainstash|\.hg|\.svn|node_modules|\.?venv|env|__pycache__|site-packages|\.tox|\.mypy_cache|\.ipynb_checkpoints|\.cache)$/;
/** A folder modified this recently may change again within the same tick of its clock. */
const YOUNG_MS = 2_000;
const MAX_FOLDERS = 20_000;
const MAX_DEPTH = 24;
/** Stands in a decoded name for bytes that are not UTF-8; a path with it leads nowhere. */
const UNDECODABLE = '\uFFFD';
const MAX_UNNAMEABLE = 20;

interface Folder {
  mtimeMs: number;
  readAt: number;
  folders: string[];
  /** Only wanted files: a data set has a million others. */
  files: string[];
}

export interface FolderScanSetup {
  root: string;
  /** Folders to scan, relative to the root; empty text: all of it. */
  starts: readonly string[];
  /** Returns true if a file, relative to the root, is of interest. */
  wants(path: string): boolean;
}

export class FolderScan {
  readonly #setup: FolderScanSetup;
  readonly #known = new Map<string, Folder>();
  /** True if there were more folders than the limit. */
  truncated = false;
  /** Files and folders of the last look that no text can name, as far as it can: their names are not UTF-8. */
  unnameable: string[] = [];

  constructor(setup: FolderScanSetup) {
    this.#setup = setup;
  }

  look(): FoundState[] {
    const { root, starts } = this.#setup;
    const found: FoundState[] = [];
    this.unnameable = [];
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
      if (!folder) {
        this.#noteName(path);
        continue;
      }
      if (depth < MAX_DEPTH)
        for (const name of folder.folders) pending.push({ path: under(path, name), depth: depth + 1 });
      for (const name of folder.files) {
        const file = under(path, name);
        const stat = statOf(join(root, file));
        if (stat?.isFile()) found.push(describe(file, stat));
        else this.#noteName(file);
      }
    }
    for (const path of this.#known.keys()) if (!seen.has(path)) this.#known.delete(path);
    return found;
  }

  #noteName(path: string): void {
    if (path.includes(UNDECODABLE) && this.unnameable.length < MAX_UNNAMEABLE) this.unnameable.push(path);
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
    // Links are not followed: they may lead anywhere.
    for (const entry of entries) {
      if (entry.isDirectory()) {
        if (!SKIPPED.test(entry.name)) folder.folders.push(entry.name);
      } else if (entry.isFile() && wants(under(path, entry.name))) folder.files.push(entry.name);
    }
    this.#known.set(path, folder);
    return folder;
  }
}

/** Reads the state of the file at `place`, named `path`. */
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
