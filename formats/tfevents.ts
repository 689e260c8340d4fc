/**
 * Reads TensorBoard's event files: records of length, checksum, a protocol-buffer `Event`, checksum. Pure; only scalars
 * are read. Source of the field numbers: tensorflow/core/util/event.proto, framework/summary.proto,
 * framework/tensor.proto.
 */

export interface Scalar {
  tag: string;
  step: number;
  /** Milliseconds since the epoch. */
  time: number;
  value: number;
}

/** Size above which a record has images or a graph. */
const MAX_RECORD_BYTES = 16 << 20;

/**
 * Reads whole records from `bytes`; `consumed` is the offset of the next one. Null when the file is not an event file.
 */
export function readScalars(bytes: Uint8Array): { scalars: Scalar[]; consumed: number } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scalars: Scalar[] = [];
  let at = 0;
  while (at + 16 <= bytes.length) {
    const length = Number(view.getBigUint64(at, true));
    if (length > MAX_RECORD_BYTES * 64) return null;
    if (at + 16 + length > bytes.length) break;
    // A record that this reader does not understand is no reason to lose the rest.
    if (length <= MAX_RECORD_BYTES) {
      try {
        readEvent(bytes.subarray(at + 12, at + 12 + length), scalars);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
    at += 16 + length;
  }
  return { scalars, consumed: at };
}

function readEvent(bytes: Uint8Array, scalars: Scalar[]): void {
  let time = 0;
  let step = 0;
  const values: { tag: string; value: number }[] = [];
  for (const field of fields(bytes)) {
    if (field.number === 1 && field.wire === 1) time = field.view!.getFloat64(0, true) * 1000;
    else if (field.number === 2 && field.varint !== undefined) step = Number(BigInt.asIntN(64, field.varint));
    else if (field.number === 5 && field.bytes) {
      for (const value of fields(field.bytes)) if (value.number === 1 && value.bytes) readValue(value.bytes, values);
    }
  }
  for (const { tag, value } of values) if (Number.isSafeInteger(step)) scalars.push({ tag, step, time, value });
}

function readValue(bytes: Uint8Array, values: { tag: string; value: number }[]): void {
  let tag = '';
  let value: number | null = null;
  for (const field of fields(bytes)) {
    if (field.number === 1 && field.bytes) tag = Buffer.from(field.bytes).toString('utf8');
    else if (field.number === 2 && field.wire === 5) value = field.view!.getFloat32(0, true);
    else if (field.number === 8 && field.bytes) value = readTensor(field.bytes);
  }
  if (tag !== '' && value !== null) values.push({ tag, value });
}

/** Reads a scalar written by TensorFlow 2: float (1) or double (2), without dimensions. */
function readTensor(bytes: Uint8Array): number | null {
  let type = 0;
  let content: DataView | null = null;
  let value: number | null = null;
  for (const field of fields(bytes)) {
    if (field.number === 1) type = Number(field.varint);
    else if (field.number === 2 && field.bytes && field.bytes.length > 0) {
      if ([...fields(field.bytes)].some(({ number }) => number === 2)) return null;
    } else if (field.number === 4 && field.view) content = field.view;
    else if (field.number === 5 && field.view) value = field.view.getFloat32(0, true);
    else if (field.number === 6 && field.view) value = field.view.getFloat64(0, true);
  }
  if (value !== null) return value;
  if (type === 1 && content?.byteLength === 4) return content.getFloat32(0, true);
  return type === 2 && content?.byteLength === 8 ? content.getFloat64(0, true) : null;
}

interface Field {
  number: number;
  wire: number;
  varint?: bigint;
  bytes?: Uint8Array;
  view?: DataView;
}

/** Yields the fields of a message. Throws RangeError when it is truncated. */
function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
    }
    throw new RangeError('a number is truncated');
  };
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new RangeError('a field is truncated');
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const number = key >>> 3;
    const wire = key & 7;
    if (wire === 0) yield { number, wire, varint: varint() };
    else if (wire === 1 || wire === 5 || wire === 2) {
      const part = take(wire === 1 ? 8 : wire === 5 ? 4 : Number(varint()));
      yield { number, wire, bytes: part, view: new DataView(part.buffer, part.byteOffset, part.byteLength) };
    } else throw new RangeError(`unknown wire type ${wire}`);
  }
}
