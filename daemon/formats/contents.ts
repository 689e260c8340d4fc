/** What an unpickled structure holds: tensors by their names, plain values, and what is neither, by class. Pure. */
import {
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  PicklePersistent,
  type PickleSet,
  PickleTuple,
  type PickleValue,
} from './pickle.ts';

export interface FoundTensor {
  name: string;
  /** As safetensors calls it: F32, BF16, I64, BOOL, … or the framework's own name for what that does not know. */
  dtype: string;
  shape: number[];
  /** In elements; null: dense, in the order of its dimensions. */
  stride: number[] | null;
  /** In elements, into its storage. */
  offset: number;
  /** Tensors with the same text share memory; null: it has its own. */
  storage: string | null;
  /** Of the storage, where the pickle says so. */
  storageElements: number | null;
  /** Where its bytes are in the pickle itself. */
  inline: Uint8Array | null;
}

export interface Contents {
  tensors: FoundTensor[];
  /** Hyper-parameters and the like: plain values by their place. */
  values: { name: string; value: string | number | boolean | null }[];
  /** Classes and functions that the file names and that are not known: shown, never made. */
  classes: Map<string, number>;
  /** The bounds were met: there is more. */
  truncated: boolean;
}

const MAX_NODES = 2_000_000;
const MAX_DEPTH = 200;
const MAX_VALUES = 5_000;
const MAX_TEXT = 200;
const MAX_DIMENSIONS = 64;

const STORAGES: Record<string, string> = {
  Float: 'F32',
  Double: 'F64',
  Half: 'F16',
  BFloat16: 'BF16',
  Long: 'I64',
  Int: 'I32',
  Short: 'I16',
  Char: 'I8',
  Byte: 'U8',
  Bool: 'BOOL',
  ComplexFloat: 'C64',
  ComplexDouble: 'C128',
  QUInt8: 'QU8',
  QInt8: 'QI8',
  QInt32: 'QI32',
  Untyped: 'U8',
};
const TORCH_DTYPES: Record<string, string> = {
  float32: 'F32',
  float: 'F32',
  float64: 'F64',
  double: 'F64',
  float16: 'F16',
  half: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: 'C128',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
};
const NUMPY_DTYPES: Record<string, string> = {
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
  i1: 'I8',
  i2: 'I16',
  i4: 'I32',
  i8: 'I64',
  u1: 'U8',
  u2: 'U16',
  u4: 'U32',
  u8: 'U64',
  b1: 'BOOL',
  c8: 'C64',
  c16: 'C128',
};

export function contentsOf(root: PickleValue): Contents {
  const walk = new Walk();
  walk.visit(root, '', 0);
  return walk.contents;
}

/** `<f4`, `f4`, `|b1` → F32, F32, BOOL. */
export function numpyDtype(text: string): string {
  return NUMPY_DTYPES[text.replace(/^[<>=|]/, '')] ?? text;
}

class Walk {
  readonly contents: Contents = { tensors: [], values: [], classes: new Map(), truncated: false };
  #nodes = 0;
  /** On the way from the root: a cycle ends here. */
  readonly #path = new Set<PickleValue>();

  visit(value: PickleValue, name: string, depth: number): void {
    if (++this.#nodes > MAX_NODES || depth > MAX_DEPTH) {
      this.contents.truncated = true;
      return;
    }
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) {
      this.#plain(value, name);
      return;
    }
    if (value instanceof PicklePersistent) return;
    if (value instanceof PickleGlobal) {
      this.#global(value, name);
      return;
    }
    if (this.#path.has(value)) return;
    this.#path.add(value);
    if (value instanceof PickleObject) this.#object(value, name, depth);
    else if (value instanceof PickleDict) this.#entries(value.entries, name, depth);
    else this.#items(value, name, depth);
    this.#path.delete(value);
  }

  #entries(entries: readonly [PickleValue, PickleValue][], name: string, depth: number): void {
    for (const [key, value] of entries) this.visit(value, joined(name, keyText(key)), depth + 1);
  }

  #items(value: PickleList | PickleTuple | PickleSet, name: string, depth: number): void {
    const { items } = value;
    // `('linear.weight', array)`: how Paddle writes a parameter.
    if (value instanceof PickleTuple && items.length === 2 && typeof items[0] === 'string') {
      const tensor = tensorOf(items[1]!);
      if (tensor) {
        this.#tensor(tensor, name);
        return;
      }
    }
    // A list of numbers is one value, and not one each.
    if (items.length > 0 && items.every((item) => typeof item === 'number')) {
      this.#plain(listed(items), name);
      return;
    }
    for (const [i, item] of items.entries()) {
      if (this.contents.truncated) return;
      this.visit(item, joined(name, String(i)), depth + 1);
    }
  }

  #object(value: PickleObject, name: string, depth: number): void {
    const tensor = tensorOf(value);
    if (tensor) {
      this.#tensor(tensor, name);
      return;
    }
    const known = scalarOf(value);
    if (known !== undefined) {
      this.#plain(known, name);
      return;
    }
    const inner = innerOf(value);
    if (inner) {
      this.visit(inner, name, depth + 1);
      return;
    }
    if (value.callable instanceof PickleGlobal) this.#count(value.callable.name);
    else this.visit(value.callable, name, depth + 1);
    // Its tensors are listed all the same: whole models are pickled as objects.
    this.visit(value.args, name, depth + 1);
    if (value.state instanceof PickleDict) this.#entries(modulesOf(value.state.entries), name, depth);
    else this.visit(value.state, name, depth + 1);
    for (const [i, item] of value.items.entries()) this.visit(item, joined(name, String(i)), depth + 1);
    this.#entries(value.entries, name, depth);
  }

  #tensor(tensor: Omit<FoundTensor, 'name'>, name: string): void {
    this.contents.tensors.push({ name: name || 'tensor', ...tensor });
  }

  #global({ name }: PickleGlobal, place: string): void {
    // Data types are values; classes and functions are what they are.
    if (/^torch\.\w+$/.test(name)) this.#plain(name, place);
    else this.#count(name);
  }

  #plain(value: PickleValue, name: string): void {
    if (name === '' || value instanceof Uint8Array || this.contents.values.length >= MAX_VALUES) return;
    if (typeof value === 'string') this.contents.values.push({ name, value: shortened(value) });
    else if (typeof value === 'bigint') this.contents.values.push({ name, value: String(value) });
    else if (value === null || typeof value !== 'object') this.contents.values.push({ name, value });
  }

  #count(name: string): void {
    const shown = shortened(name);
    if (this.contents.classes.size < MAX_VALUES || this.contents.classes.has(shown))
      this.contents.classes.set(shown, (this.contents.classes.get(shown) ?? 0) + 1);
  }
}

function tensorOf(value: PickleValue): Omit<FoundTensor, 'name'> | null {
  if (!(value instanceof PickleObject) || !(value.callable instanceof PickleGlobal)) return null;
  const args = value.args instanceof PickleTuple ? value.args.items : [];
  switch (value.callable.name) {
    case 'torch._utils._rebuild_tensor':
    case 'torch._utils._rebuild_tensor_v2':
      return torchTensor(args, null);
    case 'torch._utils._rebuild_qtensor':
      return torchTensor(args, null);
    case 'torch._utils._rebuild_tensor_v3':
      return torchTensor(args, args[6] ?? null);
    case 'torch._utils._rebuild_parameter':
    case 'torch._utils._rebuild_parameter_with_state':
      return tensorOf(args[0] ?? null);
    case 'torch._tensor._rebuild_from_type_v2':
      return tensorOf(new PickleObject(args[0] ?? null, args[2] ?? null));
    case 'torch._utils._rebuild_meta_tensor_no_storage':
      return metaTensor(args);
    case 'numpy.core.multiarray._reconstruct':
    case 'numpy._core.multiarray._reconstruct':
      return numpyArray(value.state);
    case 'torch._utils._rebuild_device_tensor_from_numpy':
      return tensorOf(args[0] ?? null);
    // How Paddle writes its older tensors: the exact shape of it is a value, and nothing is evaluated.
    case 'builtins.eval':
    case '__builtin__.eval': {
      const [code, names] = args;
      if (code !== 'data' || !(names instanceof PickleDict) || names.entries.length !== 1) return null;
      const [name, data] = names.entries[0]!;
      return name === 'data' ? tensorOf(data) : null;
    }
    default:
      return null;
  }
}

/** Sparse tensors hold dense ones; they are shown as those. */
function innerOf({ callable, args }: PickleObject): PickleValue | null {
  if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) return null;
  return /^torch\._utils\._rebuild_sparse(_csr)?_tensor$/.test(callable.name) ? (args.items[1] ?? null) : null;
}

function torchTensor(args: readonly PickleValue[], dtypeOf: PickleValue): Omit<FoundTensor, 'name'> | null {
  const [persistent, offset, size, stride] = args;
  if (!(persistent instanceof PicklePersistent) || !(persistent.id instanceof PickleTuple)) return null;
  const [kind, type, key, , elements] = persistent.id.items;
  const shape = numbersOf(size ?? null);
  if (kind !== 'storage' || !(type instanceof PickleGlobal) || !shape || typeof offset !== 'number') return null;
  const stored = STORAGES[/([A-Za-z0-9]+)Storage$/.exec(type.name)?.[1] ?? ''] ?? type.name;
  const named = dtypeOf instanceof PickleGlobal ? dtypeOf.name.replace('torch.', '') : null;
  return {
    dtype: named ? (TORCH_DTYPES[named] ?? named) : stored,
    shape,
    stride: numbersOf(stride ?? null),
    offset,
    storage: String(key),
    storageElements: typeof elements === 'number' ? elements : null,
    inline: null,
  };
}

function metaTensor([dtype, size]: readonly PickleValue[]): Omit<FoundTensor, 'name'> | null {
  const shape = numbersOf(size ?? null);
  if (!shape) return null;
  const name = dtype instanceof PickleGlobal ? dtype.name.replace('torch.', '') : '';
  return {
    dtype: TORCH_DTYPES[name] ?? 'meta',
    shape,
    stride: null,
    offset: 0,
    storage: null,
    storageElements: 0,
    inline: null,
  };
}

/** `(version, shape, dtype, isFortran, bytes)`, as `ndarray.__setstate__` takes it. */
function numpyArray(state: PickleValue): Omit<FoundTensor, 'name'> | null {
  if (!(state instanceof PickleTuple)) return null;
  const [, size, dtype, fortran, data] = state.items.length === 5 ? state.items : [0, ...state.items];
  const shape = numbersOf(size ?? null);
  const name = dtypeName(dtype ?? null);
  if (!shape || name === null) return null;
  const inline = data instanceof Uint8Array ? data : null;
  const stride = fortran === true ? columnMajor(shape) : null;
  return { dtype: numpyDtype(name), shape, stride, offset: 0, storage: null, storageElements: null, inline };
}

function dtypeName(value: PickleValue): string | null {
  if (!(value instanceof PickleObject) || !(value.callable instanceof PickleGlobal)) return null;
  if (value.callable.name !== 'numpy.dtype' || !(value.args instanceof PickleTuple)) return null;
  const [name] = value.args.items;
  return typeof name === 'string' ? name : null;
}

/** Single numbers of NumPy; texts that stand for objects of known classes. */
function scalarOf({ callable, args }: PickleObject): PickleValue | undefined {
  if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) return undefined;
  const [first, second] = args.items;
  if (/^numpy\.(_core|core)\.multiarray\.scalar$/.test(callable.name)) {
    const name = dtypeName(first ?? null);
    return name !== null && second instanceof Uint8Array ? numberOf(numpyDtype(name), second) : undefined;
  }
  if (callable.name === 'torch.Size') return listed(first instanceof PickleTuple ? first.items : []);
  if (/^(torch\.device|pathlib\.\w*Path|decimal\.Decimal|uuid\.UUID)$/.test(callable.name))
    return args.items.map((item) => (typeof item === 'object' ? '…' : String(item))).join('/');
  return undefined;
}

function numberOf(dtype: string, bytes: Uint8Array): PickleValue | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (dtype === 'F64') return view.getFloat64(0, true);
    if (dtype === 'F32') return view.getFloat32(0, true);
    if (dtype === 'I64') return Number(view.getBigInt64(0, true));
    if (dtype === 'I32') return view.getInt32(0, true);
    if (dtype === 'BOOL') return view.getUint8(0) !== 0;
  } catch {
    return undefined;
  }
  return undefined;
}

/** A module keeps its tensors in three dictionaries; their names are those of its state dict. */
function modulesOf(entries: readonly [PickleValue, PickleValue][]): [PickleValue, PickleValue][] {
  const own = new Set(['_parameters', '_buffers', '_modules']);
  return entries.flatMap(([key, value]): [PickleValue, PickleValue][] => {
    if (typeof key !== 'string' || !own.has(key) || !(value instanceof PickleDict)) return [[key, value]];
    return value.entries;
  });
}

function numbersOf(value: PickleValue): number[] | null {
  const items =
    value instanceof PickleTuple || value instanceof PickleList
      ? value.items
      : value instanceof PickleObject && value.args instanceof PickleTuple && value.args.items[0] instanceof PickleTuple
        ? value.args.items[0].items
        : null;
  if (!items || items.length > MAX_DIMENSIONS) return null;
  return items.every((item) => Number.isSafeInteger(item) && (item as number) >= 0) ? (items as number[]) : null;
}

export function columnMajor(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let step = 1;
  for (const size of shape) {
    strides.push(step);
    step *= size;
  }
  return strides;
}

function keyText(key: PickleValue): string {
  if (typeof key === 'string') return shortened(key);
  return key === null || typeof key !== 'object' ? String(key) : '?';
}

function joined(before: string, name: string): string {
  return before === '' ? name : `${before}.${name}`;
}

function listed(items: readonly PickleValue[]): string {
  const shown = items.slice(0, 16).map(String).join(', ');
  return `[${shown}${items.length > 16 ? `, … ${items.length} in all` : ''}]`;
}

function shortened(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}
