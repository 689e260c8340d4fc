/** Entry of a coder thread: decodes chunks, and encodes them as small as possible. */
import { parentPort } from 'node:worker_threads';
import { decodeChunk, encodeSmall, isDelta } from './codec.ts';
import type { CoderReply, CoderRequest, Recoded } from './codec-pool.ts';
import { decodeStack, type EncodedChunk, isIntact } from './stack.ts';

parentPort!.on('message', (request: CoderRequest) => {
  const reply: CoderReply = 'decode' in request ? verified(request.decode) : recode(request.recode, request.base);
  const given = reply === null ? [] : 'data' in reply ? [reply.data] : [reply];
  const own = given.filter(({ byteLength, buffer }) => byteLength === buffer.byteLength);
  parentPort!.postMessage(
    reply,
    own.map(({ buffer }) => buffer as ArrayBuffer),
  );
});

function recode(chunk: EncodedChunk[], base: EncodedChunk[] | null): Recoded | null {
  const bytes = verified(chunk);
  const baseBytes = base && verified(base);
  if (bytes === null || (base !== null && baseBytes === null)) return null;
  const { codec, data } = encodeSmall(bytes, baseBytes?.length === bytes.length ? baseBytes : null);
  const delta = isDelta(codec);
  // The stored form that is about to be replaced is the only copy.
  const again = decodeChunk(data, codec, bytes.length, delta ? baseBytes : null);
  return Buffer.compare(again, bytes) === 0 ? { codec, data, delta } : null;
}

function verified(stack: EncodedChunk[]): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = decodeStack(stack);
    return isIntact(bytes, stack[0]!) ? (bytes as Uint8Array<ArrayBuffer>) : null;
  } catch {
    return null;
  }
}
