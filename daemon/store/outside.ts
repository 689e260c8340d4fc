/** How much a store holds beside its databases, and what of that nobody will ever want. */
import { type Dirent, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isLocked } from './lock.ts';

/** Others of the thread wait at most this long for the count. */
const SLICE_MS = 8;
/** Left by somebody who may still be at work: a lock file of git, a checkout. */
const OLD_MS = 60_000;

export interface Outside {
  /** Sessions with their logs and events, and what they hand over. */
  sessions: number;
  /** Complete checkpoints of sessions that are not taken in yet. */
  incoming: number;
  /** Folders of runs for files of their own, `${dir}`. */
  files: number;
  /** Files that left the tree with their branch. */
  stashes: number;
  /** Code snapshots, catalogs that were set aside, and what else there is. */
  other: number;
  /** What killed writers left, and checkpoints that cannot be stored: it goes by itself. */
  left: number;
}

/** Of the databases; the space that is kept free for deleting is no use of it. */
const DATABASES = /^((objects|catalog)\.db(-(wal|shm|journal))?|owner\.(lock.*|json)|reserve)$/;

/** `pause` lets others of the thread in between. */
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

/** Of a session that lives nothing is left over: it is at work on it. */
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

/** What was left in the store itself by those who were killed there. With the store open it is ours alone, but for git. */
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

/** None of a link, and of what is gone. */
function entriesOf(folder: string): Dirent[] {
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
