import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Codec } from './codec.ts';
import type { EncodedChunk } from './stack.ts';

/** Idle time after which the threads end. */
const IDLE_MS = 5_000;
/** Limit of threads: more could not be supplied fast enough, and each takes memory. */
const MAX_THREADS = 4;

/** Request with stacks of chunks from `Objects.stack`. */
export type CoderRequest = { decode: EncodedChunk[] } | { recode: EncodedChunk[]; base: EncodedChunk[] | null };
/** Reply: the chunk's bytes, which match its hash, or its new encoding; null when something is damaged. */
export type CoderReply = Uint8Array<ArrayBuffer> | Recoded | null;

/** New encoding of a chunk; with `delta` its data needs the base. */
export interface Recoded {
  codec: Codec;
  data: Uint8Array;
  delta: boolean;
}

/** Decodes and re-encodes chunks in threads, so that the store worker can answer meanwhile. */
export class Coders {
  readonly count = Math.min(MAX_THREADS, availableParallelism());
  readonly #entry: URL;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  readonly #waiting: ((worker: Worker | null) => void)[] = [];
  #end: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(entry: URL) {
    this.#entry = entry;
  }

  /**
   * Decodes a stack's first chunk, and compares it with its hash. Takes over the stack's memory. Null: it is damaged.
   */
  async decode(stack: EncodedChunk[]): Promise<Uint8Array<ArrayBuffer> | null> {
    const transfer = stack.map(({ data }) => data.buffer as ArrayBuffer);
    const isOwn = stack.every(({ data }) => data.byteLength === data.buffer.byteLength);
    return (await this.#ask({ decode: stack }, isOwn ? transfer : [])) as Uint8Array<ArrayBuffer> | null;
  }

  /**
   * Encodes a chunk as small as possible, as a delta to `base` or by itself. Null: one of them is damaged, and must not
   * be replaced.
   */
  async recode(chunk: EncodedChunk[], base: EncodedChunk[] | null): Promise<Recoded | null> {
    return (await this.#ask({ recode: chunk, base }, [])) as Recoded | null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#end) clearTimeout(this.#end);
    this.#idle.length = 0;
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }

  async #ask(request: CoderRequest, transfer: ArrayBuffer[]): Promise<CoderReply> {
    const worker = await this.#free();
    let settle = () => {};
    let isAlive = false;
    try {
      const reply = await new Promise<CoderReply>((resolve, reject) => {
        const ended = () => reject(new Error('a thread of the store has ended'));
        // One by one: a worker has listeners of its own, which must stay.
        settle = () => void worker.off('message', resolve).off('error', reject).off('exit', ended);
        worker.on('message', resolve).on('error', reject).on('exit', ended);
        worker.postMessage(request, transfer);
      });
      isAlive = true;
      return reply;
    } finally {
      settle();
      if (!isAlive) await this.#remove(worker);
      this.#release(isAlive ? worker : null);
    }
  }

  async #free(): Promise<Worker> {
    if (this.#end) clearTimeout(this.#end);
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#all.size < this.count) return this.#start();
    return (await new Promise<Worker | null>((resolve) => void this.#waiting.push(resolve))) ?? this.#start();
  }

  #start(): Worker {
    if (this.#closed) throw new Error('the store is closed');
    const worker = new Worker(this.#entry);
    this.#all.add(worker);
    // A worker that ends while idle must not be used again: it would never answer.
    worker.on('error', () => {});
    worker.once('exit', () => {
      this.#all.delete(worker);
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    return worker;
  }

  async #remove(worker: Worker): Promise<void> {
    this.#all.delete(worker);
    await worker.terminate();
  }

  /** Releases a worker. Null: the worker is gone, and the next waiter starts another. */
  #release(worker: Worker | null): void {
    const next = this.#waiting.shift();
    if (next) {
      next(worker);
      return;
    }
    if (worker && this.#all.has(worker)) this.#idle.push(worker);
    if (this.#end) clearTimeout(this.#end);
    this.#end = setTimeout(() => void this.#rest(), IDLE_MS);
    this.#end.unref();
  }

  async #rest(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((worker) => this.#remove(worker)));
  }
}
