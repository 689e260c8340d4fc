/** HDF5 files of Keras: the library reads them, compiled to WebAssembly, where a damaged file harms nothing. */
import type { PlacedTensor } from './inspect.ts';
import { ELEMENT_BYTES, FormatError } from './safetensors.ts';

const MAX_OBJECTS = 100_000;
const MAX_VALUES = 500;
/** Larger data sets are only listed: the library reads them as one. */
const MAX_VALUE_BYTES = 512 << 20;

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

export interface Hdf5File {
  tensors: PlacedTensor[];
  values: { name: string; value: string | number | boolean | null }[];
  close(): void;
}

/** `path`: of a file that nobody changes until it is closed. Throws FormatError. */
export async function openHdf5(path: string): Promise<Hdf5File> {
  const { default: h5wasm } = await import('h5wasm/node');
  await h5wasm.ready;
  let file: InstanceType<typeof h5wasm.File>;
  try {
    file = new h5wasm.File(path, 'r');
  } catch (error) {
    throw new FormatError(`HDF5 says: ${(error as Error).message}`);
  }
  try {
    const found: Hdf5File = { tensors: [], values: [], close: () => void file.close() };
    const pending: { path: string; node: unknown }[] = [{ path: '', node: file }];
    for (let seen = 0; pending.length > 0; seen++) {
      if (seen > MAX_OBJECTS) throw new FormatError('it has too many objects');
      const { path: at, node } = pending.pop()!;
      if (node instanceof h5wasm.Dataset) found.tensors.push(describe(at, node));
      else if (node instanceof h5wasm.Group) {
        addAttributes(at, node, found.values);
        for (const name of node.keys().reverse())
          pending.push({ path: at ? `${at}/${name}` : name, node: node.get(name) });
      }
    }
    return found;
  } catch (error) {
    file.close();
    if (error instanceof FormatError) throw error;
    throw new FormatError(`HDF5 says: ${(error as Error).message}`);
  }
}

interface DatasetLike {
  shape: number[] | null;
  dtype: unknown;
  metadata: { size: number };
  value: unknown;
}

function describe(name: string, dataset: DatasetLike): PlacedTensor {
  const shape = (dataset.shape ?? []).map(Number);
  const letter = typeof dataset.dtype === 'string' ? dataset.dtype.replace(/^[<>=|]/, '') : 'compound';
  const dtype = LETTERS[letter] ?? letter;
  const bytes = shape.reduce((a, b) => a * b, dataset.metadata.size);
  const readable = dtype in ELEMENT_BYTES && bytes <= MAX_VALUE_BYTES;
  const load = () => {
    const { value } = dataset;
    const raw = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(0);
    // The library widens halves to float32.
    return { dtype: value instanceof Float32Array ? 'F32' : dtype, bytes: raw };
  };
  return { name, dtype, shape, bytes, tiedTo: null, statistics: null, stride: null, place: readable ? { load } : null };
}

interface GroupLike {
  attrs: Record<string, { value: unknown }>;
}

function addAttributes(at: string, group: GroupLike, values: Hdf5File['values']): void {
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
