/**
 * safetensors: 8 bytes little-endian header length, a JSON header, the tensors' bytes. Reading trusts nothing: a file
 * whose header lies is refused with a reason, and the header's size is bounded.
 */
export interface TensorEntry {
  name: string;
  dtype: string;
  shape: number[];
  /** First byte in the file. */
  offset: number;
  bytes: number;
}

export interface SafetensorsHeader {
  /** In file order. */
  tensors: TensorEntry[];
  metadata: Record<string, string>;
  /** Where the first tensor starts. */
  dataOffset: number;
}

export const ELEMENT_BYTES: Record<string, number> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

const MAX_HEADER_BYTES = 100 << 20;

export class FormatError extends Error {}

/** The header's bytes for tensors laid out one after the other; padded so that the data starts at a multiple of 64. */
export function encodeHeader(
  tensors: readonly { name: string; dtype: string; shape: readonly number[]; bytes: number }[],
  metadata: Record<string, string>,
): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const padded = Math.ceil((8 + json.length) / 64) * 64 - 8;
  const out = Buffer.alloc(8 + padded, ' ');
  out.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(out, 8);
  return out;
}

/** `read(offset, length)` gives bytes of the file, fewer at its end. Throws FormatError. */
export function readHeader(read: (offset: number, length: number) => Uint8Array, fileBytes: number): SafetensorsHeader {
  if (fileBytes < 8) throw new FormatError('shorter than 8 bytes');
  const length = Number(Buffer.from(read(0, 8)).readBigUInt64LE(0));
  if (length > MAX_HEADER_BYTES || 8 + length > fileBytes)
    throw new FormatError(`header of ${length} bytes does not fit`);
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(read(8, length)).toString('utf8'));
  } catch {
    throw new FormatError('the header is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new FormatError('the header is no object');
  const dataOffset = 8 + length;
  const tensors: TensorEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = value as Record<string, string>;
    else tensors.push(readEntry(name, value, dataOffset, fileBytes));
  }
  tensors.sort((a, b) => a.offset - b.offset);
  return { tensors, metadata, dataOffset };
}

function readEntry(name: string, value: unknown, dataOffset: number, fileBytes: number): TensorEntry {
  const { dtype, shape, data_offsets: range } = (value ?? {}) as Record<string, unknown>;
  const numbers = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (typeof dtype !== 'string' || !numbers(shape) || !numbers(range) || range.length !== 2)
    throw new FormatError(`tensor "${name}" is not described as it should be`);
  const bytes = range[1]! - range[0]!;
  const elementBytes = ELEMENT_BYTES[dtype];
  if (elementBytes === undefined) throw new FormatError(`tensor "${name}" has the unknown dtype ${dtype}`);
  if (bytes !== shape.reduce((a, b) => a * b, elementBytes))
    throw new FormatError(`tensor "${name}": size and shape disagree`);
  if (dataOffset + range[1]! > fileBytes) throw new FormatError(`tensor "${name}" lies beyond the file's end`);
  return { name, dtype, shape, offset: dataOffset + range[0]!, bytes };
}
