/** Numbers about numbers: one pass over a tensor of any size. Pure. */
import type { TensorStatistics } from '../../protocol/domain.ts';

/** Calls `take` for each element of whole pieces. */
export type Decoder = (bytes: Uint8Array, take: (value: number) => void) => void;

/** Null: elements of that type have no order or mean. */
export function decoderOf(dtype: string): Decoder | null {
  switch (dtype) {
    case 'F32':
      return reader(4, (view, at) => view.getFloat32(at, true));
    case 'F64':
      return reader(8, (view, at) => view.getFloat64(at, true));
    case 'F16':
      return reader(2, (view, at) => halfToNumber(view.getUint16(at, true)));
    case 'BF16':
      return reader(2, (view, at) => brainToNumber(view.getUint16(at, true)));
    case 'I64':
      return reader(8, (view, at) => Number(view.getBigInt64(at, true)));
    case 'I32':
      return reader(4, (view, at) => view.getInt32(at, true));
    case 'I16':
      return reader(2, (view, at) => view.getInt16(at, true));
    case 'I8':
      return reader(1, (view, at) => view.getInt8(at));
    case 'U64':
      return reader(8, (view, at) => Number(view.getBigUint64(at, true)));
    case 'U32':
      return reader(4, (view, at) => view.getUint32(at, true));
    case 'U16':
      return reader(2, (view, at) => view.getUint16(at, true));
    case 'U8':
    case 'BOOL':
      return reader(1, (view, at) => view.getUint8(at));
    default:
      return null;
  }
}

function reader(size: number, get: (view: DataView, at: number) => number): Decoder {
  return (bytes, take) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + size <= bytes.length; at += size) take(get(view, at));
  };
}

/** Null when there is no finite element. Pieces must end at elements. */
export function statisticsOf(pieces: Iterable<Uint8Array>, decode: Decoder): TensorStatistics | null {
  let count = 0;
  let mean = 0;
  let squares = 0;
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let [zeros, nan, infinite] = [0, 0, 0];
  const take = (value: number) => {
    if (Number.isFinite(value)) {
      count++;
      // Welford's way: sums of squares of large numbers would lose the small differences.
      const difference = value - mean;
      mean += difference / count;
      squares += difference * (value - mean);
      if (value < min) min = value;
      if (value > max) max = value;
      if (value === 0) zeros++;
    } else if (Number.isNaN(value)) nan++;
    else infinite++;
  };
  for (const piece of pieces) decode(piece, take);
  if (count === 0) return nan + infinite === 0 ? null : { min: 0, max: 0, mean: 0, std: 0, zeros, nan, infinite };
  return { min, max, mean, std: Math.sqrt(squares / count), zeros, nan, infinite };
}

const brain = new DataView(new ArrayBuffer(4));

function brainToNumber(bits: number): number {
  brain.setUint32(0, bits << 16);
  return brain.getFloat32(0);
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
