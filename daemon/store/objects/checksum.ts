/**
 * Computes the checksum that guards a chunk against flipped bits, torn writes and mixed-up rows: XXH3 with 64 bits, several times as
 * fast as SHA-256. Whoever wants to can make bytes with a given checksum, so it never tells whether two chunks are the same one.
 */
import { CHECKSUM_KERNEL, CHECKSUM_KERNEL_SHARED } from './checksum-kernel.ts';
import { MIN_CHECKSUM_BYTES } from './limits.ts';

export const CHECKSUM_BYTES = 8;
/** Bytes at the beginning of the kernel's memory that are its own. */
export const KERNEL_BYTES = 64 << 10;

/** Offset of the input in a kernel's own memory, and the size that it gets at a time. */
const INPUT = 1_024;
const PIECE_BYTES = 64 << 10;
const BLOCK_BYTES = 1_024;
/** Bytes before the end that the kernel reads again. */
const LAST_BYTES = 64;

/**
 * Computes the checksum of a chunk's plain bytes. It covers the chunk's hash, too, so that it tells that both belong together. Null:
 * the chunk is too small to have one.
 */
export function checksumOf(bytes: Uint8Array, hash: Uint8Array): Uint8Array | null {
  if (bytes.length < MIN_CHECKSUM_BYTES) return null;
  const sum = new Uint8Array(CHECKSUM_BYTES);
  new DataView(sum.buffer).setBigUint64(0, xxh3(bytes));
  for (let i = 0; i < CHECKSUM_BYTES; i++) sum[i]! ^= hash[i]!;
  return sum;
}

/** Tells whether bytes and hash have this checksum. */
export function hasChecksum(bytes: Uint8Array, hash: Uint8Array, sum: Uint8Array): boolean {
  const own = checksumOf(bytes, hash);
  return own !== null && Buffer.compare(own, sum) === 0;
}

/** Memory of a kernel. */
export interface KernelMemory {
  readonly buffer: SharedArrayBuffer;
}

interface WebAssemblyClasses {
  Memory: new (options: { initial: number; maximum: number; shared: true }) => KernelMemory;
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
}

// Node's types know WebAssembly only as a namespace.
const { Memory, Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyClasses }).WebAssembly;

interface Kernel {
  memory: KernelMemory;
  begin(): void;
  blocks(at: number, end: number): void;
  finish(at: number, end: number, length: number): bigint;
}

/** Kernel with memory of its own, into which the input is copied. */
let copying: { kernel: Kernel; input: Uint8Array } | null = null;
/** Kernel in a memory where the input is already. */
let shared: { kernel: Kernel; memory: ArrayBufferLike } | null = null;

/**
 * Makes a shared memory in which checksums are computed without a copy, twice as fast. Its first `KERNEL_BYTES` belong to the kernel.
 */
export function checksumMemory(bytes: number): KernelMemory {
  const pages = Math.ceil((KERNEL_BYTES + bytes) / (64 << 10));
  return new Memory({ initial: pages, maximum: 65_536, shared: true });
}

/** Computes checksums of what is in this memory in place, from now on in this thread. */
export function useChecksumMemory(memory: KernelMemory): void {
  shared = { kernel: instance(CHECKSUM_KERNEL_SHARED, { env: { memory } }), memory: memory.buffer };
}

/** Computes XXH3 of more than 240 bytes. */
export function xxh3(bytes: Uint8Array): bigint {
  // The last block, also a whole one, is treated differently.
  const whole = Math.max(0, Math.ceil(bytes.length / BLOCK_BYTES) - 1) * BLOCK_BYTES;
  const sum = bytes.buffer === shared?.memory ? inPlace(shared.kernel, bytes, whole) : copied(bytes, whole);
  return BigInt.asUintN(64, sum);
}

function inPlace(kernel: Kernel, { byteOffset: at, length }: Uint8Array, whole: number): bigint {
  kernel.begin();
  kernel.blocks(at, at + whole);
  return kernel.finish(at + whole, at + length, length);
}

function copied(bytes: Uint8Array, whole: number): bigint {
  copying ??= ownMemory();
  const { kernel, input } = copying;
  kernel.begin();
  for (let at = 0; at < whole; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, Math.min(whole, at + PIECE_BYTES));
    input.set(piece);
    kernel.blocks(INPUT, INPUT + piece.length);
  }
  const before = Math.min(whole, LAST_BYTES);
  input.set(bytes.subarray(whole - before));
  return kernel.finish(INPUT + before, INPUT + before + bytes.length - whole, bytes.length);
}

function ownMemory(): NonNullable<typeof copying> {
  const kernel = instance(CHECKSUM_KERNEL, {});
  return { kernel, input: new Uint8Array(kernel.memory.buffer, INPUT) };
}

function instance(code: string, imports: object): Kernel {
  const module = new Module(Buffer.from(code, 'base64'));
  return new Instance(module, imports).exports as Kernel;
}
