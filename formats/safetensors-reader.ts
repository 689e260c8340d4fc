/**
 * Reads safetensors: 8 bytes little-endian header length, a JSON header, the tensors' bytes. It trusts nothing: a file
 * with a false header is refused with a reason, and the header's size is bounded.
 */
import { Budget } from './budget.ts';
import { bitsOf } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { JsonScanner } from './json-scanner.ts';

export interface TensorEntry {
  name: string;
  dtype: string;
  shape: number[];
  /** Offset of its first byte in the file. */
  offset: number;
  bytes: number;
}

export interface SafetensorsHeader {
  /** Tensors in file order. */
  tensors: TensorEntry[];
  metadata: Record<string, string>;
  /** Offset of the first tensor. */
  dataOffset: number;
}

const MAX_HEADER_BYTES = 100 << 20;
const MAX_DIMENSIONS = 64;
/** Approximate memory of an entry in the list, without its name. */
const ENTRY_COST = 200;

export interface HeaderOptions {
  budget?: Budget;
  /** Limit of the header; longer ones are refused. */
  maxBytes?: number;
}

/** Reads the header; `read(offset, length)` returns bytes of the file, fewer at its end. Throws FormatError. */
export function readHeader(
  read: (offset: number, length: number) => Uint8Array,
  fileBytes: number,
  { budget = new Budget(), maxBytes = MAX_HEADER_BYTES }: HeaderOptions = {},
): SafetensorsHeader {
  if (fileBytes < 8) throw new FormatError('shorter than 8 bytes');
  const length = Number(Buffer.from(read(0, 8)).readBigUInt64LE(0));
  if (8 + length > fileBytes)
    throw new FormatError(
      `it is truncated after ${number(fileBytes)} bytes: its header alone should have ${number(length)}`,
    );
  if (length > maxBytes)
    throw new FormatError(`its header of ${number(length)} bytes is absurdly long`, { isWhole: true });
  const dataOffset = 8 + length;
  const header = new HeaderReader(Buffer.from(read(8, length)), dataOffset, budget).read();
  checkRanges(header.tensors, fileBytes);
  return { ...header, dataOffset };
}

class HeaderReader {
  readonly #scanner: JsonScanner;
  readonly #dataOffset: number;
  readonly #budget: Budget;
  readonly #names = new Set<string>();
  readonly #tensors: TensorEntry[] = [];
  readonly #metadata: [string, string][] = [];

  constructor(bytes: Buffer, dataOffset: number, budget: Budget) {
    this.#scanner = new JsonScanner(bytes);
    this.#dataOffset = dataOffset;
    this.#budget = budget;
  }

  read(): Omit<SafetensorsHeader, 'dataOffset'> {
    if (this.#scanner.next() !== 'object') throw new FormatError('the header is not an object');
    this.#scanner.object((name) => {
      this.#budget.spend(ENTRY_COST + name.length);
      // Either could be meant.
      if (this.#names.has(name)) throw new FormatError(`"${shortened(name)}" occurs twice`, { isWhole: true });
      this.#names.add(name);
      if (name === '__metadata__') this.#readMetadata();
      else this.#tensors.push(this.#readEntry(name));
    });
    this.#scanner.end();
    this.#tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
    return { tensors: this.#tensors, metadata: Object.fromEntries(this.#metadata) };
  }

  /** Reads `null`, or texts by their names; ignores other values. */
  #readMetadata(): void {
    if (this.#scanner.next() !== 'object') {
      this.#scanner.skip();
      return;
    }
    this.#scanner.object((key) => {
      if (this.#scanner.next() !== 'text') {
        this.#scanner.skip();
        return;
      }
      const text = this.#scanner.text();
      this.#budget.spend(ENTRY_COST + key.length + text.length);
      this.#metadata.push([key, text]);
    });
  }

  #readEntry(name: string): TensorEntry {
    let dtype: string | null = null;
    let shape: number[] | null = null;
    let range: number[] | null = null;
    if (this.#scanner.next() !== 'object') throw notDescribed(name);
    this.#scanner.object((key) => {
      if (key === 'dtype' && this.#scanner.next() === 'text') dtype = this.#scanner.text();
      else if (key === 'shape') shape = this.#counts(MAX_DIMENSIONS);
      else if (key === 'data_offsets') range = this.#counts(2);
      else this.#scanner.skip();
    });
    return checked(name, { dtype, shape, range }, this.#dataOffset);
  }

  /** Reads a list of integers; null: another value, or a longer list. */
  #counts(most: number): number[] | null {
    if (this.#scanner.next() !== 'list') {
      this.#scanner.skip();
      return null;
    }
    const counts: number[] = [];
    let isGood = true;
    this.#scanner.list(() => {
      const count = this.#scanner.count();
      if (count === null || counts.length === most) isGood = false;
      else counts.push(count);
    });
    return isGood ? counts : null;
  }
}

function checked(
  name: string,
  { dtype, shape, range }: { dtype: string | null; shape: number[] | null; range: number[] | null },
  dataOffset: number,
): TensorEntry {
  if (dtype === null || shape === null || range?.length !== 2) throw notDescribed(name);
  const [start, end] = range as [number, number];
  const bits = bitsOf(dtype);
  const count = shape.reduce((a, b) => a * b, 1);
  // An unknown type has the size that its range tells.
  const isRight = end >= start && (bits === null || (end - start) * 8 === count * bits);
  if (!isRight) throw new FormatError(`tensor "${shortened(name)}": size and shape disagree`);
  return { name, dtype, shape, offset: dataOffset + start, bytes: end - start };
}

/** Refuses overlapping tensors, as the original library does: such a file holds less than it claims. */
function checkRanges(tensors: readonly TensorEntry[], fileBytes: number): void {
  let before: TensorEntry | null = null;
  for (const tensor of tensors) {
    if (tensor.offset + tensor.bytes > fileBytes)
      throw new FormatError(
        `it is truncated after ${number(fileBytes)} bytes: tensor "${shortened(tensor.name)}" lies beyond that`,
      );
    if (before && tensor.bytes > 0 && tensor.offset < before.offset + before.bytes)
      throw new FormatError(`the tensors "${shortened(before.name)}" and "${shortened(tensor.name)}" overlap`, {
        isWhole: true,
      });
    if (tensor.bytes > 0) before = tensor;
  }
}

function notDescribed(name: string): FormatError {
  return new FormatError(`tensor "${shortened(name)}" is not described correctly`);
}

function shortened(name: string): string {
  return name.length > 80 ? `${name.slice(0, 79)}…` : name;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
