/** Entry of a thread that hashes a file while another one writes it: `workerData` is a HashSetup. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { ENDED, type HashSetup, UPDATES, WRITTEN } from './hash-protocol.ts';

/** Small enough to stay in the processor's cache between reading and hashing. */
const BLOCK_BYTES = 256 << 10;

const { path, written } = workerData as HashSetup;
const hash = createHash('sha256');
const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
const file = openSync(path, 'r');
try {
  let at = 0;
  for (;;) {
    const updates = Atomics.load(written, UPDATES);
    const ended = Atomics.load(written, ENDED) === 1n;
    const available = Number(Atomics.load(written, WRITTEN));
    while (at < available) {
      const read = readSync(file, buffer, 0, Math.min(BLOCK_BYTES, available - at), at);
      if (read === 0) throw new Error(`${path} became shorter`);
      hash.update(buffer.subarray(0, read));
      at += read;
    }
    if (ended) break;
    Atomics.wait(written, UPDATES, updates);
  }
  parentPort!.postMessage(hash.digest('hex'));
} finally {
  closeSync(file);
}
