/**
 * Reads files of stored checkpoints without writing them to a disk. For separate threads: a read sleeps until the
 * store's thread has answered, which verifies everything that it sends.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import type { ReadReply, ReadRequest } from '../store/checkpoints/read-port.ts';
import type { ChunkedFile } from '../store/checkpoints/writer.ts';
import type { TensorSource } from './stored-tensors.ts';

/** Number of bytes of a file that are requested ahead. */
const AHEAD_BYTES = 32 << 20;
/** Size of the cache for chunks that are read at random: headers, small tensors, strided ones. */
const CACHE_BYTES = 64 << 20;
const SMALL_BYTES = 512 << 10;
/** Timeout of an answer: the store's thread also serves others, but beyond this it is gone. */
const ANSWER_TIMEOUT_MS = 120_000;

export class StoreReader {
  readonly #port: MessagePort;
  readonly #signal: Int32Array<SharedArrayBuffer>;
  readonly #replies = new Map<number, ReadReply>();
  #nextId = 1;

  constructor(port: MessagePort, signal: Int32Array<SharedArrayBuffer>) {
    this.#port = port;
    this.#signal = signal;
  }

  /** Lists the files of a checkpoint. Throws `corrupted`. */
  open(checkpoint: string): StoredFile[] {
    const reply = this.#receive(this.#send({ id: this.#nextId++, open: checkpoint }));
    return (reply as { files: ChunkedFile[] }).files.map((file) => new StoredFile(this, file));
  }

  /** Requests a chunk; `chunk` returns it. */
  requestChunk(chunk: number): number {
    return this.#send({ id: this.#nextId++, chunk });
  }

  /** Returns a chunk in a buffer that belongs to the caller. Throws `corrupted`. */
  chunk(request: number): Uint8Array<ArrayBuffer> {
    return (this.#receive(request) as { bytes: Uint8Array<ArrayBuffer> }).bytes;
  }

  close(): void {
    this.#port.close();
  }

  #send(request: ReadRequest): number {
    this.#port.postMessage(request);
    return request.id;
  }

  #receive(id: number): ReadReply {
    for (;;) {
      const seen = Atomics.load(this.#signal, 0);
      for (let message = receiveMessageOnPort(this.#port); message; message = receiveMessageOnPort(this.#port))
        this.#replies.set(message.message.id, message.message);
      const reply = this.#replies.get(id);
      if (reply) {
        this.#replies.delete(id);
        if ('error' in reply) throw fromWire(reply.error);
        return reply;
      }
      if (Atomics.wait(this.#signal, 0, seen, ANSWER_TIMEOUT_MS) === 'timed-out')
        throw new TrainstashError('timeout', 'The store does not answer. Nothing was changed.', {
          afterMs: ANSWER_TIMEOUT_MS,
        });
    }
  }
}

interface Part {
  id: number;
  hash: Uint8Array;
  offset: number;
  size: number;
}

export interface Range {
  offset: number;
  bytes: number;
}

export class StoredFile implements TensorSource {
  readonly name: string;
  readonly bytes: number;
  readonly #reader: StoreReader;
  readonly #parts: Part[];
  /** Indices of the parts that will be read, in reverse order. */
  #plan: number[] = [];
  readonly #requested = new Map<Part, number>();
  #requestedBytes = 0;
  /** Cached parts, the oldest first. */
  readonly #cache = new Map<Part, Uint8Array>();
  #cached = 0;

  constructor(reader: StoreReader, { name, bytes, chunks }: ChunkedFile) {
    this.name = name;
    this.bytes = bytes;
    this.#reader = reader;
    let offset = 0;
    this.#parts = chunks.map(({ id, size, hash }) => {
      const part = { id, hash, offset, size };
      offset += size;
      return part;
    });
  }

  /** Announces the next reads, in order, so that the store reads ahead. */
  expect(ranges: readonly Range[]): void {
    const plan: number[] = [];
    for (const { offset, bytes } of ranges)
      for (const index of this.#indices(offset, offset + bytes)) if (plan.at(-1) !== index) plan.push(index);
    this.#plan = plan.reverse();
    this.#requestAhead();
  }

  /** Reads bytes; fewer at the file's end. */
  readonly read = (offset: number, length: number): Uint8Array => {
    const end = Math.min(this.bytes, offset + length);
    if (end <= offset) return new Uint8Array(0);
    const indices = this.#indices(offset, end);
    const first = this.#parts[indices[0]!]!;
    if (indices.length === 1) return this.#cachedPart(first).subarray(offset - first.offset, end - first.offset);
    const out = new Uint8Array(end - offset);
    for (const index of indices) {
      const part = this.#parts[index]!;
      const from = Math.max(offset, part.offset);
      const bytes = this.#cachedPart(part).subarray(
        from - part.offset,
        Math.min(end, part.offset + part.size) - part.offset,
      );
      out.set(bytes, from - offset);
    }
    return out;
  };

  /**
   * Yields the bytes from `offset` on, once, in order. Each piece is a whole number of elements and valid until the
   * next one.
   */
  *pieces(offset: number, length: number, elementBytes: number): Generator<Uint8Array> {
    if (length <= SMALL_BYTES) {
      // Small tensors share a chunk with their neighbours, which come next.
      if (length > 0) yield this.read(offset, length);
      return;
    }
    const end = offset + length;
    let rest: Uint8Array = new Uint8Array(0);
    for (const index of this.#indices(offset, end)) {
      const part = this.#parts[index]!;
      const shared = part.offset < offset || part.offset + part.size > end;
      const chunk = shared ? this.#cachedPart(part) : this.#fetch(part);
      const from = Math.max(0, offset - part.offset);
      let piece = chunk.subarray(from, Math.min(part.size, end - part.offset));
      if (rest.length > 0) piece = Uint8Array.from(Buffer.concat([rest, piece]));
      const whole = piece.length - (piece.length % elementBytes);
      rest = piece.slice(whole);
      if (whole > 0) yield piece.subarray(0, whole);
      // Freed now, not by the garbage collector: fresh memory costs more than memory that was used before.
      if (!shared) (chunk.buffer as ArrayBuffer).transfer(0);
    }
  }

  /** Identifies a range by its hashes, without reading: equal texts mean equal bytes. */
  identity(offset: number, length: number): string {
    if (length === 0) return '';
    const end = offset + length;
    return this.#indices(offset, end)
      .map((index) => {
        const { hash, offset: at, size } = this.#parts[index]!;
        return `${Buffer.from(hash).toString('base64')}${Math.max(0, offset - at)}-${Math.min(size, end - at)}`;
      })
      .join();
  }

  #indices(offset: number, end: number): number[] {
    const indices: number[] = [];
    if (end <= offset) return indices;
    for (let i = this.#partAt(offset); i < this.#parts.length && this.#parts[i]!.offset < end; i++) indices.push(i);
    return indices;
  }

  #partAt(offset: number): number {
    let [low, high] = [0, this.#parts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#parts[middle]!.offset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #cachedPart(part: Part): Uint8Array {
    let bytes = this.#cache.get(part);
    if (bytes) {
      this.#cache.delete(part);
    } else {
      bytes = this.#fetch(part);
      this.#cached += bytes.length;
    }
    this.#cache.set(part, bytes);
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cached <= CACHE_BYTES || oldest === part) break;
      this.#cache.delete(oldest);
      this.#cached -= length;
    }
    return bytes;
  }

  #fetch(part: Part): Uint8Array<ArrayBuffer> {
    const asked = this.#requested.get(part) ?? this.#reader.requestChunk(part.id);
    const bytes = this.#reader.chunk(asked);
    if (this.#requested.delete(part)) this.#requestedBytes -= part.size;
    this.#requestAhead();
    return bytes;
  }

  #requestAhead(): void {
    while (this.#plan.length > 0 && this.#requestedBytes < AHEAD_BYTES) {
      const part = this.#parts[this.#plan.pop()!]!;
      if (this.#requested.has(part) || this.#cache.has(part)) continue;
      this.#requested.set(part, this.#reader.requestChunk(part.id));
      this.#requestedBytes += part.size;
    }
  }
}
