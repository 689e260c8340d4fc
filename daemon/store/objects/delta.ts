/**
 * Encodes a chunk as its difference from another of the same size: for weights and optimizer slots, which change little
 * from one checkpoint to the next. Lossless for any bytes; small only for floats.
 *
 * Floats are read as integers of the same order, and subtracted. The number of bits of a difference depends on the size
 * of the number: a step of the optimizer is many units of a small weight and few of a large one. So a difference is split
 * into a symbol (its length and the three bits after the first), which is compressed with those of all elements whose
 * base has the same exponent, and the bits below, which are noise and are stored as they are.
 *
 * Layout: u32 for each class (compressed bytes of its symbols), the symbols, the bits as u32 words, the bytes of an
 * incomplete element. Everything is little-endian. The classes are not written: they follow from the base.
 */
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** Width of floats for deltas. Eight is not supported: hardly any state is float64. */
export type DeltaWidth = 2 | 4;

/**
 * Minimum size of a class: fewer symbols are compressed together with those of the next exponent, since a table for
 * each costs more.
 */
const MIN_CLASS = 4096;
/** Symbols 0 to 15 are the difference itself; above, there are eight for each length from 5 bits to 32. */
const PLAIN = 16;
const SYMBOLS = PLAIN + 28 * 8;
const LEVEL = { params: { [zlib.ZSTD_c_compressionLevel]: 1 } };

/** Number of bits that follow each symbol, and the value that they are added to. */
const REST_BITS = new Uint8Array(256);
const SYMBOL_BASE = new Uint32Array(256);
for (let symbol = 0; symbol < SYMBOLS; symbol++) {
  const bits = symbol < PLAIN ? 0 : ((symbol - PLAIN) >> 3) + 1;
  REST_BITS[symbol] = bits;
  SYMBOL_BASE[symbol] = symbol < PLAIN ? symbol : ((8 | ((symbol - PLAIN) & 7)) << bits) >>> 0;
}

/** Encodes `bytes` as a delta to `base` of the same length. */
export function encodeDelta(bytes: Uint8Array, base: Uint8Array, width: DeltaWidth): Uint8Array {
  const values = elements(bytes, width);
  const bases = elements(base, width);
  const { classOf, starts } = classesOf(bases, width);
  const symbols = new Uint8Array(values.length);
  const bits = new Uint32Array(values.length + 1);
  const at = starts.slice();
  const sign = 8 * width - 1;
  const magnitude = 2 ** sign - 1;
  const exponent = sign - 8;
  let bit = 0;
  for (let i = 0; i < values.length; i++) {
    const one = values[i]!;
    const other = bases[i]!;
    // Makes integers that are ordered like the floats: for negative numbers all bits but the sign are inverted.
    const difference = (one ^ ((one >> 31) & magnitude)) - (other ^ ((other >> 31) & magnitude));
    const code = ((difference << 1) ^ ((difference | 0) >> 31)) >>> 0;
    let symbol = code;
    if (code >= PLAIN) {
      const rest = 28 - Math.clz32(code);
      symbol = PLAIN + ((rest - 1) << 3) + ((code >>> rest) & 7);
      const low = code & ((1 << rest) - 1);
      const word = bit >>> 5;
      const shift = bit & 31;
      bits[word]! |= low << shift;
      // Two steps: a shift by 32 would do nothing.
      bits[word + 1]! |= (low >>> 1) >>> (31 - shift);
      bit += rest;
    }
    symbols[at[classOf[(other >>> exponent) & 255]!]!++] = symbol;
  }
  const streams = Array.from({ length: starts.length }, (_, i) =>
    zstdCompressSync(symbols.subarray(starts[i], starts[i + 1] ?? symbols.length), LEVEL),
  );
  const words = (bit + 31) >>> 5;
  return Buffer.concat([
    asBytes(Uint32Array.from(streams, ({ length }) => length)),
    ...streams,
    asBytes(bits.subarray(0, words)),
    bytes.subarray(values.length * width),
  ]);
}

/**
 * Decodes a delta. Throws RangeError, and zlib's errors, when `data` does not come from `encodeDelta` with this base.
 */
export function decodeDelta(data: Uint8Array, base: Uint8Array, width: DeltaWidth): Uint8Array {
  const bases = elements(base, width);
  const count = bases.length;
  const { classOf, starts } = classesOf(bases, width);
  const symbols = new Uint8Array(count);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let from = 4 * starts.length;
  for (let i = 0; i < starts.length; i++) {
    const wanted = (starts[i + 1] ?? count) - starts[i]!;
    const end = from + view.getUint32(4 * i, true);
    if (end > data.length) throw new RangeError('a stream is longer than the data');
    const plain = zstdDecompressSync(data.subarray(from, end), { maxOutputLength: Math.max(wanted, 1) });
    if (plain.length !== wanted) throw new RangeError('a stream has the wrong length');
    symbols.set(plain, starts[i]);
    from = end;
  }
  const rest = base.length - count * width;
  const words = (data.length - rest - from) >>> 2;
  // One word more, since the last element may read the one after it.
  const bits = new Uint32Array(words + 1);
  asBytes(bits).set(data.subarray(from, from + 4 * words));
  const out = new Uint8Array(base.length);
  const values = width === 4 ? new Int32Array(out.buffer, 0, count) : new Int16Array(out.buffer, 0, count);
  const at = starts.slice();
  const sign = 8 * width - 1;
  const magnitude = 2 ** sign - 1;
  const exponent = sign - 8;
  let bit = 0;
  for (let i = 0; i < count; i++) {
    const other = bases[i]!;
    const symbol = symbols[at[classOf[(other >>> exponent) & 255]!]!++]!;
    let code = SYMBOL_BASE[symbol]!;
    const length = REST_BITS[symbol]!;
    if (length > 0) {
      const word = bit >>> 5;
      const shift = bit & 31;
      const both = (bits[word]! >>> shift) | ((bits[word + 1]! << 1) << (31 - shift));
      code |= both & ((1 << length) - 1);
      bit += length;
    }
    const one = ((code >>> 1) ^ -(code & 1)) + (other ^ ((other >> 31) & magnitude));
    values[i] = one ^ (((one << (31 - sign)) >> 31) & magnitude);
  }
  if ((bit + 31) >>> 5 !== words) throw new RangeError('too few or too many bits');
  out.set(data.subarray(data.length - rest), count * width);
  return out;
}

/**
 * Reads elements as signed integers, so that `>> 31` is the sign; both widths as the same kind of array, for which the
 * loops are compiled.
 */
function elements(bytes: Uint8Array, width: DeltaWidth): Int32Array {
  const aligned = bytes.byteOffset % width === 0 ? bytes : Uint8Array.from(bytes);
  const count = Math.floor(bytes.length / width);
  return width === 4
    ? new Int32Array(aligned.buffer, aligned.byteOffset, count)
    : Int32Array.from(new Int16Array(aligned.buffer, aligned.byteOffset, count));
}

/** Assigns exponents to classes, and finds where in the symbols each class starts. */
function classesOf(bases: Int32Array, width: DeltaWidth): { classOf: Uint8Array; starts: Uint32Array } {
  const counts = new Uint32Array(256);
  const exponent = 8 * width - 9;
  for (let i = 0; i < bases.length; i++) counts[(bases[i]! >>> exponent) & 255]!++;
  const classOf = new Uint8Array(256);
  const starts = [0];
  let seen = 0;
  for (let value = 0; value < 256; value++) {
    const enough = seen - starts[starts.length - 1]! >= MIN_CLASS;
    if (enough && bases.length - seen >= MIN_CLASS) starts.push(seen);
    classOf[value] = starts.length - 1;
    seen += counts[value]!;
  }
  return { classOf, starts: Uint32Array.from(starts) };
}

function asBytes(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
