/**
 * Takes a point-in-time copy of the training state without stopping the training for longer than a few milliseconds a
 * step. Tensors are immutable and an assignment swaps them, so a reshape to the same shape pins today's values at no
 * cost; what is pinned is copied into shared memory in slices between steps and written by another thread.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Tensor } from '@tensorflow/tfjs-core';
import { CHECKPOINT_FILE, type CheckpointFile, STATE_FILE } from '../../protocol/session.ts';
import { encodeHeader } from '../formats/safetensors.ts';
import type { SessionDirectory } from '../sessions/directory.ts';
import type { Backend, DeviceMemory, HostMemory } from './backends/backend.ts';
import { describeTensors, type NamedTensor, type Progress, progressMetadata } from './state.ts';
import { tf } from './tf.ts';
import {
  SLOT_BYTES,
  SLOT_COUNT,
  SLOT_USED,
  type WriterReply,
  type WriterRequest,
  type WriterSetup,
} from './writer-protocol.ts';

/** After this long without a free slot the event loop gets a turn, to learn whether the writer has died. */
const WRITER_PATIENCE_MS = 200;

export interface CaptureResult {
  name: string;
  facts: CheckpointFile;
  /** What the training thread spent on it. */
  stallMs: number;
  /** Null when it is durable in the inbox. */
  error: string | null;
  /** Given up because the device has failed, which ends the run and says why. */
  deviceFailed: boolean;
}

interface Flight {
  name: string;
  facts: CheckpointFile;
  tensors: NamedTensor[];
  tensor: number;
  offset: number;
  stallMs: number;
  committing: boolean;
  /** Why it was given up. */
  refused: string | null;
}

export class Capturer {
  readonly #memory: Backend['memory'];
  readonly #inbox: string;
  readonly #worker: Worker;
  readonly #slots = new SharedArrayBuffer(SLOT_BYTES * SLOT_COUNT);
  readonly #states = new Int32Array(new SharedArrayBuffer(4 * SLOT_COUNT));
  readonly #replies: MessageChannel['port1'];
  #slot = 0;
  #flight: Flight | null = null;
  #broken: string | null = null;

  constructor(backend: Backend, directory: SessionDirectory, writerEntry: URL) {
    this.#memory = backend.memory;
    this.#inbox = directory.file('inbox');
    // Replies are read with receiveMessageOnPort: a step boundary need not wait for the event loop.
    const { port1, port2 } = new MessageChannel();
    this.#replies = port1;
    const setup: WriterSetup = {
      events: directory.file('events'),
      memory: this.#slots,
      states: this.#states.buffer as SharedArrayBuffer,
      replies: port2,
    };
    this.#worker = new Worker(writerEntry, { workerData: setup, transferList: [port2] });
    this.#worker.on('error', (error) => {
      this.#broken = error.message;
    });
    this.#worker.unref();
    removeUnfinished(this.#inbox);
  }

  /** Nothing can be written any more: trying again is of no use. */
  get isBroken(): boolean {
    return this.#broken !== null;
  }

  get #deviceFailed(): boolean {
    return this.#memory.kind === 'device' && this.#memory.failure() !== null;
  }

  get inFlight(): boolean {
    return this.#flight !== null;
  }

  /** Pins the state. Only one capture flies at a time. */
  begin(name: string, facts: CheckpointFile, state: readonly NamedTensor[], progress: Progress): void {
    const started = performance.now();
    const tensors = state.map(({ name: tensorName, tensor }) => ({ name: tensorName, tensor: pin(tensor) }));
    const layout = describeTensors(tensors);
    const header = encodeHeader(layout, progressMetadata(progress));
    const bytes = header.length + layout.reduce((sum, tensor) => sum + tensor.bytes, 0);
    const complete = { ...facts, files: [{ name: STATE_FILE, bytes }] };
    this.#post({ type: 'begin', directory: join(this.#inbox, `.tmp-${name}`), header, stateFile: STATE_FILE });
    this.#flight = {
      name,
      facts: complete,
      tensors,
      tensor: 0,
      offset: 0,
      stallMs: 0,
      committing: false,
      refused: null,
    };
    if (this.#memory.kind === 'device') void this.#stream(this.#flight, this.#memory);
    this.#flight.stallMs = performance.now() - started;
  }

  /** Copies for at most `budgetMs`, and never waits for the writer. Returns the result once it is known. */
  pump(budgetMs: number): CaptureResult | null {
    const flight = this.#flight;
    if (!flight) return null;
    const started = performance.now();
    if (this.#memory.kind === 'host') {
      while (!flight.committing && performance.now() - started < budgetMs && this.#slotIsFree())
        this.#copySlice(flight, this.#memory);
    }
    flight.stallMs += performance.now() - started;
    return this.#result(flight);
  }

  /** Copies the rest at once and waits until it is durable. */
  async drain(): Promise<CaptureResult | null> {
    const flight = this.#flight;
    if (!flight) return null;
    const started = performance.now();
    let result: CaptureResult | null = null;
    while (!result) {
      if (flight.committing || this.#memory.kind === 'device') await delay(1);
      else if (this.#slotIsFree()) this.#copySlice(flight, this.#memory);
      else if (Atomics.wait(this.#states, this.#slot, SLOT_USED, WRITER_PATIENCE_MS) === 'timed-out') await delay(1);
      result = this.#result(flight);
    }
    return { ...result, stallMs: performance.now() - started };
  }

  async close(): Promise<void> {
    if (this.#flight) this.#dispose(this.#flight);
    this.#replies.close();
    await this.#worker.terminate();
  }

  #slotIsFree(): boolean {
    return Atomics.load(this.#states, this.#slot) !== SLOT_USED;
  }

  /** Fills the next slot, across tensors when they are small; after the last byte asks for the commit. */
  #copySlice(flight: Flight, memory: HostMemory): void {
    const target = this.#slotBytes();
    let filled = 0;
    while (filled < SLOT_BYTES && flight.tensor < flight.tensors.length) {
      const { tensor } = flight.tensors[flight.tensor]!;
      const source = memory.bytes(tensor);
      const part = source.subarray(flight.offset, flight.offset + SLOT_BYTES - filled);
      target.set(part, filled);
      filled += part.length;
      this.#advance(flight, part.length, source.length);
    }
    this.#postSlot(filled);
    if (flight.tensor === flight.tensors.length) this.#commit(flight);
  }

  /** The same from a device, which copies while the training goes on; nothing is committed that came after an error of it. */
  async #stream(flight: Flight, memory: DeviceMemory): Promise<void> {
    const sizes = describeTensors(flight.tensors).map(({ bytes }) => bytes);
    try {
      while (flight.tensor < flight.tensors.length) {
        while (!this.#slotIsFree()) await delay(1);
        if (this.#flight !== flight) return;
        const target = this.#slotBytes();
        let filled = 0;
        while (filled < SLOT_BYTES && flight.tensor < flight.tensors.length) {
          const { tensor } = flight.tensors[flight.tensor]!;
          const size = sizes[flight.tensor]!;
          const bytes = Math.min(size - flight.offset, SLOT_BYTES - filled);
          await memory.read(tensor, flight.offset, target.subarray(filled, filled + bytes));
          if (this.#flight !== flight) return;
          filled += bytes;
          this.#advance(flight, bytes, size);
        }
        this.#postSlot(filled);
      }
      await memory.settle();
      if (this.#flight === flight) this.#commit(flight);
    } catch (error) {
      // After its writer has failed another may fly by now, and the abort would be of that one.
      if (this.#flight !== flight) return;
      flight.refused = (error as Error).message;
      this.#post({ type: 'abort' });
    }
  }

  #slotBytes(): Uint8Array {
    return new Uint8Array(this.#slots, this.#slot * SLOT_BYTES, SLOT_BYTES);
  }

  #advance(flight: Flight, copied: number, size: number): void {
    flight.offset += copied;
    if (flight.offset < size) return;
    flight.tensors[flight.tensor]!.tensor.dispose();
    flight.tensor++;
    flight.offset = 0;
  }

  #postSlot(bytes: number): void {
    if (bytes === 0) return;
    const slot = this.#slot;
    Atomics.store(this.#states, slot, SLOT_USED);
    this.#slot = (slot + 1) % SLOT_COUNT;
    this.#post({ type: 'slot', slot, bytes });
  }

  #commit(flight: Flight): void {
    flight.committing = true;
    this.#post({
      type: 'commit',
      target: join(this.#inbox, flight.name),
      checkpointFile: CHECKPOINT_FILE,
      checkpoint: JSON.stringify(flight.facts),
    });
  }

  #result(flight: Flight): CaptureResult | null {
    const { name, facts, stallMs } = flight;
    const lost = this.#broken ?? flight.refused;
    if (lost !== null) {
      this.#dispose(flight);
      return { name, facts, stallMs, error: lost, deviceFailed: this.#deviceFailed };
    }
    const reply = receiveMessageOnPort(this.#replies)?.message as WriterReply | undefined;
    if (!reply) return null;
    this.#dispose(flight);
    return { name, facts, stallMs, error: reply.type === 'committed' ? null : reply.message, deviceFailed: false };
  }

  #dispose(flight: Flight): void {
    for (const { tensor } of flight.tensors.slice(flight.tensor)) tensor.dispose();
    this.#flight = null;
  }

  #post(request: WriterRequest): void {
    this.#worker.postMessage(request);
  }
}

/** Shares the data; a later assignment to the variable leaves it as it is. `clone` would copy on wasm. */
function pin(tensor: Tensor): Tensor {
  return tf.keep(tf.reshape(tensor, tensor.shape));
}

/** What an earlier process of this session left half-written. */
function removeUnfinished(inbox: string): void {
  for (const name of readdirSync(inbox)) {
    if (name.startsWith('.tmp-')) rmSync(join(inbox, name), { recursive: true, force: true });
  }
}
