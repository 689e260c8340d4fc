/** Writes TensorBoard's event file of scalars. Source: tensorflow/core/util/event.proto, lib/io/record_writer.h. */
import { Message } from '../protobuf.ts';

export function eventFileHead(time: number): Buffer {
  return record(
    new Message()
      .double(1, time / 1000)
      .text(3, 'brain.Event:2')
      .bytes(),
  );
}

/** Encodes scalars; `time` in milliseconds since the epoch. TensorBoard stores float32. */
export function scalarEvent(time: number, step: number, values: readonly { tag: string; value: number }[]): Buffer {
  const summary = new Message();
  for (const { tag, value } of values) summary.message(1, new Message().text(1, tag).float(2, value));
  return record(
    new Message()
      .double(1, time / 1000)
      .integer(2, step)
      .message(5, summary)
      .bytes(),
  );
}

function record(data: Buffer): Buffer {
  const out = Buffer.alloc(16 + data.length);
  out.writeBigUInt64LE(BigInt(data.length), 0);
  out.writeUInt32LE(masked(crc32c(out.subarray(0, 8))), 8);
  data.copy(out, 12);
  out.writeUInt32LE(masked(crc32c(data)), 12 + data.length);
  return out;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Computes the checksum with Castagnoli's polynomial; zlib uses another one. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
