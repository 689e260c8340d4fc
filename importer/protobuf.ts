/** Reads the fields of a protocol buffer. Pure; what is malformed ends the message. */

export interface Field {
  number: number;
  varint?: bigint;
  bytes?: Uint8Array;
}

export function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): bigint | null => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) return null;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    return null;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === null) return;
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (wire === 0) {
      const value = varint();
      if (value === null) return;
      yield { number, varint: value };
    } else if (wire === 2) {
      const length = varint();
      if (length === null || length > BigInt(bytes.length - at)) return;
      yield { number, bytes: bytes.subarray(at, at + Number(length)) };
      at += Number(length);
    } else if (wire === 1 || wire === 5) at += wire === 1 ? 8 : 4;
    else return;
  }
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
