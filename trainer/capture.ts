/**
 * Takes a point-in-time copy of the training state, and stops the training for at most a few milliseconds at each step.
 * Tensors are immutable and an assignment swaps them, so a reshape to the same shape pins today's values at no cost.
 * Pinned tensors are copied into shared memory in slices between steps and written by another thread.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Tensor } from '@tensorflow/tfjs-core';
import { encodeHeader } from '../formats/safetensors.ts';
import { CHECKPOINT_FILE, type CheckpointFile, STATE_FILE } from '../protocol/session.ts';
import type { SessionDirectory } from '../session/directory.ts';
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

/** Wait for a free slot after which the event loop gets a turn, to notice a dead writer. */
const WRITER_WAIT_MS = 200;

export interface CaptureResult {
  name: string;
  facts: CheckpointFile;
  /** Milliseconds that the training thread spent on it. */
  stallMs: number;
  /** Error; null when the checkpoint is durable in the inbox. */
  error: string | null;
  /** True if the device has failed, which ends the run with the reason. */
  deviceFailed: boolean;
}

interface Capture {
  name: string;
  facts: CheckpointFile;
  tensors: NamedTensor[];
  tensor: number;
  offset: number;
  stallMs: number;
  committing: boolean;
  /** Reason why the capture was given up. */
  givenUp: string | null;
}

export class Capturer {
  readonly #memory: Backend['memory'];
  readonly #inbox: string;
  readonly #worker: Worker;
  readonly #slots = new SharedArrayBuffer(SLOT_BYTES * SLOT_COUNT);
  readonly #states = new Int32Array(new SharedArrayBuffer(4 * SLOT_COUNT));
  readonly #replies: MessageChannel['port1'];
  #slot = 0;
  #current: Capture | null = null;
  #writerError: string | null = null;

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
      this.#writerError = error.message;
    });
    this.#worker.unref();
    removeUnfinished(this.#inbox);
  }

  /** True if nothing can be written any more: trying again is useless. */
  get isBroken(): boolean {
    return this.#writerError !== null;
  }

  get #deviceFailed(): boolean {
    return this.#memory.kind === 'device' && this.#memory.failure() !== null;
  }

  get inFlight(): boolean {
    return this.#current !== null;
  }

  /** Pins the state. Only one capture is in flight at a time. */
  begin(name: string, facts: CheckpointFile, state: readonly NamedTensor[], progress: Progress): void {
    const started = performance.now();
    const tensors = state.map(({ name: tensorName, tensor }) => ({ name: tensorName, tensor: pin(tensor) }));
    const layout = describeTensors(tensors);
    const header = encodeHeader(layout, progressMetadata(progress));
    const bytes = header.length + layout.reduce((sum, tensor) => sum + tensor.bytes, 0);
    const complete = { ...facts, files: [{ name: STATE_FILE, bytes }] };
    this.#post({ type: 'begin', directory: join(this.#inbox, `.tmp-${name}`), header, stateFile: STATE_FILE });
    this.#current = {
      name,
      facts: complete,
      tensors,
      tensor: 0,
      offset: 0,
      stallMs: 0,
      committing: false,
      givenUp: null,
    };
    if (this.#memory.kind === 'device') void this.#stream(this.#current, this.#memory);
    this.#current.stallMs = performance.now() - started;
  }

  /** Copies for at most `budgetMs`, and never waits for the writer. Returns the result once it is known. */
  pump(budgetMs: number): CaptureResult | null {
    const flight = this.#current;
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
    const flight = this.#current;
    if (!flight) return null;
    const started = performance.now();
    let result: CaptureResult | null = null;
    while (!result) {
      if (flight.committing || this.#memory.kind === 'device') await delay(1);
      else if (this.#slotIsFree()) this.#copySlice(flight, this.#memory);
      else if (Atomics.wait(this.#states, this.#slot, SLOT_USED, WRITER_WAIT_MS) === 'timed-out') await delay(1);
      result = this.#result(flight);
    }
    return { ...result, stallMs: performance.now() - started };
  }

  async close(): Promise<void> {
    if (this.#current) this.#dispose(this.#current);
    this.#replies.close();
    await this.#worker.terminate();
  }

  #slotIsFree(): boolean {
    return Atomics.load(this.#states, this.#slot) !== SLOT_USED;
  }

  /** Fills the next slot, across tensors when they are small. After the last byte requests the commit. */
  #copySlice(flight: Capture, memory: HostMemory): void {
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

  /**
   * Streams the tensors from a device, which copies while the training continues. Commits nothing that came after an
   * error of the device.
   */
  async #stream(flight: Capture, memory: DeviceMemory): Promise<void> {
    const sizes = describeTensors(flight.tensors).map(({ bytes }) => bytes);
    try {
      while (flight.tensor < flight.tensors.length) {
        while (!this.#slotIsFree()) await delay(1);
        if (this.#current !== flight) return;
        const target = this.#slotBytes();
        let filled = 0;
        while (filled < SLOT_BYTES && flight.tensor < flight.tensors.length) {
          const { tensor } = flight.tensors[flight.tensor]!;
          const size = sizes[flight.tensor]!;
          const bytes = Math.min(size - flight.offset, SLOT_BYTES - filled);
          await memory.read(tensor, flight.offset, target.subarray(filled, filled + bytes));
          if (this.#current !== flight) return;
          filled += bytes;
          this.#advance(flight, bytes, size);
        }
        this.#postSlot(filled);
      }
      await memory.settle();
      if (this.#current === flight) this.#commit(flight);
    } catch (error) {
      // After a writer failure another capture may be in flight, which the abort would hit.
      if (this.#current !== flight) return;
      flight.givenUp = (error as Error).message;
      this.#post({ type: 'abort' });
    }
  }

  #slotBytes(): Uint8Array {
    return new Uint8Array(this.#slots, this.#slot * SLOT_BYTES, SLOT_BYTES);
  }

  #advance(flight: Capture, copied: number, size: number): void {
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

  #commit(flight: Capture): void {
    flight.committing = true;
    this.#post({
      type: 'commit',
      target: join(this.#inbox, flight.name),
      checkpointFile: CHECKPOINT_FILE,
      checkpoint: JSON.stringify(flight.facts),
    });
  }

  #result(flight: Capture): CaptureResult | null {
    const { name, facts, stallMs } = flight;
    const lost = this.#writerError ?? flight.givenUp;
    if (lost !== null) {
      this.#dispose(flight);
      return { name, facts, stallMs, error: lost, deviceFailed: this.#deviceFailed };
    }
    const reply = receiveMessageOnPort(this.#replies)?.message as WriterReply | undefined;
    if (!reply) return null;
    this.#dispose(flight);
    return { name, facts, stallMs, error: reply.type === 'committed' ? null : reply.message, deviceFailed: false };
  }

  #dispose(flight: Capture): void {
    for (const { tensor } of flight.tensors.slice(flight.tensor)) tensor.dispose();
    this.#current = null;
  }

  #post(request: WriterRequest): void {
    this.#worker.postMessage(request);
  }
}

/**
 * Pins a tensor: shares its data, which a later assignment to the variable leaves alone. `clone` would copy on wasm.
 */
function pin(tensor: Tensor): Tensor {
  return tf.keep(tf.reshape(tensor, tensor.shape));
}

/** Removes partial checkpoints of an earlier process of this session. */
function removeUnfinished(inbox: string): void {
  for (const name of readdirSync(inbox)) {
    if (name.startsWith('.tmp-')) rmSync(join(inbox, name), { recursive: true, force: true });
  }
}
