/** Malicious checkpoint files, made in families: the members of each attack in the same way with different means. */
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { crc32, deflateRawSync } from 'node:zlib';
import { bytesHead, global, integer, OP, protocol, text, tuple } from '../../formats/writers/pickle.ts';

export interface HostileFile {
  name: string;
  write(path: string): void;
}

const list = Buffer.from(']');
const appends = Buffer.from('e');
const pop = Buffer.from('0');
const newObjectWithNames = Buffer.from([0x92]);

/** Makes a list or dictionary with many entries, memoised as 0. */
const remembered = (head: Buffer, filling: Buffer, end: Buffer) =>
  Buffer.concat([head, Buffer.from('q\0', 'latin1'), OP.mark, filling, end, pop]);
const recall = Buffer.from('h\0', 'latin1');
const times = (count: number, ...parts: Uint8Array[]) => {
  const one = Buffer.concat(parts);
  return Buffer.alloc(one.length * count, one);
};

/** Makes files of a few bytes that ask for many copies, in each way that a pickle can copy. */
function copies(): HostileFile[] {
  const many = remembered(list, Buffer.alloc(400_000, 'N'), appends);
  const named = remembered(OP.emptyDict, Buffer.alloc(400_000, 'N'), OP.setItems);
  const sets = ['builtins.set', 'builtins.frozenset', '__builtin__.set'].map((name) => {
    const [module, own] = name.split('.') as [string, string];
    const pickle = Buffer.concat([many, times(400, global(module, own), recall, OP.tuple1, OP.reduce), OP.stop]);
    return packed(`copies ${name}`, Buffer.concat([protocol(2), pickle]));
  });
  const made = Buffer.concat([named, times(400, global('x', 'y'), OP.emptyTuple, recall, newObjectWithNames), OP.stop]);
  return [...sets, packed('copies names', Buffer.concat([protocol(4), made]))];
}

/** Makes nesting of each kind that a reader may follow by recursion. */
function depths(): HostileFile[] {
  const depth = 60_000;
  const deep = (name: string, before: Buffer, inside: Buffer, after: Buffer) =>
    packed(`deep ${name}`, Buffer.concat([protocol(2), times(depth, before), inside, times(depth, after), OP.stop]));
  const parameter = global('torch._utils', '_rebuild_parameter');
  const typed = Buffer.concat([global('torch._tensor', '_rebuild_from_type_v2'), parameter, OP.none]);
  return [
    deep('lists', Buffer.concat([list, OP.mark]), OP.none, appends),
    deep('tuples', Buffer.alloc(0), OP.none, OP.tuple1),
    deep('dictionaries', Buffer.concat([OP.emptyDict, text('a')]), OP.none, Buffer.from('s')),
    deep('objects', global('x', 'y'), OP.emptyTuple, Buffer.concat([OP.reduce, OP.tuple1])),
    deep('parameters', parameter, OP.none, Buffer.concat([OP.tuple1, OP.reduce])),
    deep('types', typed, OP.none, Buffer.concat([OP.tuple3, OP.reduce])),
  ];
}

/** Makes small files that claim large amounts: names, numbers, lengths. */
function amounts(): HostileFile[] {
  const key = text('k'.repeat(200));
  const nested = 150;
  const names = Buffer.concat([
    protocol(2),
    tensorPickle('0'),
    Buffer.from('q\0', 'latin1'),
    pop,
    times(nested, OP.emptyDict, key),
    list,
    OP.mark,
    times(4_000, recall, text('x')),
    appends,
    times(nested, Buffer.from('s')),
    OP.stop,
  ]);
  const digits = times(20_000, Buffer.from(`L${'9'.repeat(999)}L\na`));
  const wide = Buffer.concat([Buffer.from([0x8b, 0xff, 0, 0, 0]), Buffer.alloc(255, 0x7f), Buffer.from('a')]);
  const laughs = Array.from({ length: 40 }, (_, i) => {
    const before = Buffer.from([0x68, i]);
    return Buffer.concat([list, OP.mark, times(10, before), appends, Buffer.from([0x71, i + 1])]);
  });
  return [
    packed('long names', names),
    packed('long integers', Buffer.concat([protocol(2), list, digits, OP.stop])),
    packed('wide integers', Buffer.concat([protocol(2), list, times(20_000, wide), OP.stop])),
    packed('laughs', Buffer.concat([protocol(2), list, Buffer.from('q\0', 'latin1'), ...laughs, OP.stop])),
    plain('claims a length.pkl', Buffer.concat([protocol(4), bytesHead(2 ** 52), Buffer.from('abc.')])),
  ];
}

/** Makes two gigabytes of zeros that take no disk space. */
export function sparse(): HostileFile[] {
  const bytes = 2 ** 31;
  const hole = (name: string, head: Buffer, tail: Buffer): HostileFile => ({
    name,
    write(path) {
      const file = openSync(path, 'w');
      writeSync(file, head);
      ftruncateSync(file, bytes);
      writeSync(file, tail, 0, tail.length, bytes - tail.length);
      closeSync(file);
    },
  });
  const header = safetensorsHeader({ w: { dtype: 'U8', shape: [bytes - 4_096], data_offsets: [0, bytes - 4_096] } });
  const inPickle = Buffer.concat([protocol(4), list, bytesHead(bytes - 13 - 2)]);
  return [
    hole('hole.pt', Buffer.from('\x80\x02', 'latin1'), Buffer.alloc(1)),
    hole('hole in bytes.pkl', inPickle, Buffer.from('a.')),
    hole('hole in a zip.pt', Buffer.from('PK\x03\x04'), Buffer.alloc(1)),
    hole('hole.safetensors', Buffer.concat([header, Buffer.alloc(4_096 - header.length)]), Buffer.alloc(1)),
  ];
}

/** Makes archives and headers that lie. */
function lies(): HostileFile[] {
  const entry = { name: 'a.npy', data: Buffer.alloc(1 << 20) };
  const many = Array.from({ length: 50_000 }, (_, i) => ({ ...entry, name: `${i}.npy`, sharesFirst: i > 0 }));
  const bomb = Buffer.concat([protocol(2), times(10_000_000, list, pop), OP.stop]);
  const range = { dtype: 'F32', shape: [256], data_offsets: [0, 1_024] };
  const over = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`t${i}`, range]));
  return [
    { name: 'entries over each other.npz', write: (path) => writeFileSync(path, zipFile(many)) },
    packed('unpacks to much', bomb),
    plain('over each other.safetensors', safetensors(over, 1_024)),
    plain('twice.safetensors', rawSafetensors(`{"a":${JSON.stringify(range)},"a":${JSON.stringify(range)}}`, 1_024)),
    plain('deep.safetensors', rawSafetensors(`{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`, 0)),
    plain('of a prototype.safetensors', rawSafetensors(`{"__proto__":${JSON.stringify(range)}}`, 1_024)),
    plain('a header of two gigabytes.safetensors', Buffer.from([0, 0, 0, 0x80, 0, 0, 0, 0, 0x7b])),
    plain('metadata is null.safetensors', rawSafetensors(`{"__metadata__":null,"a":${JSON.stringify(range)}}`, 1_024)),
  ];
}

/** Makes one file of each kind. */
export function hostileFiles(): HostileFile[] {
  return [...copies(), ...depths(), ...amounts(), ...sparse(), ...lies()];
}

// ---- parts that honest files have too ----

/** Makes a float tensor of `size` elements in the named storage. */
export function tensorPickle(
  storage: string,
  { size = [4], stride = [1], offset = 0 }: { size?: number[]; stride?: number[]; offset?: number } = {},
): Buffer {
  const persistent = [text('storage'), global('torch', 'FloatStorage'), text(storage), text('cpu'), integer(4)];
  return Buffer.concat([
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple([
      Buffer.concat([tuple(persistent), OP.persistentId]),
      integer(offset),
      tuple(size.map(integer)),
      tuple(stride.map(integer)),
      OP.no,
      OP.emptyDict,
    ]),
    OP.reduce,
  ]);
}

/** Makes a dictionary of pickled values. */
export function dictPickle(entries: Readonly<Record<string, Buffer>>): Buffer {
  const parts = Object.entries(entries).flatMap(([key, value]) => [text(key), value]);
  return Buffer.concat([protocol(2), OP.emptyDict, OP.mark, ...parts, OP.setItems, OP.stop]);
}

/** Makes a torch file with that pickle and those storages. */
export function torchFile(pickle: Buffer, storages: Readonly<Record<string, Buffer>> = {}, method: 0 | 8 = 0): Buffer {
  const entries = Object.entries(storages).map(([key, data]) => ({ name: `archive/data/${key}`, data }));
  return zipFile([{ name: 'archive/data.pkl', data: pickle, method }, ...entries]);
}

export interface ZipPart {
  name: string;
  data: Buffer;
  method?: 0 | 8;
  /** True if the directory claims that the entry lies where the first one does. */
  sharesFirst?: boolean;
}

export function zipFile(parts: readonly ZipPart[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data, method = 0, sharesFirst = false } of parts) {
    const stored = method === 0 ? data : deflateRawSync(data);
    const label = Buffer.from(name);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    const fields = Buffer.alloc(46);
    fields.writeUInt32LE(0x02014b50, 0);
    fields.writeUInt16LE(method, 10);
    fields.writeUInt32LE(stored.length, 20);
    fields.writeUInt32LE(data.length, 24);
    fields.writeUInt16LE(label.length, 28);
    fields.writeUInt32LE(sharesFirst ? 0 : at, 42);
    fields.copy(local, 8, 10, 12);
    local.writeUInt32LE(sharesFirst ? 0 : crc32(data), 14);
    fields.copy(local, 18, 20, 30);
    directory.push(fields, label);
    if (sharesFirst) continue;
    bodies.push(local, label, stored);
    at += 30 + label.length + stored.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...bodies, list, end]);
}

type Header = Record<string, unknown>;

export function safetensors(header: Header, dataBytes: number): Buffer {
  return rawSafetensors(JSON.stringify(header), dataBytes);
}

function safetensorsHeader(header: Header): Buffer {
  return rawSafetensors(JSON.stringify(header), 0);
}

export function rawSafetensors(json: string, dataBytes: number): Buffer {
  const text = Buffer.from(json);
  const out = Buffer.alloc(8 + text.length + dataBytes);
  out.writeBigUInt64LE(BigInt(text.length), 0);
  text.copy(out, 8);
  return out;
}

function packed(name: string, pickle: Buffer): HostileFile {
  return { name: `${name}.pt`, write: (path) => writeFileSync(path, torchFile(pickle, {}, 8)) };
}

function plain(name: string, bytes: Buffer): HostileFile {
  return { name, write: (path) => writeFileSync(path, bytes) };
}
