/** Computes numbers for the difference of two tensors, in one pass over both. */
import type { Numbers } from '../../formats/floats.ts';
import { DIFFERENCE_KERNEL } from './difference-kernel.ts';

/**
 * Number of float32 elements for one call of the kernel, and the number below which a call costs more than it saves.
 */
const BLOCK = 8_192;
const SMALL = 512;
/** Exponents of float64 in their stored form. */
const EXPONENTS = 2_048;
const EXPONENT_BIAS = 1_023;

export class Difference {
  elements = 0;
  changed = 0;
  /** Sums over the pairs of finite numbers; squares and products are summed in float64. */
  squares: [number, number] = [0, 0];
  product = 0;
  squaredDifference = 0;
  largest = 0;
  /** Index of the largest change in the order of the elements; -1: all are equal. */
  largestAt = -1;
  nan: [number, number] = [0, 0];
  infinite: [number, number] = [0, 0];
  /** Counts by the exponent of the difference, without differences of 0. */
  readonly #counts = new Float64Array(EXPONENTS);

  /** Returns the number of differences with a size in [2^e, 2^(e+1)), ascending, without those of 0. */
  histogram(): { e: number; count: number }[] {
    return [...this.#counts].flatMap((count, i) => (count > 0 ? [{ e: i - EXPONENT_BIAS, count }] : []));
  }

  /** Adds two arrays of equal length. */
  add(a: Numbers, b: Numbers): void {
    if (a instanceof Float32Array && b instanceof Float32Array && a.length >= SMALL) this.#addSingles(a, b);
    else this.#addCarefully(a, b);
  }

  #addSingles(a: Float32Array, b: Float32Array): void {
    for (let start = 0; start < a.length; start += BLOCK) {
      const [x, y] = [a.subarray(start, start + BLOCK), b.subarray(start, start + BLOCK)];
      if (!this.#addFinite(x, y)) this.#addCarefully(x, y);
    }
    counts.forEach((count, i) => {
      if (i % EXPONENTS !== 0) this.#counts[i % EXPONENTS]! += count;
    });
    counts.fill(0);
  }

  /** Adds a block with the kernel. Returns false, and adds nothing, if it contains a NaN or an infinity. */
  #addFinite(a: Float32Array, b: Float32Array): boolean {
    const length = (a.length + 3) & ~3;
    blockA.set(a);
    blockA.fill(0, a.length, length);
    blockB.set(b);
    blockB.fill(0, b.length, length);
    const changed = kernel.sums(4 * length);
    const [aa, bb, ab, dd, largest] = results as unknown as [number, number, number, number, number];
    // Squares of float32 are far below float64's maximum, so only a NaN or an infinity can make this sum infinite.
    if (!Number.isFinite(aa + bb)) {
      kernel.uncount(4 * length);
      return false;
    }
    this.squares[0] += aa;
    this.squares[1] += bb;
    this.product += ab;
    this.squaredDifference += dd;
    this.changed += changed;
    if (largest > this.largest) {
      this.largest = largest;
      let at = 0;
      while (Math.abs(b[at]! - a[at]!) !== largest) at++;
      this.largestAt = this.elements + at;
    }
    this.elements += a.length;
    return true;
  }

  #addCarefully(a: Numbers, b: Numbers): void {
    for (let i = 0; i < a.length; i++) {
      const x = a[i]!;
      const y = b[i]!;
      if (!Object.is(x, y)) this.changed++;
      this.#countSpecial(x, 0);
      this.#countSpecial(y, 1);
      if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
      const d = y - x;
      this.squares[0] += x * x;
      this.squares[1] += y * y;
      this.product += x * y;
      this.squaredDifference += d * d;
      if (d === 0) continue;
      const size = Math.abs(d);
      this.#counts[exponentOf(size)]!++;
      if (size > this.largest) {
        this.largest = size;
        this.largestAt = this.elements + i;
      }
    }
    this.elements += a.length;
  }

  #countSpecial(value: number, side: 0 | 1): void {
    if (Number.isNaN(value)) this.nan[side]++;
    else if (!Number.isFinite(value)) this.infinite[side]++;
  }
}

interface Kernel {
  memory: { buffer: ArrayBuffer };
  sums(bytes: number): number;
  uncount(bytes: number): void;
}

interface WebAssemblyClasses {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: Kernel };
}

// Node's types know WebAssembly only as a namespace.
const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyClasses }).WebAssembly;
const kernel = new Instance(new Module(Buffer.from(DIFFERENCE_KERNEL, 'base64'))).exports;
const results = new Float64Array(kernel.memory.buffer, 0, 5);
const counts = new Int32Array(kernel.memory.buffer, 4_096, 4 * EXPONENTS);
const blockA = new Float32Array(kernel.memory.buffer, 65_536, BLOCK);
const blockB = new Float32Array(kernel.memory.buffer, 131_072, BLOCK);

const one = new Float64Array(1);
const halves = new Uint32Array(one.buffer);

/**
 * Returns the exponent of a number above 0, as float64 stores it. A logarithm would round up just below a power of two.
 */
function exponentOf(size: number): number {
  one[0] = size;
  return halves[1]! >>> 20;
}
