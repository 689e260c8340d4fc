/** Elements of every dtype as numbers to compute with. Pure. */
import { ELEMENT_BYTES } from './safetensors.ts';

/** Float32 where that holds each value exactly, else Float64. */
export type Numbers = Float32Array | Float64Array;

/** Null: elements of that type are no numbers to compute with. Whole elements; may share memory with `bytes`. */
export function toNumbers(dtype: string, bytes: Uint8Array): Numbers | null {
  // Typed arrays start only at multiples of their elements.
  const startsWell = bytes.byteOffset % (ELEMENT_BYTES[dtype] ?? 1) === 0;
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
    default:
      return null;
  }
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
