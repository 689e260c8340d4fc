/** Converts elements of every dtype to numbers. Pure. */
import { elementBytes } from './dtypes.ts';

/** Float32 where that represents each value exactly, else Float64. */
export type Numbers = Float32Array | Float64Array;

/**
 * Converts whole elements; null: they are not numbers. The result may share memory with `bytes`. F4 packs two elements
 * into a byte, so there are twice as many.
 */
export function toNumbers(dtype: string, bytes: Uint8Array): Numbers | null {
  // Typed arrays need an offset that is a multiple of the element size.
  const startsWell = bytes.byteOffset % (elementBytes(dtype) ?? 1) === 0;
  const { buffer, byteOffset, length } = startsWell ? bytes : Uint8Array.from(bytes);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, length >> 2);
    case 'F64':
      return new Float64Array(buffer, byteOffset, length >> 3);
    case 'BF16':
      return fromBfloat16(new Uint16Array(buffer, byteOffset, length >> 1));
    case 'F16':
      return fromHalf(new Uint16Array(buffer, byteOffset, length >> 1));
    case 'I8':
      return Float32Array.from(new Int8Array(buffer, byteOffset, length));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(bytes);
    case 'I16':
      return Float32Array.from(new Int16Array(buffer, byteOffset, length >> 1));
    case 'U16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, length >> 1));
    case 'I32':
      return Float64Array.from(new Int32Array(buffer, byteOffset, length >> 2));
    case 'U32':
      return Float64Array.from(new Uint32Array(buffer, byteOffset, length >> 2));
    case 'I64':
      return fromInt64(new Int32Array(buffer, byteOffset, length >> 2), false);
    case 'U64':
      return fromInt64(new Int32Array(buffer, byteOffset, length >> 2), true);
    case 'F4':
      return fromFloat4(bytes);
    default:
      return fromTable(FLOAT8_TABLES.get(dtype)?.(), bytes);
  }
}

/** Values of 8-bit floats by their bits. */
const FLOAT8_TABLES: ReadonlyMap<string, () => Float32Array> = new Map([
  ['F8_E4M3', table((bits) => ((bits & 0x7f) === 0x7f ? Number.NaN : small(bits, { fraction: 3, bias: 7 })))],
  ['F8_E5M2', table((bits) => ((bits & 0x7c) === 0x7c ? special(bits) : small(bits, { fraction: 2, bias: 15 })))],
  ['F8_E4M3FNUZ', table((bits) => (bits === 0x80 ? Number.NaN : small(bits, { fraction: 3, bias: 8 })))],
  ['F8_E5M2FNUZ', table((bits) => (bits === 0x80 ? Number.NaN : small(bits, { fraction: 2, bias: 16 })))],
  ['F8_E8M0', table((bits) => (bits === 0xff ? Number.NaN : 2 ** (bits - 127)))],
]);

/** Makes a table on first use. */
function table(numberOf: (bits: number) => number): () => Float32Array {
  let made: Float32Array | null = null;
  return () => (made ??= Float32Array.from({ length: 256 }, (_, bits) => numberOf(bits)));
}

function special(bits: number): number {
  if (bits & 3) return Number.NaN;
  return bits & 0x80 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function small(bits: number, { fraction, bias }: { fraction: number; bias: number }): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits & 0x7f) >> fraction;
  const rest = (bits & ((1 << fraction) - 1)) / (1 << fraction);
  return sign * (exponent === 0 ? rest * 2 ** (1 - bias) : (1 + rest) * 2 ** (exponent - bias));
}

function fromTable(values: Float32Array | undefined, bytes: Uint8Array): Float32Array | null {
  if (!values) return null;
  const out = new Float32Array(bytes.length);
  for (let i = 0; i < out.length; i++) out[i] = values[bytes[i]!]!;
  return out;
}

const QUARTERS = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** Unpacks two 4-bit floats from each byte: sign, two bits of exponent, one of fraction. */
function fromFloat4(bytes: Uint8Array): Float32Array {
  const quarter = (bits: number) => (bits & 8 ? -1 : 1) * QUARTERS[bits & 7]!;
  const out = new Float32Array(bytes.length * 2);
  for (let i = 0; i < bytes.length; i++) {
    out[2 * i] = quarter(bytes[i]! & 15);
    out[2 * i + 1] = quarter(bytes[i]! >> 4);
  }
  return out;
}

function fromBfloat16(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return out;
}

let halfTable: Float32Array | null = null;

function fromHalf(halves: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 65_536 }, (_, bits) => halfToNumber(bits));
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = halfTable[halves[i]!]!;
  return out;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Converts 64-bit integers. Above 2^53 it gives the nearest number: nobody needs exact differences of such counters.
 */
function fromInt64(words: Int32Array, unsigned: boolean): Float64Array {
  const out = new Float64Array(words.length >> 1);
  for (let i = 0; i < out.length; i++) {
    const high = words[2 * i + 1]!;
    out[i] = (unsigned ? high >>> 0 : high) * 2 ** 32 + (words[2 * i]! >>> 0);
  }
  return out;
}
