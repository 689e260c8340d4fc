/** Sends a request that takes long, with progress on the terminal; Ctrl-C cancels it. */
import type { Client } from '../client/connect.ts';
import type { Request } from '../protocol/messages/request.ts';
import { bytes } from '../protocol/words.ts';
import { bar } from './format.ts';
import { draw } from './output.ts';

const SHOWN_AFTER_MS = 500;

/** Sends the request. `words` names the work in the progress line, and `amount` writes how much is done. */
export async function requestTask<P extends { task?: string | undefined }, R>(
  client: Client,
  message: Request<P, R>,
  params: P,
  words: string,
  amount: (count: number) => string = bytes,
): Promise<R> {
  const line = new ProgressLine(words, amount);
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt);
  try {
    return await client.request(message, params, interrupted.signal, (done, total) => line.show(done, total));
  } finally {
    process.off('SIGINT', interrupt);
    line.clear();
  }
}

class ProgressLine {
  readonly #words: string;
  readonly #amount: (count: number) => string;
  readonly #startedAt = performance.now();
  #shown = false;

  constructor(words: string, amount: (count: number) => string) {
    this.#words = words;
    this.#amount = amount;
  }

  show(done: number, total: number): void {
    if (!process.stderr.isTTY || total === 0 || performance.now() - this.#startedAt < SHOWN_AFTER_MS) return;
    draw(`${this.#words}  ${bar(done / total, 20)} ${this.#amount(done)} of ${this.#amount(total)}`);
    this.#shown = true;
  }

  clear(): void {
    if (this.#shown) draw('');
  }
}
