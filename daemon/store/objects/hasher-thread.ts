/**
 * Entry of the hasher thread: reads, hashes and compresses while the store worker writes earlier chunks. The chunks'
 * bytes stay in shared memory; only their description is posted.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { KERNEL_BYTES, type KernelMemory, useChecksumMemory } from './checksum.ts';
import {
  type HasherMessage,
  type HasherRequest,
  SLOT_BYTES,
  SLOT_COUNT,
  SLOT_FREE,
  SLOT_USED,
} from './hasher-protocol.ts';
import { FileChanged, hashFile } from './hashing.ts';

const { memory: kernelMemory, states } = workerData as { memory: KernelMemory; states: SharedArrayBuffer };
useChecksumMemory(kernelMemory);
const memory = kernelMemory.buffer;
const slots = new Int32Array(states, 0, SLOT_COUNT);
/** Counter that every release raises: waited on when all slots are used. */
const releases = new Int32Array(states, SLOT_COUNT * 4, 1);

parentPort!.on('message', ({ id, path, expected }: HasherRequest) => {
  const post = (message: HasherMessage) => parentPort!.postMessage(message);
  let slot = -1;
  try {
    hashFile(
      path,
      () => {
        slot = takeSlot();
        return new Uint8Array(memory, KERNEL_BYTES + slot * SLOT_BYTES, SLOT_BYTES);
      },
      (chunk) => {
        const { hash, size, data } = chunk;
        if (data === null) return post({ type: 'expected', id, hash, size });
        const { codec, sum } = chunk;
        const inSlot = new Uint8Array(memory, KERNEL_BYTES + slot * SLOT_BYTES, data.length);
        if (data.byteOffset !== inSlot.byteOffset || data.buffer !== memory) inSlot.set(data);
        post({ type: 'chunk', id, slot, hash, size, sum, codec, bytes: data.length });
        slot = -1;
      },
      hashSet(expected),
    );
    post({ type: 'end', id });
  } catch (error) {
    if (slot >= 0) releaseSlot(slot);
    const { name, message, code } = error as NodeJS.ErrnoException;
    post({ type: 'error', id, changed: error instanceof FileChanged, name, message, code: code ?? null });
  }
});

function hashSet(hashes: Uint8Array): Set<string> {
  const bytes = Buffer.from(hashes);
  return new Set(Array.from({ length: bytes.length / 32 }, (_, i) => bytes.toString('hex', i * 32, i * 32 + 32)));
}

/** Takes the first free slot; waits while the store worker uses them all. */
function takeSlot(): number {
  for (;;) {
    const seen = Atomics.load(releases, 0);
    for (let slot = 0; slot < slots.length; slot++) {
      if (Atomics.compareExchange(slots, slot, SLOT_FREE, SLOT_USED) === SLOT_FREE) return slot;
    }
    Atomics.wait(releases, 0, seen);
  }
}

function releaseSlot(slot: number): void {
  Atomics.store(slots, slot, SLOT_FREE);
}
