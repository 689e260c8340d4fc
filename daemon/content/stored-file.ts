/**
 * Files of stored checkpoints, read without ever being on a disk. For threads of their own: a read sleeps until the store's
 * thread has answered. Everything that arrives was verified there.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import type { ReadReply, ReadRequest } from '../store/reading.ts';
import type { ChunkedFile } from '../store/saving.ts';
import type { TensorSource } from './stored-tensors.ts';

/** Bytes of a file that are asked for before they are needed. */
const AHEAD_BYTES = 32 << 20;
/** Of the last chunks that were read at random: headers, small tensors, strided ones. */
const CACHE_BYTES = 64 << 20;
const SMALL_BYTES = 512 << 10;
/** The store's thread serves others in between; longer than this it is not there any more. */
const PATIENCE_MS = 120_000;

export class StoreReader {
  readonly #port: MessagePort;
  readonly #signal: Int32Array<SharedArrayBuffer>;
  readonly #replies = new Map<number, ReadReply>();
  #nextId = 1;

  constructor(port: MessagePort, signal: Int32Array<SharedArrayBuffer>) {
    this.#port = port;
    this.#signal = signal;
  }

  /** The files of a checkpoint. Throws `corrupted`. */
  open(checkpoint: string): StoredFile[] {
    const reply = this.#take(this.#send({ id: this.#nextId++, open: checkpoint }));
    return (reply as { files: ChunkedFile[] }).files.map((file) => new StoredFile(this, file));
  }

  /** Asks for a chunk; `chunk` gives it. */
  ask(chunk: number): number {
    return this.#send({ id: this.#nextId++, chunk });
  }

  /** In a buffer that belongs to the caller. Throws `corrupted`. */
  chunk(asked: number): Uint8Array<ArrayBuffer> {
    return (this.#take(asked) as { bytes: Uint8Array<ArrayBuffer> }).bytes;
  }

  close(): void {
    this.#port.close();
  }

  #send(request: ReadRequest): number {
    this.#port.postMessage(request);
    return request.id;
  }

  #take(id: number): ReadReply {
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
      if (Atomics.wait(this.#signal, 0, seen, PATIENCE_MS) === 'timed-out')
        throw new TrainstashError('timeout', 'The store does not answer. Nothing was changed.', {
          afterMs: PATIENCE_MS,
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
  /** Indices of the parts that will be read, in that order. */
  #plan: number[] = [];
  readonly #asked = new Map<Part, number>();
  #askedBytes = 0;
  /** The oldest first. */
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

  /** Says what will be read next, in that order, so that the store is never waited for longer than it takes to read it. */
  expect(ranges: readonly Range[]): void {
    const plan: number[] = [];
    for (const { offset, bytes } of ranges)
      for (const index of this.#indices(offset, offset + bytes)) if (plan.at(-1) !== index) plan.push(index);
    this.#plan = plan.reverse();
    this.#askAhead();
  }

  /** Fewer bytes at the file's end. */
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
   * The bytes from `offset` on, once, in order, each piece a whole number of elements. A piece is valid until the next one is
   * asked for.
   */
  *pieces(offset: number, length: number, elementBytes: number): Generator<Uint8Array> {
    if (length <= SMALL_BYTES) {
      // Small ones share a chunk with their neighbours, which come next.
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
      // Now, and not when the garbage collector comes: new memory costs more than reading into some that was used before.
      if (!shared) (chunk.buffer as ArrayBuffer).transfer(0);
    }
  }

  /** What stands there, by hashes: equal texts are equal bytes, and nothing is read. */
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
    const asked = this.#asked.get(part) ?? this.#reader.ask(part.id);
    const bytes = this.#reader.chunk(asked);
    if (this.#asked.delete(part)) this.#askedBytes -= part.size;
    this.#askAhead();
    return bytes;
  }

  #askAhead(): void {
    while (this.#plan.length > 0 && this.#askedBytes < AHEAD_BYTES) {
      const part = this.#parts[this.#plan.pop()!]!;
      if (this.#asked.has(part) || this.#cache.has(part)) continue;
      this.#asked.set(part, this.#reader.ask(part.id));
      this.#askedBytes += part.size;
    }
  }
}
