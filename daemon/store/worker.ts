/** Entry of the store worker thread: the only place that opens objects.db and catalog.db. */
import { setImmediate as breathe } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../protocol/errors.ts';
import { openStore, type StoreApi, type StoreOptions } from './api.ts';
import type { StoreReply, StoreRequest, StoreSetup } from './client.ts';
import { asStoreError, isDiskFull } from './failures.ts';
import { lookAtStore } from './maintenance/fsck.ts';
import { FileChanged } from './objects/hashing.ts';

const port = parentPort!;
let api: StoreApi | null = null;

try {
  const { look, ...options } = workerData as StoreSetup;
  if (look) port.postMessage({ id: 0, result: await lookAtStore(options.path, () => breathe()) } satisfies StoreReply);
  else {
    api = openStore(options);
    port.postMessage({ id: 0, result: null } satisfies StoreReply);
  }
} catch (error) {
  port.postMessage({ id: 0, error: describe(error) } satisfies StoreReply);
}

port.on('message', async ({ id, method, args }: StoreRequest) => {
  try {
    const call = api![method] as (...values: unknown[]) => unknown;
    port.postMessage({ id, result: await call(...args) } satisfies StoreReply);
  } catch (error) {
    port.postMessage({ id, error: describe(error) } satisfies StoreReply);
  }
  if (method === 'close') port.close();
});

function describe(error: unknown): StoreReply['error'] {
  return {
    ...toWire(asStoreError(error, (workerData as StoreOptions).path)),
    diskFull: isDiskFull(error),
    changed: error instanceof FileChanged,
  };
}
