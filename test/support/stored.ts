/** A store in this process, and files that become its checkpoints as a command's files do. */
import { cpSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newRun, newSession } from '../../daemon/runs/records.ts';
import { type Store, startStore } from '../../daemon/store/client.ts';
import type { ContentWorkers, Watcher } from '../../daemon/tensors/client.ts';
import { InspectorPool, inspectorSetup } from '../../inspector/pool.ts';
import type { Run, Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE } from '../../protocol/session.ts';
import { afterwards } from './cleanup.ts';
import { DIST } from './trainer.ts';

export const CONTENT_WORKERS: ContentWorkers = {
  thread: pathToFileURL(join(DIST, 'content-thread.js')),
  looking: new InspectorPool(inspectorSetup(DIST)),
};
export const UNWATCHED: Watcher = { signal: new AbortController().signal, progress: () => {} };

export interface Stored {
  folder: string;
  store: Store;
  run: Run;
  session: Session;
}

export async function openStored(folder: string): Promise<Stored> {
  const store = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), {
    path: join(folder, 'store'),
    quotaBytes: 1e12,
  });
  // A test may have closed it itself.
  afterwards(() => store.close().catch(() => {}));
  const identity = { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
  const facts = {
    job: 'train',
    params: {},
    overrides: [],
    seed: 0,
    backend: '',
    identity,
    restarts: 0,
    kind: 'command' as const,
  };
  const run = await store.createRun(newRun(facts));
  const session = newSession(run, 'train', null);
  await store.putSession(session);
  return { folder, store, run, session };
}

/** Opens the same store again after it was closed. */
export async function reopen(stored: Stored): Promise<Stored> {
  const path = join(stored.folder, 'store');
  const store = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path, quotaBytes: 1e12 });
  afterwards(() => store.close().catch(() => {}));
  return { ...stored, store };
}

/** Stores files and returns the checkpoint's id. */
export async function keepFiles({ folder, store, run, session }: Stored, step: number, ...paths: string[]) {
  const id = randomId();
  const directory = join(folder, id);
  mkdirSync(directory);
  for (const path of paths) cpSync(path, join(directory, basename(path)));
  const files = paths.map((path) => ({ name: basename(path), bytes: statSync(path).size }));
  const facts = { ...blankCheckpointFile(id, session.id, step, Date.now()), files };
  writeFileSync(join(directory, CHECKPOINT_FILE), JSON.stringify(facts));
  await store.saveCheckpoint({ directory, run, session }, 0);
  return id;
}

/** Returns what the diff uses to find its sides, by a checkpoint's id. */
export function sidesOf({ store }: Stored) {
  return { store, findCheckpoint: async (id: string) => (await store.checkpoint(id))! };
}
