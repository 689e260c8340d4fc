/** Finds the files of a worktree that follow its branch. Reads only, changes nothing. */
import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import picomatch from 'picomatch';
import { inside } from '../../base/inside.ts';
import { CONFIG_FILES } from '../../protocol/config-file.ts';
import { isError } from '../../protocol/errors.ts';
import type { Committed } from '../code/committed.ts';
import { indexedFiles } from '../code/tracked.ts';
import { absolute, fromText, joinRaw, parentOf, type RawPath, shown } from './paths.ts';
import { Slices } from './slices.ts';

/** Longest time that a look at a large directory blocks the event loop. */
/** Folders never scanned: dependencies, virtual environments, caches. Only a pattern that names one reaches into it. */
const SKIPPED = /^(node_modules|\.venv|venv|env|__pycache__|site-packages|\.tox|\.mypy_cache|\.ipynb_checkpoints)$/;

export interface FoundFile {
  path: RawPath;
  /** Identity of the file's state. A rename changes ctime, so that is not included. */
  ino: string;
  bytes: number;
  mtimeMs: number;
  mode: number;
}

/** Globs relative to the worktree, with `/`. A plain name means the file, or everything below the folder. */
export type Patterns = readonly string[];

export interface DeclaredFiles {
  files: FoundFile[];
  /** Folders where a matching file may appear. */
  folders: RawPath[];
}

/** Finds the regular files that match a pattern. Does not follow links, but a pattern may begin with one. */
export async function findDeclared(root: string, patterns: Patterns): Promise<DeclaredFiles> {
  const found = new Map<RawPath, FoundFile>();
  const folders = new Set<RawPath>();
  const slices = new Slices();
  for (const pattern of patterns) {
    const { base, glob } = picomatch.scan(pattern);
    const plain = glob === '';
    const start = fromText(plain ? pattern.replace(/\/+$/, '') : base);
    const matches = plain ? () => true : picomatch(pattern, { dot: true });
    const startStat = statFile(root, start);
    if (plain && startStat?.isFile()) {
      found.set(start, describe(start, startStat));
      folders.add(parentOf(start));
      continue;
    }
    // Not there yet: the nearest existing folder reports it when it appears.
    if (!startStat) folders.add(nearestFolder(root, start));
    const pending: RawPath[] = [start];
    for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
      const entries = entriesOf(root, folder);
      if (entries === null) continue;
      folders.add(folder);
      for (const entry of entries) {
        if (slices.isOver) await slices.next();
        const path = joinRaw(folder, entry.name);
        if (entry.isDirectory()) {
          const skipped = SKIPPED.test(entry.name.toString()) && !pattern.includes(entry.name.toString());
          if (!skipped) pending.push(path);
          continue;
        }
        // The configuration itself never moves, whatever it declares.
        if (!entry.isFile() || CONFIG_FILES.includes(path) || !matches(shown(path))) continue;
        const stat = statFile(root, path);
        if (stat?.isFile()) found.set(path, describe(path, stat));
      }
    }
  }
  return { files: [...found.values()], folders: [...folders] };
}

function nearestFolder(root: string, path: RawPath): RawPath {
  let folder = parentOf(path);
  while (folder !== '' && !statFile(root, folder)) folder = parentOf(folder);
  return folder;
}

/** Finds one file as it is now; null when it is gone, not a regular file, or behind a link that is not in `links`. */
export function findFile(
  root: string,
  path: RawPath,
  links: ReadonlySet<string>,
  seen?: Set<string>,
): FoundFile | null {
  try {
    inside(root, Buffer.from(path, 'latin1'), { links, seen, atEnd: 'link' });
  } catch (error) {
    if (isError(error, 'unsafeName')) return null;
    throw error;
  }
  const stat = statFile(root, path);
  return stat?.isFile() ? describe(path, stat) : null;
}

/** Tells whether two states have the same content, as far as stats can tell. */
export function isSame(
  a: Pick<FoundFile, 'ino' | 'bytes' | 'mtimeMs'>,
  b: Pick<FoundFile, 'ino' | 'bytes' | 'mtimeMs'>,
) {
  return a.ino === b.ino && a.bytes === b.bytes && a.mtimeMs === b.mtimeMs;
}

/** Lists the paths that the index or any of the commits track. A commit that is gone tracks nothing. */
export async function trackedPaths(
  root: string,
  committed: Pick<Committed, 'names'>,
  commits: readonly string[],
): Promise<Set<RawPath>> {
  const lists = await Promise.all([indexedFiles(root), ...commits.map((commit) => committed.names(commit))]);
  return new Set(lists.flat() as RawPath[]);
}

function entriesOf(root: string, folder: RawPath) {
  try {
    const entries = readdirSync(absolute(root, folder), { withFileTypes: true, encoding: 'buffer' });
    // A repository inside this one (a submodule, a clone, a worktree) manages its own files.
    const foreign = folder !== '' && entries.some(({ name }) => name.toString() === '.git');
    return foreign ? null : entries.filter(({ name }) => !/^\.(git|trainstash(-tmp-.*)?)$/.test(name.toString()));
  } catch {
    // Not there, or not readable: none of ours.
    return null;
  }
}

function statFile(root: string, path: RawPath): BigIntStats | undefined {
  try {
    return lstatSync(absolute(root, path), { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function describe(path: RawPath, stat: BigIntStats): FoundFile {
  return {
    path,
    ino: `${stat.dev}:${stat.ino}`,
    bytes: Number(stat.size),
    // Nanoseconds kept as a fraction: precise enough to tell two writes apart.
    mtimeMs: Number(stat.mtimeNs) / 1e6,
    mode: Number(stat.mode & 0o7777n),
  };
}
