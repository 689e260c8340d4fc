/** A store with changed bytes: it opens or is refused, and everything it returns is correct or a typed error. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Store, StoreFull, startStore } from '../../../daemon/store/client.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { keepFiles, openStored } from '../../support/stored.ts';
import { DIST } from '../../support/trainer.ts';
import type { FuzzTarget } from '../target.ts';

const WORKER = pathToFileURL(join(DIST, 'store-worker.js'));

let folder: string;
let template: string;
let run: string;
let digests: Map<string, string>;

export const stores: FuzzTarget = {
  name: 'stores with changed bytes',
  async seeds() {
    folder = temporaryFolder();
    const stored = await openStored(folder);
    run = stored.run.id;
    digests = new Map();
    for (const step of [1, 2, 3]) {
      const path = join(folder, 'state.bin');
      writeFileSync(path, Buffer.alloc(200_000, step));
      digests.set(await keepFiles(stored, step, path), digestOf(readFileSync(path)));
    }
    await stored.store.close();
    template = join(folder, 'store');
    return ['objects.db', 'catalog.db'].map((name) => new Uint8Array(readFileSync(join(template, name))));
  },
  words: [
    'SQLite format 3\0',
    '../../',
    'CREATE TRIGGER t AFTER INSERT ON saved BEGIN DELETE FROM saved; END',
    '{"',
    'NaN',
  ],
  async run(input) {
    const place = mkdtempSync(join(folder, 'damaged-'));
    try {
      cpSync(template, join(place, 'store'), { recursive: true });
      // The page size tells which database it is.
      const name = input[16] === 0 && input[17] === 1 ? 'objects.db' : 'catalog.db';
      writeFileSync(join(place, 'store', name), input);
      await attempt(() => useStore(place));
      const others = readdirSync(place).filter((entry) => entry !== 'store' && entry !== 'restored');
      if (others.length > 0) throw new Error(`wrote outside its folder: ${others.join(', ')}`);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  },
  maxBytes: 8 << 20,
  hangMs: 60_000,
  guided: false,
};

async function useStore(place: string): Promise<void> {
  const store = await startStore(WORKER, { path: join(place, 'store'), quotaBytes: 1e12 });
  try {
    await attempt(() => store.showRun(run, 10));
    await attempt(() => store.queryMetrics(run, {}));
    await attempt(() => store.usage());
    for (const [id, digest] of digests) await attempt(() => restored(store, id, digest, place));
    await attempt(() => store.fsck(false));
  } finally {
    await store.close();
  }
}

/** Restores a checkpoint: the result is the stored bytes or an error, never other bytes. */
async function restored(store: Store, id: string, digest: string, place: string): Promise<void> {
  const target = join(place, 'restored', id);
  mkdirSync(target, { recursive: true });
  await store.restoreCheckpoint(id, target);
  const path = join(target, 'state.bin');
  if (existsSync(path) && digestOf(readFileSync(path)) !== digest) throw new Error(`returned other bytes for ${id}`);
}

async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TrainstashError && error.code !== 'internal') return;
    if (error instanceof StoreFull) return;
    throw error;
  }
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
