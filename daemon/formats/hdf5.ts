/** HDF5 files of Keras: the library reads them, compiled to WebAssembly, where a damaged file harms nothing. */
import type { InspectedTensor } from '../../protocol/domain.ts';
import { FormatError } from './safetensors.ts';
import { decoderOf, statisticsOf } from './statistics.ts';

const MAX_OBJECTS = 100_000;
const MAX_VALUES = 500;
/** Larger data sets are listed without statistics: the library reads them as one. */
const MAX_STATISTICS_BYTES = 512 << 20;

/** As Python's `struct` and the library call them. */
const LETTERS: Record<string, string> = {
  e: 'F16',
  f: 'F32',
  d: 'F64',
  b: 'I8',
  B: 'U8',
  h: 'I16',
  H: 'U16',
  i: 'I32',
  I: 'U32',
  q: 'I64',
  Q: 'U64',
};

export interface Hdf5Contents {
  tensors: InspectedTensor[];
  values: { name: string; value: string | number | boolean | null }[];
}

/** `path`: of a file that nobody changes meanwhile. Throws FormatError. */
export async function inspectHdf5(path: string, statistics: boolean): Promise<Hdf5Contents> {
  const { default: h5wasm } = await import('h5wasm/node');
  await h5wasm.ready;
  let file: InstanceType<typeof h5wasm.File>;
  try {
    file = new h5wasm.File(path, 'r');
  } catch (error) {
    throw new FormatError(`HDF5 says: ${(error as Error).message}`);
  }
  try {
    const contents: Hdf5Contents = { tensors: [], values: [] };
    const pending: { path: string; node: unknown }[] = [{ path: '', node: file }];
    for (let seen = 0; pending.length > 0; seen++) {
      if (seen > MAX_OBJECTS) throw new FormatError('it has too many objects');
      const { path: at, node } = pending.pop()!;
      if (node instanceof h5wasm.Dataset) contents.tensors.push(describe(at, node, statistics));
      else if (node instanceof h5wasm.Group) {
        addAttributes(at, node, contents.values);
        for (const name of node.keys().reverse())
          pending.push({ path: at ? `${at}/${name}` : name, node: node.get(name) });
      }
    }
    return contents;
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(`HDF5 says: ${(error as Error).message}`);
  } finally {
    file.close();
  }
}

interface DatasetLike {
  shape: number[] | null;
  dtype: unknown;
  metadata: { size: number };
  value: unknown;
}

function describe(name: string, dataset: DatasetLike, statistics: boolean): InspectedTensor {
  const shape = (dataset.shape ?? []).map(Number);
  const letter = typeof dataset.dtype === 'string' ? dataset.dtype.replace(/^[<>=|]/, '') : 'compound';
  const dtype = LETTERS[letter] ?? letter;
  const bytes = shape.reduce((a, b) => a * b, dataset.metadata.size);
  const decode = decoderOf(dtype);
  const wanted = statistics && decode && bytes <= MAX_STATISTICS_BYTES;
  const value = wanted ? dataset.value : null;
  const raw = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : null;
  // The library widens halves to float32.
  const decoded = raw && value instanceof Float32Array ? decoderOf('F32') : decode;
  return {
    name,
    dtype,
    shape,
    bytes,
    tiedTo: null,
    statistics: raw && decoded ? statisticsOf([raw], decoded) : null,
  };
}

interface GroupLike {
  attrs: Record<string, { value: unknown }>;
}

function addAttributes(at: string, group: GroupLike, values: Hdf5Contents['values']): void {
  for (const [name, attribute] of Object.entries(group.attrs)) {
    if (values.length >= MAX_VALUES) return;
    let value: unknown;
    try {
      value = attribute.value;
    } catch {
      continue; // Of a type that the library does not read.
    }
    if (typeof value === 'string') values.push({ name: at ? `${at}.${name}` : name, value: value.slice(0, 200) });
    else if (typeof value === 'number' || typeof value === 'boolean')
      values.push({ name: at ? `${at}.${name}` : name, value });
  }
}
