/**
 * Writes a `state_dict` like `torch.save`, which `torch.load(weights_only=True)` reads. Source: torch/serialization.py.
 */
import { type Out, type OutTensor, UnsupportedTensor } from './out.ts';
import { global, integer, OP, protocol, text, tuple } from './pickle.ts';
import { ZipWriter } from './zip.ts';

const STORAGES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    F64: 'DoubleStorage',
    F32: 'FloatStorage',
    F16: 'HalfStorage',
    BF16: 'BFloat16Storage',
    I64: 'LongStorage',
    I32: 'IntStorage',
    I16: 'ShortStorage',
    I8: 'CharStorage',
    U8: 'ByteStorage',
    BOOL: 'BoolStorage',
    C64: 'ComplexFloatStorage',
    C128: 'ComplexDoubleStorage',
  }),
);
const ROOT = 'archive';
/** Alignment of torch, which allows it to map the file. */
const ALIGNMENT = 64;

/** Writes a state dict. Tied tensors share their storage, and stay tied when they are loaded. */
export function writeStateDict(out: Out, tensors: readonly OutTensor[]): void {
  const keys = new Map<string, number>();
  let storages = 0;
  for (const { name, tiedTo } of tensors) keys.set(name, tiedTo === null ? storages++ : keys.get(tiedTo)!);
  const zip = new ZipWriter(out, ALIGNMENT);
  const add = (path: string, bytes: Uint8Array) => zip.add(`${ROOT}/${path}`, bytes.length, [bytes]);
  add(
    'data.pkl',
    Buffer.concat([
      protocol(2),
      orderedDict,
      OP.mark,
      ...tensors.flatMap((tensor) => [text(tensor.name), tensorPickle(tensor, keys.get(tensor.name)!)]),
      OP.setItems,
      OP.stop,
    ]),
  );
  add('byteorder', Buffer.from('little'));
  for (const tensor of tensors)
    if (tensor.tiedTo === null) zip.add(`${ROOT}/data/${keys.get(tensor.name)!}`, tensor.bytes, tensor.pieces());
  add('version', Buffer.from('3\n'));
  zip.finish();
}

const orderedDict = Buffer.concat([global('collections', 'OrderedDict'), OP.emptyTuple, OP.reduce]);

function tensorPickle({ name, dtype, shape }: OutTensor, key: number): Buffer {
  const storage = STORAGES.get(dtype);
  if (storage === undefined) throw new UnsupportedTensor(`PyTorch before 2.3 has no type for "${name}" (${dtype})`);
  const elements = shape.reduce((a, b) => a * b, 1);
  const place = tuple([text('storage'), global('torch', storage), text(String(key)), text('cpu'), integer(elements)]);
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * Math.max(1, b), 1));
  return Buffer.concat([
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple([
      Buffer.concat([place, OP.persistentId]),
      integer(0),
      tuple(shape.map(integer)),
      tuple(strides.map(integer)),
      OP.no,
      orderedDict,
    ]),
    OP.reduce,
  ]);
}
