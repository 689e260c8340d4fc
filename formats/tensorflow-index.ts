/**
 * Reads the `.index` of a TensorFlow checkpoint: the names, types and shapes of its variables. Their values are in the
 * `.data-…` files beside it. Source: tensorflow/core/util/tensor_bundle and the table format of LevelDB.
 */
import type { Budget } from './budget.ts';
import { bytesOf } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { blankInspection, checkedCount, type Inspection, type PlacedTensor } from './inspection.ts';
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
  const footer = new Fields(Buffer.from(read(bytes - FOOTER_BYTES, FOOTER_BYTES)));
  footer.varint(); // The index of text blocks; such a file has none.
  footer.varint();
  const inspection = blankInspection('tensorflow', bytes);
  for (const [, handle] of entriesOf(blockAt(read, bytes, footer.varint(), footer.varint(), budget), budget)) {
    const at = new Fields(handle);
    for (const [name, value] of entriesOf(blockAt(read, bytes, at.varint(), at.varint(), budget), budget)) {
      if (name === '') continue; // The header: the number of data files.
      addEntry(inspection, name, value);
    }
  }
  inspection.notes.push(
    'It names the variables of a TensorFlow checkpoint. Their numbers are in the .data files beside it.',
  );
  return inspection;
}

function addEntry(inspection: Inspection, name: string, value: Buffer): void {
  let dtype = 0;
  let shape: number[] = [];
  const fields = new Fields(value);
  for (let field = fields.next(); field !== null; field = fields.next()) {
    if (field.number === 1) dtype = Number(field.value);
    if (field.number === 2 && field.value instanceof Buffer) shape = shapeOf(field.value);
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

function shapeOf(value: Buffer): number[] {
  const shape: number[] = [];
  const fields = new Fields(value);
  for (let field = fields.next(); field !== null; field = fields.next()) {
    if (field.number !== 2 || !(field.value instanceof Buffer)) continue;
    if (shape.length === MAX_DIMENSIONS) throw new FormatError('a tensor has an impossible shape');
    const dimension = new Fields(field.value);
    let size = 0;
    for (let inner = dimension.next(); inner !== null; inner = dimension.next())
      if (inner.number === 1) size = Number(inner.value);
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
function* entriesOf(block: Buffer, budget: Budget): Generator<[string, Buffer]> {
  if (block.length < 4) throw new FormatError('a part of it is empty');
  const restarts = block.readUInt32LE(block.length - 4);
  const end = block.length - 4 * (restarts + 1);
  if (end < 0) throw new FormatError('a part of it breaks off');
  const fields = new Fields(block.subarray(0, end));
  let key = Buffer.alloc(0);
  while (!fields.isOver) {
    const [shared, own, length] = [fields.varint(), fields.varint(), fields.varint()];
    if (shared > key.length) throw new FormatError('a name in it is damaged');
    key = Buffer.concat([key.subarray(0, shared), fields.take(own)]);
    budget.spend(TENSOR_COST + key.length);
    yield [key.toString('utf8'), fields.take(length)];
  }
}

interface Field {
  number: number;
  value: number | Buffer;
}

/** Protocol buffers, field by field, and the numbers of tables. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Numbers above 2⁵³ come out inexact, and are no size of anything. */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      if (this.isOver) throw new FormatError('it breaks off');
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new FormatError('a number in it has no end');
  }

  take(count: number): Buffer {
    if (count > this.#bytes.length - this.#at) throw new FormatError('it breaks off');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  next(): Field | null {
    if (this.isOver) return null;
    const tag = this.varint();
    const number = Math.floor(tag / 8);
    if (tag % 8 === 0) return { number, value: this.varint() };
    if (tag % 8 === 2) return { number, value: this.take(this.varint()) };
    if (tag % 8 === 5) return { number, value: this.take(4) };
    if (tag % 8 === 1) return { number, value: this.take(8) };
    throw new FormatError('a field of it is of an unknown kind');
  }
}
