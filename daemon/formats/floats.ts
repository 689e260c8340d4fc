/** Elements of every dtype as numbers to compute with. Pure. */
import { elementBytes } from './dtypes.ts';

/** Float32 where that holds each value exactly, else Float64. */
export type Numbers = Float32Array | Float64Array;

/**
 * Null: elements of that type are no numbers to compute with. Whole elements; may share memory with `bytes`. Of F4, with two
 * elements a byte, there are twice as many.
 */
export function toNumbers(dtype: string, bytes: Uint8Array): Numbers | null {
  // Typed arrays start only at multiples of their elements.
  const startsWell = bytes.byteOffset % (elementBytes(dtype) ?? 1) === 0;
  const { buffer, byteOffset, length } = startsWell ? bytes : Uint8Array.from(bytes);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, length >> 2);
    case 'F64':
      return new Float64Array(buffer, byteOffset, length >> 3);
    case 'BF16':
      return fromBrain(new Uint16Array(buffer, byteOffset, length >> 1));
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
      return fromWide(new Int32Array(buffer, byteOffset, length >> 2), false);
    case 'U64':
      return fromWide(new Int32Array(buffer, byteOffset, length >> 2), true);
    case 'F4':
      return fromQuarters(bytes);
    default:
      return fromTable(TINY.get(dtype)?.(), bytes);
  }
}

/** Floats of eight bits: each value from its bits. */
const TINY: ReadonlyMap<string, () => Float32Array> = new Map([
  ['F8_E4M3', table((bits) => ((bits & 0x7f) === 0x7f ? Number.NaN : small(bits, { fraction: 3, bias: 7 })))],
  ['F8_E5M2', table((bits) => ((bits & 0x7c) === 0x7c ? special(bits) : small(bits, { fraction: 2, bias: 15 })))],
  ['F8_E4M3FNUZ', table((bits) => (bits === 0x80 ? Number.NaN : small(bits, { fraction: 3, bias: 8 })))],
  ['F8_E5M2FNUZ', table((bits) => (bits === 0x80 ? Number.NaN : small(bits, { fraction: 2, bias: 16 })))],
  ['F8_E8M0', table((bits) => (bits === 0xff ? Number.NaN : 2 ** (bits - 127)))],
]);

/** Made when it is asked for. */
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

/** Two of four bits a byte: sign, two bits of exponent, one of fraction. */
function fromQuarters(bytes: Uint8Array): Float32Array {
  const quarter = (bits: number) => (bits & 8 ? -1 : 1) * QUARTERS[bits & 7]!;
  const out = new Float32Array(bytes.length * 2);
  for (let i = 0; i < bytes.length; i++) {
    out[2 * i] = quarter(bytes[i]! & 15);
    out[2 * i + 1] = quarter(bytes[i]! >> 4);
  }
  return out;
}

function fromBrain(halves: Uint16Array): Float32Array {
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

/** Above 2^53 the nearest number: differences of such counters are not what anybody looks for. */
function fromWide(words: Int32Array, unsigned: boolean): Float64Array {
  const out = new Float64Array(words.length >> 1);
  for (let i = 0; i < out.length; i++) {
    const high = words[2 * i + 1]!;
    out[i] = (unsigned ? high >>> 0 : high) * 2 ** 32 + (words[2 * i]! >>> 0);
  }
  return out;
}
