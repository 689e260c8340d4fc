/** Measures bytes into the store and out of it, against the same bytes without one. */
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newSession } from '../daemon/runs/records.ts';
import { type Store, startStore } from '../daemon/store/client.ts';
import { randomId } from '../protocol/ids.ts';
import { CHECKPOINT_FILE, STATE_FILE } from '../protocol/session.ts';
import { benchRun, facts, makeCheckpoint, stateBytes, TENSOR_BYTES } from './checkpoints.ts';
import { alternate, copySynced, fastestBlock, type Result, throughput, timed, times } from './measure.ts';

const TENSORS = 64;
const MEBIBYTES = (TENSORS * TENSOR_BYTES) / (1 << 20);
const ROUNDS = 5;

export async function storeBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'store-'));
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), {
    path: join(work, 'store'),
    quotaBytes: 1e12,
  });
  const run = await store.createRun(benchRun());
  const session = newSession(run, 'train', null);
  await store.putSession(session);
  try {
    const bytes = randomFillSync(Buffer.allocUnsafe(TENSOR_BYTES));
    const block = fastestBlock(work, Buffer.concat(Array.from({ length: 16 }, () => bytes)));
    const checkpoint = (id: string) => randomCheckpoint(join(work, `inbox-${id}`), id, session.id, TENSORS);

    const ingestOurs = async () => {
      const id = randomId();
      const directory = checkpoint(id);
      const seconds = await timed(() => store.saveCheckpoint({ directory, run, session }, 0));
      rmSync(directory, { recursive: true });
      await forget(store, id);
      return seconds;
    };
    const ingestTheirs = () => {
      const directory = checkpoint(randomId());
      const seconds = hashAndWrite(join(directory, STATE_FILE), join(work, 'raw'), block);
      rmSync(directory, { recursive: true });
      rmSync(join(work, 'raw'));
      return seconds;
    };
    const ingest = await alternate(ROUNDS, ingestOurs, ingestTheirs);

    const first = randomId();
    const directory = checkpoint(first);
    await store.saveCheckpoint({ directory, run, session }, 0);
    const same = await alternate(
      ROUNDS,
      async () => {
        const id = randomId();
        writeFileSync(
          join(directory, CHECKPOINT_FILE),
          JSON.stringify({ ...facts(id, session.id), files: [{ name: STATE_FILE, bytes: stateBytes(TENSORS) }] }),
        );
        const seconds = await timed(() => store.saveCheckpoint({ directory, run, session }, 0));
        await forget(store, id);
        return seconds;
      },
      () => hashOnly(join(directory, STATE_FILE)),
    );

    const restored = join(work, 'restored');
    const restore = await alternate(
      ROUNDS,
      async () => {
        const seconds = await timed(() => store.restoreCheckpoint(first, restored));
        rmSync(restored, { recursive: true });
        return seconds;
      },
      () => copySynced(join(directory, STATE_FILE), join(work, 'copied')),
    );
    return [
      throughput(
        'store.ingest',
        MEBIBYTES,
        ingest,
        `SHA-256 + raw write in one thread, blocks of ${block >> 10} KiB`,
        1.3,
      ),
      times('store.ingest-same', same, 'SHA-256 of the file', 1.15),
      throughput('store.restore', MEBIBYTES, restore, 'cp + fsync', 0.95),
      {
        name: 'store.memory',
        value: await peakOfLarge(store, work, session.id, run),
        unit: 'MiB',
        goal: { atMost: 256 },
      },
    ];
  } finally {
    await store.close();
    rmSync(work, { recursive: true, force: true });
  }
}

/** Measures the growth of this process, worker and hasher included, while it stores a 4 GiB checkpoint. */
async function peakOfLarge(
  store: Store,
  work: string,
  session: string,
  run: Parameters<Store['saveCheckpoint']>[0]['run'],
): Promise<number> {
  const id = randomId();
  const directory = randomCheckpoint(join(work, `inbox-${id}`), id, session, 256);
  const before = process.memoryUsage.rss();
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 20);
  await store.saveCheckpoint({ directory, run, session: { ...newSession(run, 'train', null), id: session } }, 0);
  clearInterval(sampling);
  rmSync(directory, { recursive: true });
  await forget(store, id);
  return (peak - before) / (1 << 20);
}

async function forget(store: Store, id: string): Promise<void> {
  await store.setTrash(id, 1);
  await store.gc(true);
}

/** Makes random tensors, new each time, so that the store knows none of them. */
function randomCheckpoint(directory: string, id: string, session: string, tensors: number): string {
  const tensor = Buffer.allocUnsafe(TENSOR_BYTES);
  return makeCheckpoint(directory, id, session, tensors, () => randomFillSync(tensor));
}

export function hashAndWrite(source: string, target: string, block: number): number {
  const started = performance.now();
  const from = openSync(source, 'r');
  const to = openSync(target, 'w');
  const buffer = Buffer.allocUnsafe(block);
  const hash = createHash('sha256');
  let unsynced = 0;
  for (let read = readSync(from, buffer); read > 0; read = readSync(from, buffer)) {
    const part = buffer.subarray(0, read);
    hash.update(part);
    writeSync(to, part);
    unsynced += read;
    if (unsynced >= 64 << 20) {
      fsyncSync(to);
      unsynced = 0;
    }
  }
  hash.digest();
  fsyncSync(to);
  closeSync(from);
  closeSync(to);
  return (performance.now() - started) / 1000;
}

function hashOnly(source: string): number {
  const started = performance.now();
  const from = openSync(source, 'r');
  const buffer = Buffer.allocUnsafe(1 << 20);
  const hash = createHash('sha256');
  for (let read = readSync(from, buffer); read > 0; read = readSync(from, buffer))
    hash.update(buffer.subarray(0, read));
  hash.digest();
  closeSync(from);
  return (performance.now() - started) / 1000;
}
