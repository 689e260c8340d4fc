import { MessagePort, Worker } from 'node:worker_threads';
import { fromWire, TrainstashError, type WireError } from '../../protocol/errors.ts';
import type { FsckReport } from '../../protocol/messages/store.ts';
import type { StoreApi, StoreOptions } from './api.ts';

/** Setup of the worker; `look` opens the store only for a report. */
export interface StoreSetup extends StoreOptions {
  look?: boolean;
}

export interface StoreRequest {
  id: number;
  method: keyof StoreApi;
  args: unknown[];
}

export interface StoreReply {
  id: number;
  result?: unknown;
  error?: WireError & { diskFull: boolean; changed: boolean };
}

type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** Functions of the store, called from the daemon's main thread. */
export type Store = Remote<StoreApi>;

/** Error for a full disk: what was to be stored is still where it was. */
export class StoreFull extends TrainstashError<'storeFull'> {
  constructor(message: string) {
    super('storeFull', message, { neededBytes: 0, freeBytes: 0 });
  }
}
/** Error for a file that changed while it was read. */
export class SourceChanged extends Error {}

/**
 * Starts a store worker. Rejects with the reason why the store cannot be opened: owned, from a newer version, unusable.
 */
export async function startStore(
  entry: URL,
  options: Omit<StoreOptions, 'hasherEntry' | 'coderEntry' | 'writingEntry'>,
): Promise<Store> {
  const hasherEntry = new URL('./hasher-thread.js', entry).href;
  const coderEntry = new URL('./coder-thread.js', entry).href;
  const writingEntry = new URL('./writing-thread.js', entry).href;
  const worker = new Worker(entry, { workerData: { ...options, hasherEntry, coderEntry, writingEntry } });
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let nextId = 1;
  let dead: Error | null = null;
  const fail = (error: Error) => {
    dead ??= error;
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  };
  worker.on('message', ({ id, result, error }: StoreReply) => {
    const call = pending.get(id);
    pending.delete(id);
    if (!error) call?.resolve(result);
    else if (error.diskFull) call?.reject(new StoreFull(error.message));
    else if (error.changed) call?.reject(new SourceChanged(error.message));
    else call?.reject(fromWire(error));
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(closed(options.path)));
  const opened = new Promise((resolve, reject) => pending.set(0, { resolve, reject }));
  try {
    await opened;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  const call = (method: keyof StoreApi, args: unknown[]) =>
    new Promise((resolve, reject) => {
      if (dead) return reject(dead);
      const id = nextId++;
      pending.set(id, { resolve, reject });
      worker.postMessage({ id, method, args } satisfies StoreRequest, args.flatMap(portsOf));
    });
  return new Proxy({} as Store, {
    get: (_target, method) =>
      method === 'then' ? undefined : (...args: unknown[]) => call(method as keyof StoreApi, args),
  });
}

/** Makes the report of `fsck` for a store that must not be opened. Changes nothing. */
export async function lookAtStore(entry: URL, path: string): Promise<FsckReport> {
  const setup: StoreSetup = { path, hasherEntry: '', coderEntry: '', writingEntry: '', look: true };
  const worker = new Worker(entry, { workerData: setup });
  try {
    return await new Promise((resolve, reject) => {
      worker.once('message', ({ result, error }: StoreReply) =>
        error ? reject(fromWire(error)) : resolve(result as never),
      );
      worker.once('error', reject);
      worker.once('exit', () => reject(new TrainstashError('internal', 'The store worker has ended.', {})));
    });
  } finally {
    await worker.terminate();
  }
}

function closed(path: string): TrainstashError {
  const reason = 'it was closed';
  return new TrainstashError('storeUnusable', `${path} was closed in the meantime. Nothing was changed. Try again.`, {
    path,
    reason,
  });
}

/** Finds ports in an argument, which are transferred with the call. */
function portsOf(value: unknown): MessagePort[] {
  const port = (value as { port?: unknown } | null)?.port;
  return port instanceof MessagePort ? [port] : [];
}
