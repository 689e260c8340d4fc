/** Reads Python scripts in a thread, which starts with the first one, and ends when it has had nothing to do for a while. */
import { Worker } from 'node:worker_threads';
import type { LookedAt } from './python.ts';
import type { LookAnswer, LookRequest } from './thread.ts';

const IDLE_MS = 60_000;
/** Time for one script, after which its text is given up. 20,000 lines take a second. */
const MOST_MS = 10_000;

interface Waiting {
  resolve(found: LookedAt): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

export class PythonReader {
  readonly #entry: URL;
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | null = null;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(entry: URL) {
    this.#entry = entry;
  }

  /** Looks at a script. Rejects if its text cannot be read in time. */
  read(text: string): Promise<LookedAt> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    if (this.#idle) clearTimeout(this.#idle);
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end(new Error('the script takes too long to read')), MOST_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      worker.postMessage({ id, text } satisfies LookRequest);
    });
  }

  dispose(): void {
    this.#end(new Error('the daemon ends'));
  }

  #start(): Worker {
    const worker = new Worker(this.#entry);
    // It holds no work that anybody would miss.
    worker.unref();
    worker.on('message', (answer: LookAnswer) => this.#take(answer));
    worker.once('error', (error) => this.#worker === worker && this.#end(error));
    return worker;
  }

  #take(answer: LookAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(answer.id);
    if ('found' in answer) waiting.resolve(answer.found);
    else waiting.reject(new Error(answer.failed));
    if (this.#waiting.size > 0) return;
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#end(new Error('idle')), IDLE_MS);
    this.#idle.unref();
  }

  /** Ends the thread with whatever it is doing; the next script gets another one. */
  #end(error: Error): void {
    if (this.#idle) clearTimeout(this.#idle);
    void this.#worker?.terminate();
    this.#worker = null;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}
