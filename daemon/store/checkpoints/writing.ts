import { Worker } from 'node:worker_threads';
import type { WriteRequest, WrittenReply } from './writing-thread.ts';

/** Idle time after which the thread ends. */
const IDLE_MS = 5_000;

interface Thread {
  worker: Worker;
  /** Calls whose writes are not done, the oldest first. */
  waiting: { resolve(): void; reject(error: unknown): void }[];
}

/**
 * Writes to files in a thread of its own, in the order of the calls, while the store worker reads what comes next. One thread: several
 * writers of one file would spin on its lock.
 */
export class Writing {
  readonly #entry: URL;
  #thread: Thread | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor(entry: URL) {
    this.#entry = entry;
  }

  /** Writes all bytes at a place of an open file, which must stay open meanwhile. Takes over their memory. */
  write(file: number, bytes: Uint8Array<ArrayBuffer>, at: number): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    this.#thread ??= this.#start();
    const { worker, waiting } = this.#thread;
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      worker.postMessage({ file, bytes, at } satisfies WriteRequest, [bytes.buffer]);
    });
  }

  /** Ends the thread. Writes that are not done fail. */
  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    const thread = this.#thread;
    // Before it has ended: it must get no more writes.
    this.#thread = null;
    await thread?.worker.terminate();
  }

  #start(): Thread {
    const thread: Thread = { worker: new Worker(this.#entry), waiting: [] };
    const { worker, waiting } = thread;
    worker.on('message', ({ error }: WrittenReply) => {
      const { resolve, reject } = waiting.shift()!;
      if (error) reject(Object.assign(new Error(error.message), error.code === null ? {} : { code: error.code }));
      else resolve();
      if (waiting.length > 0) return;
      this.#idle = setTimeout(() => void this.close(), IDLE_MS);
      this.#idle.unref();
    });
    worker.on('error', () => {});
    worker.once('exit', () => {
      if (this.#thread === thread) this.#thread = null;
      for (const { reject } of waiting.splice(0)) reject(new Error('a thread of the store has ended'));
    });
    return thread;
  }
}
