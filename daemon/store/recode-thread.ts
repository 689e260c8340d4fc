/** Entry of the recoder's thread: decodes a chunk and its base, and makes the chunk as small as it can. */
import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { decodeChunk, encodeSmall, isDelta } from './codec.ts';
import { decodeStack, type StoredChunk } from './objects.ts';
import type { RecodeReply, RecodeRequest } from './recoder.ts';

parentPort!.on('message', ({ chunk, base }: RecodeRequest) => {
  parentPort!.postMessage(recode(chunk, base));
});

/** Null when one of them is damaged: what is there may be all that is left of it. */
function recode(chunk: StoredChunk[], base: StoredChunk[] | null): RecodeReply {
  const bytes = verified(chunk);
  const baseBytes = base && verified(base);
  if (bytes === null || (base !== null && baseBytes === null)) return null;
  const { codec, data } = encodeSmall(bytes, baseBytes?.length === bytes.length ? baseBytes : null);
  const delta = isDelta(codec);
  // What is about to be replaced is the only copy.
  const again = decodeChunk(data, codec, bytes.length, delta ? baseBytes : null);
  return Buffer.compare(again, bytes) === 0 ? { codec, data, delta } : null;
}

function verified(stack: StoredChunk[]): Uint8Array | null {
  try {
    const bytes = decodeStack(stack);
    return createHash('sha256').update(bytes).digest().equals(stack[0]!.hash) ? bytes : null;
  } catch {
    return null;
  }
}
