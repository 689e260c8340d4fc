/** Readers of checkpoint files. They may only refuse with a FormatError, and answer within their budget. */
import { deflateRawSync } from 'node:zlib';
import { FormatError } from '../../../formats/format-error.ts';
import { openFile } from '../../../formats/inspect.ts';
import { encodeHeader } from '../../../formats/safetensors.ts';
import { statisticsOf } from '../../../formats/statistics.ts';
import { readEvents } from '../../../formats/tfevents.ts';
import { isWhole } from '../../../formats/whole.ts';
import type { Read } from '../../../formats/window.ts';
import type { FuzzTarget } from '../target.ts';

const NUMPY_HEAD = "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

const readOf =
  (bytes: Uint8Array): Read =>
  (offset, length) =>
    bytes.subarray(offset, offset + length);

async function refusing(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
}

export const checkpointFiles: FuzzTarget = {
  name: 'checkpoint files',
  seeds: () => [torchFile(), numpyFile(), safetensorsFile(), pickleOf(), legacyTorch()],
  words: [
    'ctorch._utils\n_rebuild_tensor_v2\n',
    'ctorch\nFloatStorage\n',
    'ccollections\nOrderedDict\n',
    'cbuiltins\nset\n',
    'cbuiltins\nbytearray\n',
    'cnumpy.core.multiarray\n_reconstruct\n',
    'PK\x01\x02',
    'PK\x03\x04',
    'PK\x05\x06',
    'PK\x06\x06',
    'PK\x06\x07',
    'data.pkl',
    '"dtype":"F32"',
    '"shape":[',
    '"data_offsets":[0,4]',
    '__metadata__',
    '__proto__',
    [0x81],
    [0x85],
    [0x86],
    [0x87],
    [0x8a, 0xff],
    [0x8b, 0xff, 0xff, 0xff, 0x7f],
    [0x8c],
    [0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    [0x92],
    [0x93],
    [0x94],
    [0x95],
    'R',
    'b',
    'u',
    's',
    'a',
    'e',
    '(',
    '0',
    '2',
    'Q',
    'q\x00',
    'h\x00',
    'r\xff\xff\xff\xff',
  ],
  async run(input) {
    const read = readOf(input);
    await refusing(async () => {
      const { inspection, close } = await openFile(read, input.length);
      try {
        for (const tensor of inspection.tensors) await statisticsOf(tensor, read);
      } finally {
        close();
      }
    });
    for (const name of ['x.pt', 'x.safetensors', 'x.npz']) isWhole(name, read, input.length);
  },
  maxBytes: 1 << 16,
  hangMs: 5_000,
  guided: true,
};

export const eventFiles: FuzzTarget = {
  name: 'TensorBoard event files',
  seeds: () => [eventFile([1, 0.5]), eventFile([1, Number.NaN], [2, Number.POSITIVE_INFINITY])],
  words: [[0x12], [0x2a], [0x42], [0x15], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 'loss'],
  run(input) {
    readEvents(input);
  },
  maxBytes: 1 << 14,
  hangMs: 2_000,
  guided: true,
};

function pickleOf(): Uint8Array {
  const parts = [
    '\x80\x02}q\x00(X\x05\x00\x00\x00modelq\x01',
    'ccollections\nOrderedDict\nq\x02)Rq\x03X\x01\x00\x00\x00wq\x04',
    'ctorch._utils\n_rebuild_tensor_v2\nq\x05((X\x07\x00\x00\x00storageq\x06ctorch\nFloatStorage\nq\x07',
    'X\x01\x00\x00\x000q\x08X\x03\x00\x00\x00cpuq\x09K\x06tq\x0aQK\x00K\x02K\x03\x86q\x0bK\x03K\x01\x86q\x0c\x89h\x02)Rq\x0dtq\x0eRq\x0fs',
    'X\x05\x00\x00\x00epochq\x10K\x07X\x02\x00\x00\x00lrq\x11G?\x1a6\xe2\xeb\x1cC-u.',
  ];
  return new Uint8Array(Buffer.from(parts.join(''), 'latin1'));
}

function legacyTorch(): Uint8Array {
  const magic = Buffer.from('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.', 'latin1');
  return new Uint8Array(
    Buffer.concat([magic, pickleOf(), Buffer.from('\x80\x02]q\x00X\x01\x00\x00\x000q\x01a.', 'latin1')]),
  );
}

function torchFile(): Uint8Array {
  return zipOf([
    ['a/data.pkl', pickleOf(), false],
    ['a/data/0', new Uint8Array(24), false],
    ['a/version', new Uint8Array(Buffer.from('3\n')), false],
  ]);
}

function numpyFile(): Uint8Array {
  const array = new Uint8Array(Buffer.concat([Buffer.from(NUMPY_HEAD.padEnd(128), 'latin1'), Buffer.alloc(24)]));
  return zipOf([
    ['w.npy', array, false],
    ['packed.npy', array, true],
  ]);
}

function safetensorsFile(): Uint8Array {
  const tensors = [
    { name: 'a', dtype: 'F32', shape: [2, 3], bytes: 24 },
    { name: 'b', dtype: 'BF16', shape: [2], bytes: 4 },
  ];
  return new Uint8Array(Buffer.concat([encodeHeader(tensors, { format: 'pt' }), Buffer.alloc(28)]));
}

function zipOf(files: readonly [name: string, bytes: Uint8Array, packed: boolean][]): Uint8Array {
  const body: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, bytes, packed] of files) {
    const stored = packed ? deflateRawSync(bytes) : bytes;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(packed ? 8 : 0, 8);
    local.writeUInt32LE(stored.length, 18);
    local.writeUInt32LE(bytes.length, 22);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(packed ? 8 : 0, 10);
    central.writeUInt32LE(stored.length, 20);
    central.writeUInt32LE(bytes.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(at, 42);
    body.push(local, Buffer.from(name), Buffer.from(stored));
    directory.push(central, Buffer.from(name));
    at += 30 + name.length + stored.length;
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(at, 16);
  return new Uint8Array(Buffer.concat([...body, entries, end]));
}

function eventFile(...scalars: [step: number, value: number][]): Uint8Array {
  const records = scalars.map(([step, value]) => {
    const number = Buffer.alloc(5);
    number[0] = 0x15;
    number.writeFloatLE(value, 1);
    const summary = Buffer.concat([Buffer.from([0x0a, 4]), Buffer.from('loss'), number]);
    const wrapped = Buffer.concat([Buffer.from([0x0a, summary.length]), summary]);
    const time = Buffer.alloc(9);
    time[0] = 0x09;
    time.writeDoubleLE(1.7e9, 1);
    const event = Buffer.concat([time, Buffer.from([0x10, step, 0x2a, wrapped.length]), wrapped]);
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(BigInt(event.length), 0);
    return Buffer.concat([head, event, Buffer.alloc(4)]);
  });
  return new Uint8Array(Buffer.concat(records));
}
