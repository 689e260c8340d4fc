/** LSP framing with a limit: a peer cannot make us buffer more than one message of 1 MiB, or parse garbage. */
import type { Readable, Writable } from 'node:stream';
import {
  AbstractMessageReader,
  AbstractMessageWriter,
  type DataCallback,
  type Disposable,
  type Message,
  type MessageWriter,
} from 'vscode-jsonrpc/node';
import { MAX_MESSAGE_BYTES } from '../protocol/messages/request.ts';

const MAX_HEADER_BYTES = 1024;
const SEPARATOR = '\r\n\r\n';

export class BoundedMessageReader extends AbstractMessageReader {
  readonly #stream: Readable;
  #limit: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Length of the expected body; null: a header is expected. */
  #body: number | null = null;
  #listening: Disposable | null = null;

  constructor(stream: Readable, limit = MAX_MESSAGE_BYTES + (64 << 10)) {
    super();
    this.#stream = stream;
    this.#limit = limit;
  }

  /** Raises the limit for a peer that is known to send more. */
  allow(bytes: number): void {
    this.#limit = Math.max(this.#limit, bytes);
  }

  listen(callback: DataCallback): Disposable {
    const onData = (data: Buffer) => {
      this.#chunks.push(data);
      this.#bytes += data.length;
      try {
        for (let message = this.#next(); message !== null; message = this.#next()) callback(message);
      } catch (error) {
        // It is unknown where the next message begins: the connection is over.
        this.#stream.off('data', onData);
        this.#stream.destroy();
        this.fireError(error);
        this.fireClose();
      }
    };
    this.#stream.on('data', onData);
    this.#stream.on('error', (error) => this.fireError(error));
    this.#stream.on('close', () => this.fireClose());
    // A stream that another reader has released is paused.
    this.#stream.resume();
    this.#listening = { dispose: () => this.#stream.off('data', onData) };
    return this.#listening;
  }

  /** Ends the reading between two messages, and leaves the stream with all that was not read. */
  release(): void {
    this.#listening?.dispose();
    this.#stream.pause();
    const rest = this.#joined();
    if (rest.length > 0) this.#stream.unshift(rest);
    this.#chunks = [];
    this.#bytes = 0;
  }

  #next(): Message | null {
    if (this.#body === null) {
      const all = this.#joined();
      const end = all.indexOf(SEPARATOR);
      if (end < 0) {
        if (all.length > MAX_HEADER_BYTES) throw new Error('no header in the first bytes');
        return null;
      }
      if (end > MAX_HEADER_BYTES) throw new Error('header too long');
      this.#body = contentLength(all.toString('latin1', 0, end), this.#limit);
      this.#chunks = [all.subarray(end + SEPARATOR.length)];
      this.#bytes = this.#chunks[0]!.length;
    }
    if (this.#bytes < this.#body) return null;
    const all = this.#joined();
    const message = JSON.parse(all.toString('utf8', 0, this.#body)) as Message;
    if (typeof message !== 'object' || message === null || Array.isArray(message))
      throw new Error('not a JSON-RPC message');
    this.#chunks = [all.subarray(this.#body)];
    this.#bytes = this.#chunks[0]!.length;
    this.#body = null;
    return message;
  }

  #joined(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }
}

/**
 * Passes each message to the stream at once. The library's own writer keeps a hidden queue, so nobody could see how far a peer
 * has fallen behind; here `stream.writableLength` tells.
 */
export class DirectMessageWriter extends AbstractMessageWriter implements MessageWriter {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    super();
    this.#stream = stream;
    stream.on('error', (error) => this.fireError(error));
    stream.on('close', () => this.fireClose());
  }

  async write(message: Message): Promise<void> {
    if (this.#stream.destroyed) return;
    const text = JSON.stringify(message);
    this.#stream.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  end(): void {
    this.#stream.end();
  }
}

function contentLength(header: string, limit: number): number {
  const match = /^content-length:\s*(\d{1,10})\s*$/im.exec(header);
  const length = match ? Number(match[1]) : Number.NaN;
  if (!(length >= 2 && length <= limit)) throw new Error(`message of ${match?.[1] ?? 'unknown'} bytes refused`);
  return length;
}
