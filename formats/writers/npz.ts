/** Writes NumPy's archive of arrays. Source: numpy/lib/format.py. */
import { toNumbers } from '../floats.ts';
import { type Out, type OutTensor, UnsupportedTensor } from './out.ts';
import { ZipWriter } from './zip.ts';

export const NUMPY_TYPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    F64: '<f8',
    F32: '<f4',
    F16: '<f2',
    I64: '<i8',
    I32: '<i4',
    I16: '<i2',
    I8: '|i1',
    U64: '<u8',
    U32: '<u4',
    U16: '<u2',
    U8: '|u1',
    BOOL: '|b1',
    C64: '<c8',
    C128: '<c16',
  }),
);

/** Writes an archive. NumPy has no bfloat16, which becomes float32 without loss. */
export function writeNpz(out: Out, tensors: readonly OutTensor[]): void {
  const zip = new ZipWriter(out, 64);
  for (const tensor of tensors.map(asFloat32)) {
    const header = npyHeader(tensor);
    zip.add(`${tensor.name}.npy`, header.length + tensor.bytes, concatenated(header, tensor));
  }
  zip.finish();
}

function asFloat32(tensor: OutTensor): OutTensor {
  if (tensor.dtype !== 'BF16') return tensor;
  return {
    ...tensor,
    dtype: 'F32',
    bytes: tensor.bytes * 2,
    *pieces() {
      for (const piece of tensor.pieces()) {
        const { buffer, byteOffset, byteLength } = toNumbers('BF16', piece)!;
        yield new Uint8Array(buffer, byteOffset, byteLength);
      }
    },
  };
}

function npyHeader({ name, dtype, shape }: OutTensor): Buffer {
  const type = NUMPY_TYPES.get(dtype);
  if (type === undefined) throw new UnsupportedTensor(`NumPy has no type for "${name}" (${dtype})`);
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = Buffer.alloc(length, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(length - 10, 8);
  header.write(text, 10, 'latin1');
  header[length - 1] = 0x0a;
  return header;
}

function* concatenated(header: Uint8Array, tensor: OutTensor): Generator<Uint8Array> {
  yield header;
  yield* tensor.pieces();
}
