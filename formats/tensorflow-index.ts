/**
 * Reads the `.index` of a TensorFlow checkpoint: the names, types and shapes of its variables. Their values are in the
 * `.data-…` files beside it. Source: tensorflow/core/util/tensor_bundle and the table format of LevelDB.
 */
import type { Budget } from './budget.ts';
import { bytesOf } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { blankInspection, checkedCount, type Inspection, type PlacedTensor } from './inspection.ts';
import { fieldsOf, VarintReader } from './protobuf.ts';
import type { Read } from './window.ts';

const FOOTER_BYTES = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
const MAX_BLOCK_BYTES = 64 << 20;
const TENSOR_COST = 400;
const MAX_DIMENSIONS = 64;

/** The data types by their numbers in TensorFlow's protocol buffers, without texts. */
const DTYPES: Readonly<Record<number, string>> = {
  1: 'F32',
  2: 'F64',
  3: 'I32',
  4: 'U8',
  5: 'I16',
  6: 'I8',
  8: 'C64',
  9: 'I64',
  10: 'BOOL',
  14: 'BF16',
  17: 'U16',
  18: 'C128',
  19: 'F16',
  22: 'U32',
  23: 'U64',
  24: 'F8_E5M2',
  25: 'F8_E4M3',
};

/** Recognises the format by the end of the file. */
export function looksLikeTensorflowIndex(read: Read, bytes: number): boolean {
  return bytes >= FOOTER_BYTES && MAGIC.equals(Buffer.from(read(bytes - MAGIC.length, MAGIC.length)));
}

/** Lists its variables. Throws FormatError if the file is damaged. */
export function inspectTensorflowIndex(read: Read, bytes: number, budget: Budget): Inspection {
  const footer = new VarintReader(read(bytes - FOOTER_BYTES, FOOTER_BYTES));
  footer.size(); // The index of text blocks; such a file has none.
  footer.size();
  const inspection = blankInspection('tensorflow', bytes);
  for (const [, handle] of entriesOf(blockAt(read, bytes, footer.size(), footer.size(), budget), budget)) {
    const at = new VarintReader(handle);
    for (const [name, value] of entriesOf(blockAt(read, bytes, at.size(), at.size(), budget), budget)) {
      if (name === '') continue; // The header: the number of data files.
      addEntry(inspection, name, value);
    }
  }
  inspection.notes.push(
    'It names the variables of a TensorFlow checkpoint. Their numbers are in the .data files beside it.',
  );
  return inspection;
}

function addEntry(inspection: Inspection, name: string, value: Uint8Array): void {
  let dtype = 0;
  let shape: number[] = [];
  for (const field of fieldsOf(value)) {
    if (field.number === 1) dtype = Number(field.varint ?? 0n);
    if (field.number === 2 && field.bytes) shape = shapeOf(field.bytes);
  }
  const type = DTYPES[dtype];
  if (type === undefined) {
    inspection.valueCount++;
    inspection.values.push({ name, value: '… in a .data file' });
    return;
  }
  const count = checkedCount(shape);
  const tensor: PlacedTensor = {
    name: name.replace('/.ATTRIBUTES/VARIABLE_VALUE', ''),
    dtype: type,
    shape,
    bytes: bytesOf(type, count),
    tiedTo: null,
    stride: null,
    place: null,
    remark: 'no data: its numbers are in a .data file',
  };
  inspection.tensors.push(tensor);
  inspection.elements += count;
}

function shapeOf(value: Uint8Array): number[] {
  const shape: number[] = [];
  for (const field of fieldsOf(value)) {
    if (field.number !== 2 || !field.bytes) continue;
    if (shape.length === MAX_DIMENSIONS) throw new FormatError('a tensor has an impossible shape');
    let size = 0;
    for (const inner of fieldsOf(field.bytes)) if (inner.number === 1) size = Number(inner.varint ?? 0n);
    shape.push(size);
  }
  return shape;
}

function blockAt(read: Read, bytes: number, offset: number, length: number, budget: Budget): Buffer {
  // One byte behind it tells whether it is compressed; these never are.
  if (length > MAX_BLOCK_BYTES || offset + length + 1 > bytes) throw new FormatError('a part of it lies outside of it');
  budget.spend(length);
  const block = Buffer.from(read(offset, length + 1));
  if (block.length < length + 1) throw new FormatError('it breaks off');
  if (block[length] !== 0) throw new FormatError('it is compressed, which TensorFlow does not write');
  return block.subarray(0, length);
}

/** Keys and values of a block. A key shares its beginning with the one before it. */
function* entriesOf(block: Buffer, budget: Budget): Generator<[string, Uint8Array]> {
  if (block.length < 4) throw new FormatError('a part of it is empty');
  const restarts = block.readUInt32LE(block.length - 4);
  const end = block.length - 4 * (restarts + 1);
  if (end < 0) throw new FormatError('a part of it breaks off');
  const fields = new VarintReader(block.subarray(0, end));
  let key = Buffer.alloc(0);
  while (!fields.isOver) {
    const [shared, own, length] = [fields.size(), fields.size(), fields.size()];
    if (shared > key.length) throw new FormatError('a name in it is damaged');
    key = Buffer.concat([key.subarray(0, shared), fields.take(own)]);
    budget.spend(TENSOR_COST + key.length);
    yield [key.toString('utf8'), fields.take(length)];
  }
}
