/** Reads chunks from a store, and puts chunks into one, over ports of their own. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Checkpoint } from '../../protocol/domain.ts';
import { fromWire, TrainstashError, type WireError } from '../../protocol/errors.ts';
import type { IntakeReply, IntakeRequest } from '../store/api/exchange.ts';
import type { IncomingCheckpoint, IncomingChunk } from '../store/checkpoints/incoming.ts';
import type { ReadReply, ReadRequest } from '../store/checkpoints/read-port.ts';
import type { ChunkedFile } from '../store/checkpoints/writer.ts';
import type { Store } from '../store/client.ts';

type Without<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Requests and replies with numbers, over one port. */
class Calls<Request extends { id: number }, Reply extends { id: number }> {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  #next = 1;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (reply: Reply & { error?: WireError }) => {
      const call = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error) call?.reject(fromWire(reply.error));
      else call?.resolve(reply);
    });
    // The store was closed: nothing will answer.
    port.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(closed());
      this.#waiting.clear();
    });
  }

  ask(request: Without<Request>, transfer: ArrayBuffer[] = []): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#port.postMessage({ id, ...request }, transfer);
    });
  }

  close(): void {
    this.#port.close();
  }
}

/** Chunks of stored checkpoints, each verified. They are held until it is closed. */
export class ChunkReader {
  readonly #calls: Calls<ReadRequest, ReadReply>;

  private constructor(port: MessagePort) {
    this.#calls = new Calls(port);
  }

  static async open(store: Store): Promise<ChunkReader> {
    const { port1, port2 } = new MessageChannel();
    const signal = new Int32Array(new SharedArrayBuffer(4));
    await store.serveReads({ port: port2, signal });
    return new ChunkReader(port1);
  }

  async files(checkpoint: string): Promise<ChunkedFile[]> {
    return ((await this.#calls.ask({ open: checkpoint })) as { files: ChunkedFile[] }).files;
  }

  async chunk(id: number): Promise<{ codec: number; data: Uint8Array }> {
    return (await this.#calls.ask({ portable: id })) as { codec: number; data: Uint8Array; id: number };
  }

  close(): void {
    this.#calls.close();
  }
}

/** Chunks and checkpoints on their way into a store. Chunks are held until it is closed. */
export class Intake {
  readonly #calls: Calls<IntakeRequest, IntakeReply>;

  private constructor(port: MessagePort) {
    this.#calls = new Calls(port);
  }

  static async open(store: Store): Promise<Intake> {
    const { port1, port2 } = new MessageChannel();
    await store.takeIn({ port: port2 });
    return new Intake(port1);
  }

  /** Tells which of these chunks the store has. */
  async find(hashes: Uint8Array[]): Promise<boolean[]> {
    return (await this.#calls.ask({ find: hashes })).found!;
  }

  async put(chunks: IncomingChunk[]): Promise<void> {
    const own = chunks
      .map(({ data }) => data.buffer as ArrayBuffer)
      .filter((buffer, i) => buffer.byteLength === chunks[i]!.data.length);
    await this.#calls.ask({ chunks }, [...new Set(own)]);
  }

  async commit(commit: IncomingCheckpoint): Promise<Checkpoint['id']> {
    return (await this.#calls.ask({ commit })).checkpoint!;
  }

  close(): void {
    this.#calls.close();
  }
}

function closed(): TrainstashError {
  return new TrainstashError('storeUnusable', 'The store was closed in the meantime. Nothing was changed. Try again.', {
    path: '',
    reason: 'it was closed',
  });
}
