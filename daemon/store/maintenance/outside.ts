/** Measures the bytes of a store outside its databases, and finds leftovers among them. */
import { type Dirent, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isLocked } from '../../../base/lock.ts';

/** Longest time that the count blocks the thread. */
const SLICE_MS = 8;
/** Age from which a lock file of git, or a checkout, is a leftover: its owner may still be at work. */
const OLD_MS = 60_000;

export interface Outside {
  /** Sessions with their logs and events, and what they hand over. */
  sessions: number;
  /** Complete checkpoints of sessions that are not stored yet. */
  incoming: number;
  /** Runs' own folders for files, `${dir}`. */
  files: number;
  /** Files that left the tree with their branch. */
  stashes: number;
  /** Code snapshots, catalogs that were set aside, and everything else. */
  other: number;
  /** Leftovers of killed writers, and checkpoints that cannot be stored: they are removed automatically. */
  left: number;
}

/** Files of the databases; the reserve for deletions is not in use. */
const DATABASES = /^((objects|catalog)\.db(-(wal|shm|journal))?|owner\.(lock.*|json)|reserve)$/;

/** Counts the bytes; `pause` lets other work of the thread run. */
export async function bytesOutside(store: string, pause: () => Promise<void>): Promise<Outside> {
  const outside: Outside = { sessions: 0, incoming: 0, files: 0, stashes: 0, other: 0, left: 0 };
  let sliceEnd = performance.now() + SLICE_MS;
  const pending: { path: string; kind: keyof Outside }[] = [];
  for (const entry of entriesOf(store)) {
    if (DATABASES.test(entry.name)) continue;
    const path = join(store, entry.name);
    if (entry.name !== 'sessions' || !entry.isDirectory()) pending.push({ path, kind: kindOf(entry.name) });
    else for (const session of entriesOf(path)) pending.push(...partsOf(join(path, session.name)));
  }
  for (let next = pending.pop(); next; next = pending.pop()) {
    if (performance.now() > sliceEnd) {
      await pause();
      sliceEnd = performance.now() + SLICE_MS;
    }
    const { path, kind } = next;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile()) outside[kind] += stat.size;
    if (stat?.isDirectory()) for (const { name } of entriesOf(path)) pending.push({ path: join(path, name), kind });
  }
  return outside;
}

function kindOf(name: string): keyof Outside {
  if (name === 'files') return 'files';
  if (name === 'shelf') return 'stashes';
  return ['exports', 'asked'].includes(name) || name.startsWith('.') ? 'left' : 'other';
}

/** Classifies the parts of a session. A live session has no leftovers: it is working on them. */
function partsOf(session: string): { path: string; kind: keyof Outside }[] {
  const isLive = () => {
    try {
      return isLocked(join(session, 'lock'));
    } catch {
      return false;
    }
  };
  let live: boolean | null = null;
  return entriesOf(session).flatMap((entry) => {
    const path = join(session, entry.name);
    if (entry.name !== 'inbox' && entry.name !== 'taking') return [{ path, kind: 'sessions' as const }];
    return entriesOf(path).map(({ name }) => {
      const isLeft = name.startsWith('.') || name.startsWith('bad-');
      if (isLeft) live ??= isLive();
      const kind = !isLeft ? 'incoming' : live ? 'sessions' : 'left';
      return { path: join(path, name), kind } as const;
    });
  });
}

/** Removes leftovers of killed processes in the store itself. Only this process has the store open, except for git. */
export function sweepStore(store: string, now = Date.now()): void {
  remove(store, (name) => name.startsWith('.reading-'));
  remove(join(store, 'asked'), (name) => /^\.(tmp|trainstash-tmp)-/.test(name));
  const isOld = (path: string) => now - (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now) > OLD_MS;
  remove(join(store, 'code'), (name, path) => /\.tmp-\d+$|^\.trainstash-tmp-/.test(name) && isOld(path));
  const isLeft = (name: string) => /\.lock$|^index-checkout-|^\.settling-/.test(name);
  remove(join(store, 'code.git'), (name, path) => isLeft(name) && isOld(path));
}

function remove(folder: string, which: (name: string, path: string) => boolean): void {
  for (const { name } of entriesOf(folder)) {
    const path = join(folder, name);
    if (which(name, path)) rmSync(path, { recursive: true, force: true });
  }
}

/** Lists a folder; empty for a link, and for a missing folder. */
function entriesOf(folder: string): Dirent[] {
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
