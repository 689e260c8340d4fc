/** Measures a diff of two checkpoints against only reading them, and a restored checkpoint against `cp`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';
import { diffWeights } from '../daemon/diff/weights.ts';
import { newSession } from '../daemon/runs/records.ts';
import { type Store, startStore } from '../daemon/store/client.ts';
import { runContentRequest } from '../daemon/tensors/client.ts';
import { InspectorPool, inspectorSetup } from '../inspector/pool.ts';
import { randomId } from '../protocol/ids.ts';
import { CHECKPOINT_FILE, STATE_FILE } from '../protocol/session.ts';
import { benchRun, facts, makeCheckpoint, stateBytes, TENSOR_BYTES } from './checkpoints.ts';
import { alternate, copySynced, median, type Result, throughput, timed } from './measure.ts';

const TENSORS = 64;
const MEBIBYTES = (TENSORS * TENSOR_BYTES) / (1 << 20);
const ROUNDS = 4;
const WATCHER = { signal: new AbortController().signal, progress: () => {} };

export async function diffBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'diff-'));
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), {
    path: join(work, 'store'),
    quotaBytes: 1e12,
  });
  const workers = {
    thread: pathToFileURL(join(dist, 'content-thread.js')),
    looking: new InspectorPool(inspectorSetup(dist)),
  };
  const run = await store.createRun(benchRun());
  const session = newSession(run, 'train', null);
  await store.putSession(session);
  try {
    const before = weights(1);
    const after = before.map((value, i) => value * (1 + 1e-3 * Math.sin(i)));
    const save = async (values: Float32Array) => {
      const id = randomId();
      const tensor = new Float32Array(values.length);
      const directory = makeCheckpoint(join(work, id), id, session.id, TENSORS, (i) => {
        for (let k = 0; k < tensor.length; k++) tensor[k] = values[k]! * (1 + i / 64);
        return new Uint8Array(tensor.buffer);
      });
      await store.saveCheckpoint({ directory, run, session }, 0);
      return { id, directory };
    };
    const first = await save(before);
    const second = await save(after);
    rmSync(second.directory, { recursive: true });
    const same = randomId();
    writeFileSync(
      join(first.directory, CHECKPOINT_FILE),
      JSON.stringify({ ...facts(same, session.id), files: [{ name: STATE_FILE, bytes: stateBytes(TENSORS) }] }),
    );
    await store.saveCheckpoint({ directory: first.directory, run, session }, 0);

    const context = { store, findCheckpoint: async (id: string) => (await store.checkpoint(id))! };
    const compare = (queries: string[]) => diffWeights(context, workers, queries, [], WATCHER);
    const equal: number[] = [];
    for (let i = 0; i < 9; i++) equal.push(await timed(() => compare([first.id, same])));
    const changed = await alternate(
      ROUNDS,
      () => timed(() => compare([first.id, second.id])),
      () => timed(() => readOnly(store, [first.id, second.id])),
    );
    const source = join(first.directory, STATE_FILE);
    const target = join(work, 'out');
    const exported = await alternate(
      ROUNDS,
      async () => {
        const work = { do: 'exportTensors' as const, checkpoint: first.id, format: 'safetensors' as const };
        const options = { full: true, strip: null, path: target, metadata: {} };
        const seconds = await timed(() => runContentRequest(workers, store, { ...work, ...options }, WATCHER));
        rmSync(target);
        return seconds;
      },
      () => copySynced(source, target),
    );
    return [
      {
        name: 'diff.equal',
        value: median(equal) * 1000,
        unit: 'ms',
        goal: { atMost: 30 },
        raw: { ours: equal },
      },
      throughput('diff.weights', 2 * MEBIBYTES, changed, 'reading both from the store, verified', 0.9),
      throughput('export.safetensors', MEBIBYTES, exported, 'cp + fsync', 0.9),
    ];
  } finally {
    workers.looking.close();
    await store.close();
    rmSync(work, { recursive: true, force: true });
  }
}

/** Makes values like weights: around 0, all different. */
function weights(seed: number): Float32Array {
  const values = new Float32Array(TENSOR_BYTES / 4);
  let state = seed;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    values[i] = state * 2 ** -34;
  }
  return values;
}

async function readOnly(store: Store, checkpoints: string[]): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(4));
  await store.serveReads({ port: port1, signal });
  const worker = new Worker(new URL('./diff-reader.ts', import.meta.url), {
    workerData: { port: port2, signal, checkpoints },
    transferList: [port2],
  });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
}
