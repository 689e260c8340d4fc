/** Two stores and a remote between them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Variables } from '../../daemon/remotes/drivers/s3-credentials.ts';
import type { Watcher } from '../../daemon/remotes/push.ts';
import { Remotes, type RemotesSetup } from '../../daemon/remotes/remotes.ts';
import { type Store, startStore } from '../../daemon/store/client.ts';
import { afterwards } from './cleanup.ts';
import { type Opened, open } from './random-checkpoints.ts';
import { DIST } from './trainer.ts';

export const UNWATCHED: Watcher = { signal: new AbortController().signal, progress: () => {} };

export interface Machine extends Opened {
  remotes: Remotes;
}

/** Opens a store with a run in it, and its remotes. */
export async function machine(path: string, quotaBytes = 1e12, variables: Variables = {}): Promise<Machine> {
  const opened = await open(path, quotaBytes);
  return { ...opened, remotes: remotesOf(opened.store, path, variables) };
}

/** Opens a store without any run. */
export async function emptyMachine(
  path: string,
  quotaBytes = 1e12,
  variables: Variables = {},
): Promise<{ store: Store; path: string; remotes: Remotes }> {
  const store = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path, quotaBytes });
  afterwards(() => store.close().catch(() => {}));
  return { store, path, remotes: remotesOf(store, path, variables) };
}

export function remotesOf(
  store: Store,
  path: string,
  variables: Variables = {},
  automatic?: RemotesSetup['automatic'],
): Remotes {
  const remotes = new Remotes({
    store,
    path,
    variables,
    findCheckpoint: async (query) => {
      const [run, name] = query.split('@');
      return name === undefined
        ? store.findCheckpoint(query, null)
        : store.findCheckpoint(name, await store.findRun(run!));
    },
    announce: { run: () => {}, checkpoint: () => {} },
    ...(automatic ? { automatic } : {}),
  });
  afterwards(() => remotes.close());
  return remotes;
}

/** Adds points to a series of the session, as its trainer would. */
export async function report({ store, path, session }: Opened, name: string, from: number, to: number): Promise<void> {
  const folder = join(path, 'sessions', session.id);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'events.ndjson');
  const before = readIfThere(file);
  const first = before.split('\n').length;
  const lines = Array.from({ length: to - from }, (_, i) => {
    const step = from + i;
    return `${JSON.stringify({ type: 'metrics', seq: first + i, t: step * 1000, step, epoch: 0, values: { [name]: 1 / (step + 1) } })}\n`;
  });
  writeFileSync(file, before + lines.join(''));
  while ((await store.takeEvents(session.id, 'events')).more);
}

/** Lists the files below a folder, with `/`. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
    .sort();
}

export const urlOf = (folder: string) => pathToFileURL(folder).href;

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
