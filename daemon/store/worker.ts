/** Entry of the store worker thread: the only place that opens objects.db and catalog.db. */
import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../protocol/errors.ts';
import { openStore, type StoreApi, type StoreOptions } from './api.ts';
import type { StoreReply, StoreRequest } from './client.ts';
import { isDiskFull } from './gc.ts';

const port = parentPort!;
let api: StoreApi | null = null;

try {
  api = openStore(workerData as StoreOptions);
  port.postMessage({ id: 0, result: null } satisfies StoreReply);
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
    ...toWire(error),
    diskFull: isDiskFull(error),
    changed: (error as Error)?.constructor?.name === 'FileChanged',
  };
}
