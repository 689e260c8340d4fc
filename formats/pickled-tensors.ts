/** Recognises tensors that torch, NumPy and Paddle have pickled, by the calls that would rebuild them. Pure. */
import {
  PickleData,
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  PicklePersistent,
  PickleTuple,
  type PickleValue,
} from './pickle-values.ts';
import { columnMajor } from './strides.ts';

export interface PickledTensor {
  /** Type by its safetensors name: F32, BF16, I64, BOOL, … or the framework's name for types that safetensors lacks. */
  dtype: string;
  shape: number[];
  /** Stride in elements; null: dense, in the order of its dimensions. */
  stride: number[] | null;
  /** Offset into its storage, in elements. */
  offset: number;
  /** Key of the storage: tensors with the same key share memory; null: it has its own. */
  storage: string | null;
  /** Elements that are in the pickle itself. */
  inline: Uint8Array | PickleData | null;
  isBigEndian: boolean;
  /** True if it was saved without data, as a tensor on torch's device "meta" is. */
  isMeta: boolean;
}

const MAX_DIMENSIONS = 64;
/** Limit of nested wrappers; ordinary files have two. */
const MAX_WRAPPERS = 32;
/** Limit of PyTorch and NumPy: they count elements in 63 bits. */
const MAX_SIZE = 2 ** 63;

const STORAGES: ReadonlyMap<string, string> = new Map(
  Object.entries({
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
    ComplexHalf: 'C32',
    ComplexFloat: 'C64',
    ComplexDouble: 'C128',
    QUInt8: 'QU8',
    QInt8: 'QI8',
    QInt32: 'QI32',
    QUInt4x2: 'QU4X2',
    QUInt2x4: 'QU2X4',
    Untyped: 'U8',
  }),
);
const TORCH_DTYPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
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
    complex32: 'C32',
    complex64: 'C64',
    complex128: 'C128',
    float8_e4m3fn: 'F8_E4M3',
    float8_e5m2: 'F8_E5M2',
    float8_e4m3fnuz: 'F8_E4M3FNUZ',
    float8_e5m2fnuz: 'F8_E5M2FNUZ',
    float8_e8m0fnu: 'F8_E8M0',
    float4_e2m1fn_x2: 'F4X2',
    quint8: 'QU8',
    qint8: 'QI8',
    qint32: 'QI32',
    quint4x2: 'QU4X2',
    quint2x4: 'QU2X4',
  }),
);
const NUMPY_DTYPES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    f2: 'F16',
    f4: 'F32',
    f8: 'F64',
    f16: 'F128',
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
  }),
);

/** Recognises a tensor; null: the value is none. */
export function tensorOf(value: PickleValue): PickledTensor | null {
  let inner: PickleValue = value;
  for (let wrappers = 0; wrappers < MAX_WRAPPERS; wrappers++) {
    if (!(inner instanceof PickleObject) || !(inner.callable instanceof PickleGlobal)) return null;
    const args = inner.args instanceof PickleTuple ? inner.args.items : [];
    const wrapped = unwrapped(inner.callable.name, args);
    if (wrapped === undefined) return rebuilt(inner.callable.name, args, inner.state);
    inner = wrapped;
  }
  return null;
}

/** Converts a NumPy type: `<f4`, `f4`, `|b1` → F32, F32, BOOL. */
export function numpyDtype(text: string): string {
  const plain = text.replace(/^[<>=|]/, '');
  const known = NUMPY_DTYPES.get(plain);
  if (known !== undefined) return known;
  // `U16` is a text of 16 characters in NumPy, but an integer in safetensors.
  const sized = /^([USVMm])(\d{1,9})(\[\w{1,10}\])?$/.exec(plain);
  if (!sized) return `numpy ${plain}`;
  const [, kind, size, unit = ''] = sized;
  if (kind === 'M') return `datetime64${unit}`;
  if (kind === 'm') return `timedelta64${unit}`;
  return `${kind === 'U' ? 'unicode' : kind === 'S' ? 'bytes' : 'record'} ${size}`;
}

/** Converts a torch type to its safetensors name: `torch.float32` → F32. */
export function torchDtype(value: PickleValue): string | null {
  if (!(value instanceof PickleGlobal) || !value.name.startsWith('torch.')) return null;
  const name = value.name.slice('torch.'.length);
  return TORCH_DTYPES.get(name) ?? name;
}

/** Reads sizes of dimensions; null: another value. */
export function numbersOf(value: PickleValue): number[] | null {
  const items =
    value instanceof PickleTuple || value instanceof PickleList
      ? value.items
      : value instanceof PickleObject && value.args instanceof PickleTuple && value.args.items[0] instanceof PickleTuple
        ? value.args.items[0].items
        : null;
  if (!items || items.length > MAX_DIMENSIONS) return null;
  const sizes = items.map((item) => (typeof item === 'bigint' ? Number(item) : item));
  return sizes.every((size) => typeof size === 'number' && Number.isInteger(size) && size >= 0 && size < MAX_SIZE)
    ? (sizes as number[])
    : null;
}

/** Returns the `descr` of a `numpy.dtype`, with its byte order; null: another value. */
export function dtypeName(value: PickleValue): string | null {
  if (!(value instanceof PickleObject) || !(value.callable instanceof PickleGlobal)) return null;
  if (value.callable.name !== 'numpy.dtype' || !(value.args instanceof PickleTuple)) return null;
  const [name] = value.args.items;
  if (typeof name !== 'string') return null;
  const order = value.state instanceof PickleTuple ? value.state.items[1] : null;
  return order === '>' ? `>${name}` : name;
}

/** Returns the content of a wrapper; undefined: it is none. */
function unwrapped(name: string, args: readonly PickleValue[]): PickleValue | undefined {
  switch (name) {
    case 'torch._utils._rebuild_parameter':
    case 'torch._utils._rebuild_parameter_with_state':
    case 'torch._utils._rebuild_device_tensor_from_numpy':
    case 'torch._utils._rebuild_device_tensor_from_cpu_tensor':
      return args[0] ?? null;
    case 'torch._tensor._rebuild_from_type_v2':
      return new PickleObject(args[0] ?? null, args[2] ?? null);
    // Paddle writes its older tensors like this: exactly this form is read as a value, and nothing is evaluated.
    case 'builtins.eval':
    case '__builtin__.eval': {
      const [code, names] = args;
      if (code !== 'data' || !(names instanceof PickleDict) || names.entries.length !== 1) return undefined;
      const [key, data] = names.entries[0]!;
      return key === 'data' ? data : undefined;
    }
    default:
      return undefined;
  }
}

function rebuilt(name: string, args: readonly PickleValue[], state: PickleValue): PickledTensor | null {
  switch (name) {
    case 'torch._utils._rebuild_tensor':
    case 'torch._utils._rebuild_tensor_v2':
    case 'torch._utils._rebuild_qtensor':
      return torchTensor(args, null);
    case 'torch._utils._rebuild_tensor_v3':
      return torchTensor(args, args[6] ?? null);
    case 'torch._utils._rebuild_meta_tensor_no_storage':
      return metaTensor(args);
    case 'numpy.core.multiarray._reconstruct':
    case 'numpy._core.multiarray._reconstruct':
      return numpyArray(state);
    default:
      return null;
  }
}

function torchTensor(args: readonly PickleValue[], dtypeOf: PickleValue): PickledTensor | null {
  const [persistent, offset, size, stride] = args;
  if (!(persistent instanceof PicklePersistent) || !(persistent.id instanceof PickleTuple)) return null;
  const [kind, type, key, device] = persistent.id.items;
  const shape = numbersOf(size ?? null);
  if (kind !== 'storage' || !(type instanceof PickleGlobal) || !shape) return null;
  if (!Number.isSafeInteger(offset) || (offset as number) < 0) return null;
  const stored = STORAGES.get(/([A-Za-z0-9]+)Storage$/.exec(type.name)?.[1] ?? '') ?? type.name;
  return {
    dtype: torchDtype(dtypeOf) ?? stored,
    shape,
    stride: numbersOf(stride ?? null),
    offset: offset as number,
    storage: typeof key === 'string' || typeof key === 'number' ? String(key) : '?',
    inline: null,
    isBigEndian: false,
    isMeta: device === 'meta',
  };
}

function metaTensor([dtype, size]: readonly PickleValue[]): PickledTensor | null {
  const shape = numbersOf(size ?? null);
  if (!shape) return null;
  return {
    dtype: torchDtype(dtype ?? null) ?? 'meta',
    shape,
    stride: null,
    offset: 0,
    storage: null,
    inline: null,
    isBigEndian: false,
    isMeta: true,
  };
}

/**
 * Reads `(version, shape, dtype, isFortran, bytes)`, the arguments of `ndarray.__setstate__`. An array of objects is no
 * tensor.
 */
function numpyArray(state: PickleValue): PickledTensor | null {
  if (!(state instanceof PickleTuple)) return null;
  const [, size, dtype, fortran, data] = state.items.length === 5 ? state.items : [0, ...state.items];
  const shape = numbersOf(size ?? null);
  const name = dtypeName(dtype ?? null);
  if (!shape || name === null || name.includes('O')) return null;
  const isData = data instanceof Uint8Array || (data instanceof PickleData && data.kind !== 'text');
  return {
    dtype: numpyDtype(name),
    shape,
    stride: fortran === true ? columnMajor(shape) : null,
    offset: 0,
    storage: null,
    inline: isData ? data : null,
    isBigEndian: name.startsWith('>'),
    isMeta: false,
  };
}
