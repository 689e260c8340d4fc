/** Serves small reads from cached blocks: structures are read a few bytes at a time. */
import type { Read } from '../formats/window.ts';

const BLOCK_BYTES = 256 << 10;
/** Size from which a read bypasses the cache: such a reader continues and does not come back. */
const DIRECT_BYTES = 64 << 10;
const KEPT_BLOCKS = 16;

/** Caches blocks of a file with `bytes` bytes; larger reads bypass the cache. */
export function inBlocks(read: Read, bytes: number): Read {
  /** Cached blocks, the oldest first. */
  const blocks = new Map<number, Uint8Array>();
  const block = (index: number): Uint8Array => {
    let found = blocks.get(index);
    if (found) blocks.delete(index);
    else found = Uint8Array.from(read(index * BLOCK_BYTES, Math.min(BLOCK_BYTES, bytes - index * BLOCK_BYTES)));
    blocks.set(index, found);
    if (blocks.size > KEPT_BLOCKS) blocks.delete(blocks.keys().next().value!);
    return found;
  };
  return (offset, length) => {
    const wanted = Math.max(0, Math.min(length, bytes - offset));
    if (wanted === 0 || offset < 0) return new Uint8Array(0);
    if (wanted >= DIRECT_BYTES) return read(offset, wanted);
    const [first, last] = [Math.floor(offset / BLOCK_BYTES), Math.floor((offset + wanted - 1) / BLOCK_BYTES)];
    const start = offset - first * BLOCK_BYTES;
    if (first === last) return block(first).subarray(start, start + wanted);
    const out = new Uint8Array(wanted);
    const head = block(first).subarray(start);
    out.set(head);
    out.set(block(last).subarray(0, wanted - head.length), head.length);
    return out;
  };
}
