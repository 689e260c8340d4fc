/** Writes the parts of Python pickles that files of tensors need. Source: Lib/pickletools.py. */

export const OP = {
  mark: Buffer.from('('),
  reduce: Buffer.from('R'),
  build: Buffer.from('b'),
  tuple: Buffer.from('t'),
  tuple1: Buffer.from('\x85', 'latin1'),
  tuple2: Buffer.from('\x86', 'latin1'),
  tuple3: Buffer.from('\x87', 'latin1'),
  emptyTuple: Buffer.from(')'),
  emptyDict: Buffer.from('}'),
  setItems: Buffer.from('u'),
  persistentId: Buffer.from('Q'),
  none: Buffer.from('N'),
  yes: Buffer.from('\x88', 'latin1'),
  no: Buffer.from('\x89', 'latin1'),
  stop: Buffer.from('.'),
} as const;

export function protocol(version: number): Buffer {
  return Buffer.from([0x80, version]);
}

export function global(module: string, name: string): Buffer {
  return Buffer.from(`c${module}\n${name}\n`);
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  const head = Buffer.alloc(5);
  head.write('X');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export function integer(value: number): Buffer {
  if (value >= 0 && value < 256) return Buffer.from([0x4b, value]);
  if (Math.abs(value) < 2 ** 31) {
    const out = Buffer.alloc(5);
    out.write('J');
    out.writeInt32LE(value, 1);
    return out;
  }
  const out = Buffer.alloc(10);
  out.write('\x8a\x08', 'latin1');
  out.writeBigInt64LE(BigInt(value), 2);
  return out;
}

export function tuple(items: readonly Uint8Array[]): Buffer {
  return Buffer.concat([OP.mark, ...items, OP.tuple]);
}

/** Opens a `bytes` object of that length (protocol 4). Its bytes follow. */
export function bytesHead(length: number): Buffer {
  const out = Buffer.alloc(9);
  out[0] = 0x8e;
  out.writeBigUInt64LE(BigInt(length), 1);
  return out;
}

/** Encodes short `bytes` (protocol 3 and later). */
export function shortBytes(value: string): Buffer {
  return Buffer.concat([Buffer.from([0x43, value.length]), Buffer.from(value, 'latin1')]);
}
