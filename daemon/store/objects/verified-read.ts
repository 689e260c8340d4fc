/** Reads chunks and checks their bytes: against their checksums here, or against their hashes beside the calling thread. */
import { webcrypto } from 'node:crypto';
import { hasChecksum } from './checksum.ts';
import { CODEC, isDelta } from './codec.ts';
import type { Coders } from './codec-pool.ts';
import { damagedChunk, decodeStack, type EncodedChunk } from './stack.ts';

/** Size below which decoding or hashing takes less time than asking a thread for it. */
const INLINE_BYTES = 128 << 10;

/**
 * Returns a chunk's bytes in a buffer of their own. `stack` comes from `Objects.stack`, and its memory may be taken
 * over. Throws `corrupted`.
 */
export async function verifiedBytes(
  coders: Coders,
  id: number,
  stack: EncodedChunk[],
): Promise<Uint8Array<ArrayBuffer>> {
  const { size, data, sum } = stack[0]!;
  // Also to hash plain bytes: their memory goes there and back, where Node's own threads would get a copy.
  if ((!isPlain(stack) || sum === null) && size >= INLINE_BYTES) {
    const bytes = await coders.decode(stack);
    if (bytes?.length !== size)
      throw damagedChunk(
        id,
        isPlain(stack) ? 'its bytes do not match its hash' : 'it cannot be decompressed to its recorded size',
      );
    return ownBuffer(bytes);
  }
  const bytes = ownBuffer(isPlain(stack) ? data : decoded(id, stack));
  await verify(id, bytes, stack[0]!);
  return bytes;
}

/**
 * Returns a chunk for another store: as it is encoded here, or plain if it is a delta, whose base may not be there. The bytes are
 * compared with their SHA-256 first, which the other store or the remote goes by. `stack` comes from `Objects.stack`. Throws `corrupted`.
 */
export async function portableChunk(
  coders: Coders,
  id: number,
  stack: EncodedChunk[],
): Promise<{ codec: number; data: Uint8Array<ArrayBuffer> }> {
  const { codec, data } = stack[0]!;
  const hashed = stack.map((chunk) => ({ ...chunk, sum: null }));
  if (isPlain(stack) || isDelta(codec)) return { codec: CODEC.raw, data: await verifiedBytes(coders, id, hashed) };
  const copy = Uint8Array.from(data);
  await verifiedBytes(coders, id, hashed);
  return { codec, data: copy };
}

/** Tells whether the bytes are stored unencoded. */
export function isPlain(stack: readonly EncodedChunk[]): boolean {
  return stack[0]!.codec === CODEC.raw;
}

/**
 * Compares bytes with their checksum at once, or, where that is not known or does not match, with their hash in Node's thread pool:
 * a damaged checksum must not make an intact chunk unreadable. Throws `corrupted`.
 */
export async function verify(id: number, bytes: Uint8Array, { size, hash, sum }: EncodedChunk): Promise<void> {
  if (bytes.length !== size) throw damagedChunk(id, `it has ${bytes.length} bytes instead of ${size}`);
  if (sum !== null && hasChecksum(bytes, hash, sum)) return;
  const digest = new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  if (!Buffer.from(digest).equals(hash)) throw damagedChunk(id, 'its bytes do not match its hash');
}

function decoded(id: number, stack: readonly EncodedChunk[]): Uint8Array {
  try {
    return decodeStack(stack);
  } catch {
    throw damagedChunk(id, 'it cannot be decompressed');
  }
}

function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return (bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes)) as Uint8Array<ArrayBuffer>;
}
