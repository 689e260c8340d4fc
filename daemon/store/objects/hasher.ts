import { Worker } from 'node:worker_threads';
import { Mutex } from '../../../base/mutex.ts';
import { checksumMemory, KERNEL_BYTES } from './checksum.ts';
import { type HasherMessage, type HasherRequest, SLOT_BYTES, SLOT_COUNT, SLOT_FREE } from './hasher-protocol.ts';
import { FileChanged, type HashedChunk } from './hashing.ts';

/** Idle time after which the thread ends and its 80 MiB are freed. */
const IDLE_MS = 5_000;

/** Hashes large files in a thread, one after another. */
export class Hasher {
  readonly #entry: URL;
  #thread: Thread | null = null;
  #idle: NodeJS.Timeout | null = null;
  readonly #mutex = new Mutex();
  #nextId = 1;

  constructor(entry: URL) {
    this.#entry = entry;
  }

  /**
   * Calls `take` for each chunk in order. The chunk's data is shared memory: it must be used up before `release` is
   * called, and the thread waits while no slot is free.
   */
  hash(path: string, expected: Uint8Array, take: (chunk: HashedChunk, release: () => void) => void): Promise<void> {
    return this.#mutex.run(() => this.#hash(path, expected, take));
  }

  async #hash(
    path: string,
    expected: Uint8Array,
    take: (chunk: HashedChunk, release: () => void) => void,
  ): Promise<void> {
    try {
      if (this.#idle) clearTimeout(this.#idle);
      this.#thread ??= startThread(this.#entry);
      await this.#thread.run({ id: this.#nextId++, path, expected }, take);
    } catch (error) {
      // After a failure slots may be in any state: the next file gets a new thread.
      await this.close();
      throw error;
    } finally {
      this.#idle = setTimeout(() => void this.close(), IDLE_MS);
      this.#idle.unref();
    }
  }

  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    const thread = this.#thread;
    this.#thread = null;
    await thread?.worker.terminate();
  }
}

interface Thread {
  worker: Worker;
  run(request: HasherRequest, take: (chunk: HashedChunk, release: () => void) => void): Promise<void>;
}

function startThread(entry: URL): Thread {
  const memory = checksumMemory(SLOT_BYTES * SLOT_COUNT);
  const states = new SharedArrayBuffer(4 * SLOT_COUNT + 4);
  const slots = new Int32Array(states, 0, SLOT_COUNT);
  const releases = new Int32Array(states, SLOT_COUNT * 4, 1);
  const worker = new Worker(entry, { workerData: { memory, states } });
  worker.unref();
  return {
    worker,
    run: (request, take) =>
      new Promise((resolve, reject) => {
        const finish = (end: () => void) => {
          worker.off('message', onMessage);
          worker.off('error', reject);
          worker.unref();
          end();
        };
        const onMessage = (message: HasherMessage) => {
          if (message.type === 'end') finish(resolve);
          else if (message.type === 'expected') take({ hash: message.hash, size: message.size, data: null }, () => {});
          else if (message.type === 'error') {
            finish(() =>
              reject(
                message.changed
                  ? new FileChanged(message.message)
                  : Object.assign(new Error(message.message), message.code === null ? {} : { code: message.code }),
              ),
            );
          } else {
            const { slot, hash, size, sum, codec, bytes } = message;
            const data = Buffer.from(memory.buffer, KERNEL_BYTES + slot * SLOT_BYTES, bytes);
            take({ hash, size, sum, codec, data }, () => {
              Atomics.store(slots, slot, SLOT_FREE);
              Atomics.add(releases, 0, 1);
              Atomics.notify(releases, 0);
            });
          }
        };
        worker.ref();
        worker.on('message', onMessage);
        worker.once('error', reject);
        worker.postMessage(request);
      }),
  };
}
