/**
 * Writes a state dict like `paddle.save`: a pickled dict of NumPy arrays, followed by the names of its tensors. Source:
 * python/paddle/framework/io.py.
 */
import { NUMPY_TYPES } from './npz.ts';
import { type Out, type OutTensor, UnsupportedTensor } from './out.ts';
import { bytesHead, global, integer, OP, protocol, shortBytes, text, tuple } from './pickle.ts';

const NAMES = 'StructuredToParameterName@@';

/** Writes a state dict. bfloat16 is stored as uint16, as Paddle does. */
export function writePaddle(out: Out, tensors: readonly OutTensor[]): void {
  out.write(Buffer.concat([protocol(4), OP.emptyDict, OP.mark]));
  for (const tensor of tensors) {
    out.write(Buffer.concat([text(tensor.name), arrayHead(tensor), bytesHead(tensor.bytes)]));
    for (const piece of tensor.pieces()) out.write(piece);
    out.write(ARRAY_TAIL);
  }
  const names = tensors.flatMap(({ name }) => [text(name), text(name)]);
  out.write(Buffer.concat([text(NAMES), OP.emptyDict, OP.mark, ...names, OP.setItems, OP.setItems, OP.stop]));
}

/** Encodes everything before the array's bytes, which ARRAY_TAIL follows. */
function arrayHead({ name, dtype, shape }: OutTensor): Buffer {
  const type = dtype === 'BF16' ? '<u2' : NUMPY_TYPES.get(dtype);
  if (type === undefined || dtype === 'U16') throw new UnsupportedTensor(`Paddle has no type for "${name}" (${dtype})`);
  const order = type.startsWith('<') ? '<' : '|';
  return Buffer.concat([
    global('numpy.core.multiarray', '_reconstruct'),
    tuple([global('numpy', 'ndarray'), tuple([integer(0)]), shortBytes('b')]),
    OP.reduce,
    OP.mark,
    integer(1),
    tuple(shape.map(integer)),
    global('numpy', 'dtype'),
    tuple([text(type.slice(1)), OP.no, OP.yes]),
    OP.reduce,
    tuple([integer(3), text(order), OP.none, OP.none, OP.none, integer(-1), integer(-1), integer(0)]),
    OP.build,
    OP.no,
  ]);
}

const ARRAY_TAIL = Buffer.concat([OP.tuple, OP.build]);
