import { Worker } from 'node:worker_threads';
import type { Codec } from './codec.ts';
import type { StoredChunk } from './objects.ts';

/** The thread is given back after this long without work. */
const IDLE_MS = 5_000;

/** Stacks of chunks as `Objects.stack` gives them. */
export interface RecodeRequest {
  chunk: StoredChunk[];
  base: StoredChunk[] | null;
}
/** `delta`: the data needs the base. Null: something is damaged, and nothing must be replaced. */
export type RecodeReply = { codec: Codec; data: Uint8Array; delta: boolean } | null;

/** Makes chunks smaller in a thread of its own, so that the store worker can answer meanwhile. One at a time. */
export class Recoder {
  readonly #entry: URL;
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | null = null;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(entry: URL) {
    this.#entry = entry;
  }

  recode(request: RecodeRequest): Promise<RecodeReply> {
    const reply = this.#tail.then(() => this.#ask(request));
    this.#tail = reply.catch(() => {});
    return reply;
  }

  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  async #ask(request: RecodeRequest): Promise<RecodeReply> {
    if (this.#idle) clearTimeout(this.#idle);
    this.#worker ??= new Worker(this.#entry);
    const worker = this.#worker;
    let settle = () => {};
    try {
      return await new Promise<RecodeReply>((resolve, reject) => {
        const ended = () => reject(new Error('the recoder has ended'));
        // One by one: a worker has listeners of its own, which must stay.
        settle = () => void worker.off('message', resolve).off('error', reject).off('exit', ended);
        worker.on('message', resolve).on('error', reject).on('exit', ended);
        worker.postMessage(request);
      });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      settle();
      this.#idle = setTimeout(() => void this.close(), IDLE_MS);
      this.#idle.unref();
    }
  }
}
