/**
 * Reads TensorBoard's event files: records of length, checksum, a protocol-buffer `Event`, checksum. Pure. Source of the field numbers: tensorflow/core/util/event.proto, framework/summary.proto,
 * framework/tensor.proto.
 */

import { FormatError } from './format-error.ts';
import { type Field, fieldsOf, textOf, viewOf } from './protobuf.ts';
import { type Medium, mediaOf } from './tfevents-media.ts';

export interface Scalar {
  tag: string;
  step: number;
  /** Milliseconds since the epoch. */
  time: number;
  value: number;
}

/** Image, histogram or text. */
export interface SummaryMedium extends Medium {
  tag: string;
  step: number;
  time: number;
}

export interface EventRecords {
  scalars: Scalar[];
  media: SummaryMedium[];
  /** Offset of the next record. */
  consumed: number;
  /** Length of the next record, of which `bytes` have only a part; 0: unknown. */
  next: number;
}

/** Size above which a record has a graph, or images that nothing keeps. */
const MAX_RECORD_BYTES = 16 << 20;

/** Reads whole records from `bytes`. Null when the file is not an event file. */
export function readEvents(bytes: Uint8Array): EventRecords | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: EventRecords = { scalars: [], media: [], consumed: 0, next: 0 };
  let at = 0;
  while (at + 16 <= bytes.length) {
    const length = Number(view.getBigUint64(at, true));
    if (length > MAX_RECORD_BYTES * 64) return null;
    if (at + 16 + length > bytes.length) {
      found.next = 16 + length;
      break;
    }
    // A record that this reader does not understand is no reason to lose the rest.
    if (length <= MAX_RECORD_BYTES) {
      try {
        readEvent(bytes.subarray(at + 12, at + 12 + length), found);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
    at += 16 + length;
  }
  return { ...found, consumed: at };
}

function readEvent(bytes: Uint8Array, found: EventRecords): void {
  let time = 0;
  let step = 0;
  const values: Value[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1 && field.bytes?.length === 8) time = viewOf(field.bytes).getFloat64(0, true) * 1000;
    else if (field.number === 2 && field.varint !== undefined) step = Number(BigInt.asIntN(64, field.varint));
    else if (field.number === 5 && field.bytes) {
      for (const value of fieldsOf(field.bytes)) if (value.number === 1 && value.bytes) readValue(value.bytes, values);
    }
  }
  if (!Number.isSafeInteger(step)) return;
  for (const { tag, value, media } of values) {
    if (value !== null) found.scalars.push({ tag, step, time, value });
    for (const [i, medium] of media.entries())
      found.media.push({ ...medium, tag: media.length > 1 ? `${tag}/${i}` : tag, step, time });
  }
}

interface Value {
  tag: string;
  /** Null: it is no number. */
  value: number | null;
  media: Medium[];
}

/** End of the tags of texts that PyTorch writes. */
const TEXT_TAG = '/text_summary';

function readValue(bytes: Uint8Array, values: Value[]): void {
  let tag = '';
  let value: number | null = null;
  const fields: Field[] = [...fieldsOf(bytes)];
  for (const field of fields) {
    if (field.number === 1 && field.bytes) tag = textOf(field.bytes);
    else if (field.number === 2 && field.bytes?.length === 4) value = viewOf(field.bytes).getFloat32(0, true);
    else if (field.number === 8 && field.bytes) value = readTensor(field.bytes);
  }
  if (tag === '') return;
  if (value !== null) values.push({ tag, value, media: [] });
  else
    values.push({ tag: tag.endsWith(TEXT_TAG) ? tag.slice(0, -TEXT_TAG.length) : tag, value, media: mediaOf(fields) });
}

/** Reads a scalar written by TensorFlow 2: float (1) or double (2), without dimensions. */
function readTensor(bytes: Uint8Array): number | null {
  let type = 0;
  let content: DataView | null = null;
  let value: number | null = null;
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) type = Number(field.varint);
    else if (field.number === 2 && field.bytes && field.bytes.length > 0) {
      if ([...fieldsOf(field.bytes)].some(({ number }) => number === 2)) return null;
    } else if (field.number === 4 && field.bytes) content = viewOf(field.bytes);
    else if (field.number === 5 && field.bytes) value = viewOf(field.bytes).getFloat32(0, true);
    else if (field.number === 6 && field.bytes) value = viewOf(field.bytes).getFloat64(0, true);
  }
  if (value !== null) return value;
  if (type === 1 && content?.byteLength === 4) return content.getFloat32(0, true);
  return type === 2 && content?.byteLength === 8 ? content.getFloat64(0, true) : null;
}
