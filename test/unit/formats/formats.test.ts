/** Files of every format, odd ones too, described as they are. Nothing here needs Python. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Budget } from '../../../formats/budget.ts';
import { bitsOf } from '../../../formats/dtypes.ts';
import { openFile } from '../../../formats/inspect.ts';
import { readPickle } from '../../../formats/pickle.ts';
import { readHeader } from '../../../formats/safetensors-reader.ts';
import { shortName } from '../../../formats/short-name.ts';
import { statisticsOf } from '../../../formats/statistics.ts';
import { isWhole } from '../../../formats/whole.ts';
import { global, integer, OP, protocol, text, tuple } from '../../../formats/writers/pickle.ts';
import { fileThatLeadsOut } from '../../support/hdf5-links.ts';
import { dictPickle, rawSafetensors, safetensors, tensorPickle, torchFile, zipFile } from '../../support/hostile.ts';
import { look, named, readOf, statistics } from '../../support/looked-into.ts';

describe('safetensors', () => {
  test.each(
    'F64 F32 F16 BF16 F8_E4M3 F8_E5M2 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ F6_E2M3 F6_E3M2 F4 I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64'.split(
      ' ',
    ),
  )('%s is listed with its size, and its statistics or why there are none', async (dtype) => {
    const bytes = (8 * bitsOf(dtype)!) / 8;
    const file = safetensors({ t: { dtype, shape: [8], data_offsets: [0, bytes] } }, bytes);
    expect(named(await look(file), 't')).toMatchObject({ dtype, shape: [8], bytes });
    const found = await statistics(file, 't');
    if (/^(C|F6_)/.test(dtype)) expect(found).toMatchObject({ why: expect.stringMatching(/order|6 bits/) });
    else expect(found).toMatchObject({ statistics: { nan: 0, min: dtype === 'F8_E8M0' ? 2 ** -127 : 0 } });
    await expect(look(safetensors({ t: { dtype, shape: [9], data_offsets: [0, bytes] } }, bytes))).rejects.toThrow(
      'size and shape disagree',
    );
  });

  test('a type of tomorrow is listed with the size of its place, and is no reason to refuse the others', async () => {
    for (const dtype of ['I4', 'toString', '__proto__']) {
      const file = safetensors({ t: { dtype, shape: [8], data_offsets: [0, 4] } }, 4);
      expect(named(await look(file), 't')).toMatchObject({ dtype, bytes: 4 });
      expect(await statistics(file, 't')).toEqual({ why: 'its type is unknown' });
    }
  });

  test('tensors over each other, names that come twice: refused, and complete all the same', async () => {
    const range = (from: number, to: number) => ({ dtype: 'U8', shape: [to - from], data_offsets: [from, to] });
    const cases: [Buffer, string][] = [
      [safetensors({ a: range(0, 8), b: range(0, 8) }, 8), 'overlap'],
      [safetensors({ a: range(0, 8), b: range(7, 9) }, 9), 'overlap'],
      [safetensors({ a: range(0, 8), empty: range(4, 4), b: range(2, 4) }, 8), 'overlap'],
      [rawSafetensors('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}', 0), 'occurs twice'],
    ];
    for (const [file, why] of cases) {
      await expect(look(file)).rejects.toThrow(why);
      expect(isWhole('a.safetensors', readOf(file), file.length)).toBe(true);
    }
    // In any order, with empty ones anywhere.
    const fine = safetensors({ b: range(4, 8), empty: range(6, 6), a: range(0, 4) }, 8);
    expect((await look(fine)).tensors.map(({ name }) => name)).toEqual(['a', 'b', 'empty']);
  });

  test('one that is truncated says after how many bytes; bytes of no tensor are told', async () => {
    const whole = safetensors({ a: { dtype: 'U8', shape: [100], data_offsets: [0, 100] } }, 100);
    for (const length of [40, whole.length - 1]) {
      const cut = whole.subarray(0, length);
      await expect(look(cut)).rejects.toThrow(`is truncated after ${length} bytes`);
      expect(isWhole('a.safetensors', readOf(cut), length)).toBe(false);
    }
    const longer = Buffer.concat([whole, Buffer.alloc(5)]);
    expect((await look(longer)).notes).toEqual([expect.stringContaining('5 bytes of it belong to no tensor')]);
  });
});

describe('torch', () => {
  const four = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);

  test('views say what they are: with gaps, expanded, without data; their statistics are those of their elements', async () => {
    const file = torchFile(
      dictPickle({
        whole: tensorPickle('0'),
        turned: tensorPickle('0', { size: [2, 2], stride: [1, 2] }),
        gaps: tensorPickle('0', { size: [2], stride: [2], offset: 1 }),
        wide: tensorPickle('0', { size: [3, 4], stride: [0, 1] }),
        endless: tensorPickle('0', { size: [2 ** 30, 2 ** 30], stride: [0, 0] }),
        windows: tensorPickle('0', { size: [2, 3], stride: [1, 1] }),
        lost: tensorPickle('7'),
      }),
      { 0: four },
    );
    const inspection = await look(file);
    expect(inspection.tensors.map(({ name, remark }) => [name, remark])).toEqual([
      ['whole', null],
      ['turned', null],
      ['gaps', 'a view with gaps'],
      ['wide', 'expanded from 4 elements'],
      ['endless', 'expanded from 1 element'],
      ['windows', 'a view with gaps'],
      ['lost', 'no data: its storage is not in the file'],
    ]);
    const numbers = async (name: string) => {
      const found = await statistics(file, name);
      return 'statistics' in found ? [found.statistics.min, found.statistics.mean, found.statistics.max] : found.why;
    };
    expect(await numbers('turned')).toEqual([1, 2.5, 4]);
    expect(await numbers('gaps')).toEqual([2, 3, 4]);
    expect(await numbers('wide')).toEqual([1, 2.5, 4]);
    expect(await numbers('endless')).toEqual([1, 1, 1]);
    expect(await numbers('windows')).toEqual([1, 2.5, 4]);
    expect(await numbers('lost')).toBe('no data: its storage is not in the file');
  });

  test('elements are counted in 63 bits; more are no tensor', async () => {
    const size = (...sizes: bigint[]) =>
      Buffer.concat([
        global('torch._utils', '_rebuild_meta_tensor_no_storage'),
        tuple([global('torch', 'float32'), tuple(sizes.map(wideInteger)), tuple([]), OP.no]),
        OP.reduce,
      ]);
    const inspection = await look(torchFile(dictPickle({ huge: size(2n ** 61n) })));
    expect(named(inspection, 'huge')).toMatchObject({
      shape: [2 ** 61],
      bytes: 2 ** 63,
      remark: 'no data: saved from the device "meta"',
    });
    await expect(look(torchFile(dictPickle({ huge: size(2n ** 40n, 2n ** 40n) })))).rejects.toThrow('impossible shape');
  });

  test('half complex numbers take four bytes each; a type that is not known has no size', async () => {
    const storage = (name: string) =>
      Buffer.from(tensorPickle('0').toString('latin1').replace('FloatStorage', name), 'latin1');
    const file = torchFile(dictPickle({ c: storage('ComplexHalfStorage'), new: storage('TomorrowStorage') }), {
      0: four,
    });
    const inspection = await look(file);
    expect(named(inspection, 'c')).toMatchObject({ dtype: 'C32', bytes: 16 });
    expect(named(inspection, 'new')).toMatchObject({ dtype: 'torch.TomorrowStorage', bytes: null, place: null });
  });

  test('one that is truncated says so; archives behind each other are told and all listed', async () => {
    const file = torchFile(dictPickle({ w: tensorPickle('0') }), { 0: four });
    const cut = file.subarray(0, file.length - 30);
    await expect(look(cut)).rejects.toThrow(`is truncated after ${cut.length} bytes`);
    expect(isWhole('a.pt', readOf(cut), cut.length)).toBe(false);
    const several = await look(Buffer.concat([file, file, file]));
    expect(several.tensors.map(({ name }) => name)).toEqual(['item 0.w', 'item 1.w', 'item 2.w']);
    expect(several.notes).toEqual([expect.stringContaining('3 consecutive archives')]);
    const behind = await look(Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(73), file]));
    expect(behind).toMatchObject({ isComplete: false, notes: [expect.stringContaining('77 bytes before')] });
    expect(await statistics(Buffer.concat([file, file]), 'item 1.w')).toMatchObject({ statistics: { max: 4 } });
  });

  test('paths, devices, identifiers and large numbers are shown as what they are', async () => {
    const call = (module: string, name: string, ...args: Buffer[]) =>
      Buffer.concat([global(module, name), tuple(args), OP.reduce]);
    const inspection = await look(
      torchFile(
        dictPickle({
          absolute: call('pathlib', 'PosixPath', text('/'), text('x'), text('y')),
          relative: call('pathlib._local', 'PosixPath', text('x'), text('y')),
          windows: call('pathlib', 'WindowsPath', text('C:\\'), text('x')),
          root: call('pathlib', 'PosixPath', text('/')),
          device: call('torch', 'device', text('cuda'), integer(0)),
          long: Buffer.from(`L${'7'.repeat(900)}L\n`),
          infinite: Buffer.from('\x47\xff\xf0\0\0\0\0\0\0', 'latin1'),
          words: Buffer.concat([Buffer.from('('), text('a'), integer(1), OP.none, OP.tuple]),
        }),
      ),
    );
    expect(Object.fromEntries(inspection.values.map(({ name, value }) => [name, value]))).toEqual({
      absolute: '/x/y',
      relative: 'x/y',
      windows: 'C:\\x',
      root: '/',
      device: 'cuda:0',
      long: `${'7'.repeat(40)}… (900 digits)`,
      infinite: '-Infinity',
      words: '[a, 1, null]',
    });
  });

  test('names that are absurdly long stay different, and lose their middle where they are shown', async () => {
    const key = 'k'.repeat(9_000);
    const file = torchFile(dictPickle({ [`${key}a`]: tensorPickle('0'), [`${key}b`]: tensorPickle('0') }), { 0: four });
    const names = (await look(file)).tensors.map(({ name }) => name);
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name.length).toBeLessThan(1_000);
    expect(shortName('abcdefghij', 5)).toBe('ab…ij');
    expect(shortName('abcde', 5)).toBe('abcde');
  });
});

describe('pickles', () => {
  const within = (pickle: Buffer, bytes: number) =>
    readPickle(readOf(pickle), { start: 0, end: pickle.length, budget: new Budget(bytes) });

  test('what is copied counts: a few bytes cannot ask for more than there is', () => {
    const many = Buffer.concat([Buffer.from(']q\0(', 'latin1'), Buffer.alloc(10_000, 'N'), Buffer.from('e')]);
    const copy = Buffer.concat([global('builtins', 'set'), Buffer.from('h\0\x85R', 'latin1')]);
    const of = (count: number) => Buffer.concat([protocol(2), many, ...new Array(count).fill(copy), OP.stop]);
    expect(within(of(1), 1 << 20).end).toBeGreaterThan(0);
    expect(() => within(of(100), 1 << 20)).toThrow('its structure takes more than 1 MB of memory');
  });

  test('any bytes are read in pieces as they are at once', () => {
    // Longer than the window: texts, bytes and numbers that cross its end.
    const parts = Array.from({ length: 15_000 }, (_, i) =>
      Buffer.concat([text(`name ${i}`), i % 3 ? integer(i * 1_000) : Buffer.from(`\x47${'\x40'.repeat(8)}`, 'latin1')]),
    );
    const pickle = Buffer.concat([protocol(2), OP.emptyDict, OP.mark, ...parts, OP.setItems, OP.stop]);
    const whole = within(pickle, 1 << 30).value as { entries: [string, number][] };
    const expected = Array.from({ length: 15_000 }, (_, i) => [`name ${i}`, i % 3 ? i * 1_000 : 32.501960784313724]);
    expect(whole.entries).toEqual(expected);
  });

  test('long bytes and texts stay where they are', async () => {
    const bytes = Buffer.from(Float32Array.from({ length: 50_000 }, (_, i) => i).buffer);
    const array = (data: Buffer, order: string) =>
      Buffer.concat([
        global('numpy.core.multiarray', '_reconstruct'),
        tuple([global('numpy', 'ndarray'), tuple([integer(0)]), text('b')]),
        OP.reduce,
        OP.mark,
        integer(1),
        tuple([integer(50_000)]),
        global('numpy', 'dtype'),
        tuple([text('f4'), OP.no, OP.yes]),
        OP.reduce,
        tuple([integer(3), text(order), OP.none, OP.none, OP.none, integer(-1), integer(-1), integer(0)]),
        OP.build,
        OP.no,
        data,
        OP.tuple,
        OP.build,
      ]);
    const head = Buffer.alloc(5);
    head.write('B');
    head.writeUInt32LE(bytes.length, 1);
    // Protocol 2 writes bytes as a text of the same characters.
    const encoded = Buffer.concat([
      global('_codecs', 'encode'),
      tuple([text(bytes.toString('latin1')), text('latin1')]),
      OP.reduce,
    ]);
    const swapped = Buffer.concat([head, Buffer.from(bytes).swap32()]);
    const pickle = dictPickle({
      plain: array(Buffer.concat([head, bytes]), '<'),
      encoded: array(encoded, '<'),
      turned: array(swapped, '>'),
    });
    for (const file of [pickle, torchFile(pickle), torchFile(pickle, {}, 8)])
      for (const name of ['plain', 'encoded', 'turned'])
        expect([name, await statistics(file, name)]).toMatchObject([
          name,
          { statistics: { min: 0, max: 49_999, mean: 24_999.5, zeros: 1 } },
        ]);
  });
});

describe('NumPy', () => {
  const npy = (descr: string, shape: string, data: Buffer) => {
    const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117);
    const head = Buffer.alloc(10);
    head.write('\x93NUMPY\x01\0', 'latin1');
    head.writeUInt16LE(118, 8);
    return Buffer.concat([head, Buffer.from(`${header}\n`), data]);
  };

  test('texts, times and big-endian numbers are what they are, packed or not', async () => {
    const numbers = Buffer.from(Float64Array.of(1, 2, 3).buffer).swap64();
    for (const method of [0, 8] as const) {
      const file = zipFile([
        { name: 'big.npy', data: npy('>f8', '(3,)', numbers), method },
        { name: 'words.npy', data: npy('<U16', '(2,)', Buffer.alloc(128)), method },
        { name: 'days.npy', data: npy('<M8[D]', '(2, 2)', Buffer.alloc(32)), method },
        { name: 'nothing.npy', data: npy('<f4', '(0, 5)', Buffer.alloc(0)), method },
      ]);
      const inspection = await look(file);
      expect(inspection.tensors.map(({ name, dtype, bytes }) => [name, dtype, bytes])).toEqual([
        ['big', 'F64', 24],
        ['words', 'unicode 16', 128],
        ['days', 'datetime64[D]', 32],
        ['nothing', 'F32', 0],
      ]);
      expect(await statistics(file, 'big')).toMatchObject({ statistics: { min: 1, max: 3 } });
      expect(await statistics(file, 'words')).toEqual({ why: 'its elements are not numbers' });
      expect(await statistics(file, 'nothing')).toEqual({ why: 'it has no elements' });
    }
  });

  test('an array that is no tensor is called what it is, beside those that are', async () => {
    const array = (descr: string, shape: string) => npy(descr, shape, Buffer.alloc(8));
    const file = zipFile([
      { name: 'a.npy', data: array('<f4', '(2L,)') },
      { name: 'b.npy', data: array('|O', '(1,)') },
      { name: 'c.npy', data: Buffer.from(array('?', '(1,)').toString('latin1').replace("'?'", '[  ]'), 'latin1') },
      { name: 'd.npy', data: array('<f4', '(-1, 2)') },
      { name: 'e.npy', data: array('<f4', '('.repeat(900)) },
    ]);
    const inspection = await look(file);
    expect(inspection.tensors.map(({ name, shape }) => [name, shape])).toEqual([['a', [2]]]);
    expect(inspection.classes).toEqual([
      { name: 'an array of Python objects', count: 1 },
      { name: 'an array of records', count: 1 },
      { name: 'an array whose header is not understood', count: 2 },
    ]);
  });

  test('entries that lie over each other are refused, and complete all the same', async () => {
    const data = npy('<f4', '(2,)', Buffer.alloc(8));
    const file = zipFile([
      { name: 'a.npy', data },
      { name: 'b.npy', data, sharesFirst: true },
    ]);
    await expect(look(file)).rejects.toThrow('overlaps another one');
    expect(isWhole('a.npz', readOf(file), file.length)).toBe(true);
  });
});

describe('HDF5', () => {
  test('whatever leads out of a file is named and not followed; no name of another file is ever opened', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
    try {
      const file = fileThatLeadsOut();
      const { inspection, close } = await openFile(readOf(file), file.length);
      const facts = Object.fromEntries(
        inspection.tensors.map(({ name, remark, place }) => [name, remark ?? place !== null]),
      );
      expect(facts).toEqual({
        own: true,
        big: true,
        half: true,
        flags: true,
        raw: 'no data: its numbers are in "secret.txt", which is not read',
        virt: 'no data: put together from "other.h5", which is not read',
      });
      expect([...inspection.notes].sort()).toEqual([
        '"ext" is a link to "/x" in another file, "other.h5", which is not read.',
        '"loop/self" is another name of "loop".',
        '"soft" is a link to "/own", which is not followed.',
        '"through" is a link to "/ext", which is not followed.',
      ]);
      for (const [name, expected] of [
        ['own', { min: 0, max: 5 }],
        ['big', { min: 0, max: 3 }],
        ['half', { min: 0, max: 3 }],
        ['flags', { min: 0, max: 1 }],
      ] as const)
        expect(await statisticsOf(named(inspection, name), readOf(file))).toMatchObject({ statistics: expected });
      close();
      const cut = file.subarray(0, file.length - 100);
      await expect(look(cut)).rejects.toThrow(
        `is truncated after 11,556 of ${file.length.toLocaleString('en-US')} bytes`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('a header of any size is read by its bytes alone', () => {
  const file = safetensors({ a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] } }, 4);
  expect(() => readHeader(readOf(file), file.length, { maxBytes: 8 })).toThrow('absurdly long');
  expect(() => readHeader(readOf(file), file.length, { budget: new Budget(10) })).toThrow('MB of memory');
});

function wideInteger(value: bigint): Buffer {
  const out = Buffer.alloc(10);
  out.write('\x8a\x08', 'latin1');
  out.writeBigInt64LE(value, 2);
  return out;
}
