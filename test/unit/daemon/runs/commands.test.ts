import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { paramsOf, withParams } from '../../../../daemon/runs/launch/ad-hoc.ts';
import { fill, splitWords, withDebugger, wordsOf } from '../../../../daemon/runs/launch/command.ts';
import { resolveProgram } from '../../../../daemon/runs/launch/interpreter.ts';
import { readEvents } from '../../../../formats/tfevents.ts';
import { readMetricLine } from '../../../../runner/lines.ts';
import { type FoundState, groupFiles } from '../../../../session/groups.ts';
import { factsOfName, looksLikeCheckpoint } from '../../../../session/names.ts';
import { temporaryFolder } from '../../../support/folder.ts';

describe('a command line', () => {
  test('gets a debugger behind the interpreter’s own options, before the script', () => {
    const added = ['-m', 'debugpy'];
    expect(withDebugger(['py', 'train.py', '-x'], added)).toEqual(['py', '-m', 'debugpy', 'train.py', '-x']);
    expect(withDebugger(['py', '-u', '-W', 'ignore', '-m', 'pkg', '-W'], added)).toEqual(
      'py -u -W ignore -m debugpy -m pkg -W'.split(' '),
    );
    expect(withDebugger(['py', 'train.py'], undefined)).toEqual(['py', 'train.py']);
  });

  test('is split as a shell does it, without one', () => {
    expect(splitWords(`python train.py --name "a b" 'c d' e\\ f "" $HOME`)).toEqual([
      'python',
      'train.py',
      '--name',
      'a b',
      'c d',
      'e f',
      '',
      '$HOME',
    ]);
    expect(splitWords('python "open')).toBeNull();
    expect(splitWords('a;b|c && d `e`')).toEqual(['a;b|c', '&&', 'd', '`e`']);
  });

  const values = {
    run: 'r1',
    dir: '/d',
    params: { lr: 0.1, amp: true, quiet: false, net: { depth: 3 }, sizes: [1, 2] },
  };
  test('gets its params in four ways', () => {
    expect(wordsOf('python t.py', 'flags', values)).toEqual([
      'python',
      't.py',
      '--lr',
      '0.1',
      '--amp',
      '--net.depth',
      '3',
      '--sizes',
      '1',
      '2',
    ]);
    expect(wordsOf(['t'], 'hydra', { ...values, params: { lr: 0.1, net: { depth: 3 } } })).toEqual([
      't',
      'lr=0.1',
      'net.depth=3',
    ]);
    expect(wordsOf('t', 'none', values)).toEqual(['t']);
    // A param that the command names itself is not appended again.
    expect(wordsOf('t --rate ${params.lr}', 'flags', { ...values, params: { lr: 0.1 } })).toEqual([
      't',
      '--rate',
      '0.1',
    ]);
  });

  test('an unknown placeholder is an error that lists the known ones; a value is never expanded again', () => {
    expect(() => fill('${nothing}', values)).toThrow(/contains \$\{nothing\}, which has no meaning/);
    expect(() => fill('${params.toString}', values)).toThrow(/contains \$\{params\.toString\}/);
    expect(() => fill('${lr}', { ...values, params: { lr: 0.1 } })).toThrow(/Did you mean \$\{params\.lr\}\?/);
    expect(fill('${params.x}', { ...values, params: { x: '${run}; rm -rf /' } })).toBe('${run}; rm -rf /');
  });

  test('params are read out of it and put back into it', () => {
    const words = ['python', '-u', 'train.py', '--lr', '0.1', '--name=x', 'model.depth=3', '--fp16', '--shift', '-2.5'];
    expect(paramsOf(words)).toEqual({ lr: 0.1, name: 'x', 'model.depth': 3, fp16: true, shift: -2.5 });
    expect(withParams(words, { ...paramsOf(words), lr: 0.2, name: 'y', 'model.depth': 4, more: 1 })).toEqual([
      'python',
      '-u',
      'train.py',
      '--lr',
      '0.2',
      '--name=y',
      'model.depth=4',
      '--fp16',
      '--shift',
      '-2.5',
      '--more',
      '1',
    ]);
  });
});

describe('a leading python', () => {
  function withPrograms(...paths: string[]) {
    const root = temporaryFolder();
    for (const path of paths) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), '#!/bin/sh\n');
      chmodSync(join(root, path), 0o755);
    }
    return root;
  }
  const find = (root: string, environment: Record<string, string>, interpreter?: string) =>
    resolveProgram(['python', 't.py'], { cwd: root, root, environment, interpreter })[0].slice(root.length + 1);

  test('is the selected one, else the active environment, else the project’s, else the PATH’s', () => {
    const root = withPrograms(
      'venv1/bin/python',
      'conda/bin/python',
      '.venv/bin/python',
      'shims/python',
      'chosen/python3.12',
    );
    const at = (name: string) => join(root, name);
    expect(find(root, { VIRTUAL_ENV: at('venv1'), PATH: at('shims') }, at('chosen/python3.12'))).toBe(
      'chosen/python3.12',
    );
    expect(find(root, { VIRTUAL_ENV: at('venv1'), CONDA_PREFIX: at('conda'), PATH: at('shims') })).toBe(
      'venv1/bin/python',
    );
    expect(find(root, { CONDA_PREFIX: at('conda'), PATH: at('shims') })).toBe('conda/bin/python');
    expect(find(root, { PATH: at('shims') })).toBe('.venv/bin/python');
    const bare = withPrograms('shims/python');
    expect(find(bare, { PATH: `/nowhere:${join(bare, 'shims')}` })).toBe('shims/python');
  });

  test('that is nowhere is an error that says where it was looked for', () => {
    expect(() => find(temporaryFolder(), { PATH: '/nowhere' })).toThrow(
      /No Python was found: looked at .*\/nowhere\/python/,
    );
  });
});

describe('names of checkpoint files', () => {
  test.each([
    ['ckpt_epoch_0050_loss_0.012345.pth', { epoch: 50, step: null, metrics: { loss: 0.012345 } }],
    ['epoch=10-step=1000.ckpt', { epoch: 10, step: 1000, metrics: {} }],
    ['model_epoch_5.pdparams', { epoch: 5, step: null, metrics: {} }],
    ['out/checkpoint-500/model.safetensors', { epoch: null, step: 500, metrics: {} }],
    ['epoch=3-val_loss=0.25.ckpt', { epoch: 3, step: null, metrics: { val_loss: 0.25 } }],
    ['resnet50.pt', { epoch: null, step: null, metrics: {} }],
    ['global_step1200/mp_rank_00_model_states.pt', { epoch: null, step: 1200, metrics: {} }],
    ['best.pt', { epoch: null, step: null, metrics: {}, reasons: ['best'] }],
  ])('%s', (name, facts) => {
    expect(factsOfName(name)).toMatchObject(facts);
  });

  test('data and temporary files are none', () => {
    for (const name of ['mnist.npz', 'train.h5', 'data.bin', '.ckpt.tmp', 'model.pt.part', 'x.csv'])
      expect([name, looksLikeCheckpoint(name)]).toEqual([name, false]);
    for (const name of ['a.pt', 'model.npz', 'weights.h5', 'pytorch_model.bin', 'best.keras', 'x.pth.tar'])
      expect([name, looksLikeCheckpoint(name)]).toEqual([name, true]);
  });
});

describe('files that belong together', () => {
  const file = (path: string, mtimeMs = 1): FoundState => ({ path, ino: path, bytes: 1, mtimeMs });
  const groups = (...paths: string[]) =>
    groupFiles(paths.map((path) => file(path))).map(({ files }) => files.map(({ path }) => path));

  test.each<[string, string[][]]>([
    ['Paddle’s two', [['out/a.pdopt', 'out/a.pdparams'], ['out/b.pdparams']]],
    ['model and optimizer', [['model_epoch_5.pt', 'optimizer_epoch_5.pt'], ['model_epoch_6.pt']]],
    [
      'shards and their index',
      [['m-00001-of-00002.safetensors', 'm-00002-of-00002.safetensors', 'm.safetensors.index.json']],
    ],
    [
      'a folder of Hugging Face',
      [['o/checkpoint-5/model.safetensors', 'o/checkpoint-5/optimizer.pt'], ['o/checkpoint-6/model.safetensors']],
    ],
    ['files of their own', [['a.pt'], ['b.pt']]],
    ['TensorFlow’s', [['ckpt-5.data-00000-of-00001', 'ckpt-5.index']]],
  ])('%s', (_, expected) => {
    expect(groups(...expected.flat()).sort()).toEqual(expected);
  });
});

test('a printed line gives metrics; no other line does', () => {
  expect(readMetricLine('\u001b[32mtrainstash step=1200 epoch=3 loss=0.31 acc=1e-3\u001b[0m')).toEqual({
    step: 1200,
    epoch: 3,
    values: { loss: 0.31, acc: 0.001 },
  });
  expect(readMetricLine('trainstash loss=nan x=-inf')).toEqual({
    step: null,
    epoch: null,
    values: { loss: Number.NaN, x: Number.NEGATIVE_INFINITY },
  });
  for (const line of ['step=1 loss=2', 'import trainstash', 'trainstash: no daemon', 'I use trainstash step=1'])
    expect(readMetricLine(line)).toBeNull();
});

test('scalars of TensorBoard files: floats, tensors of TensorFlow 2, and a record that is truncated', () => {
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const field = (number: number, bytes: number[] | Buffer) => [
    ...varint((number << 3) | 2),
    ...varint(bytes.length),
    ...bytes,
  ];
  const float = (number: number, value: number) => {
    const b = Buffer.alloc(4);
    b.writeFloatLE(value);
    return [...varint((number << 3) | 5), ...b];
  };
  const event = (step: number, value: number[]) => {
    const time = Buffer.alloc(8);
    time.writeDoubleLE(1.5);
    const bytes = Buffer.from([9, ...time, 16, ...varint(step), ...field(5, field(1, value))]);
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([head, bytes, Buffer.alloc(4)]);
  };
  const tag = (name: string) => field(1, Buffer.from(name));
  const content = Buffer.alloc(4);
  content.writeFloatLE(0.5);
  const all = Buffer.concat([
    event(300, [...tag('loss'), ...float(2, 0.25)]),
    event(301, [...tag('acc'), ...field(8, [8, 1, ...field(4, content)])]),
    event(302, [...tag('loss'), ...float(2, 0.125)]),
  ]);
  expect(readEvents(all)!.scalars).toEqual([
    { tag: 'loss', step: 300, time: 1500, value: 0.25 },
    { tag: 'acc', step: 301, time: 1500, value: 0.5 },
    { tag: 'loss', step: 302, time: 1500, value: 0.125 },
  ]);
  const cut = readEvents(all.subarray(0, all.length - 3))!;
  expect(cut.scalars).toHaveLength(2);
  expect(readEvents(all.subarray(cut.consumed))!.scalars).toHaveLength(1);
});

test('a record whose step is no number is stepped over, and the rest is read', () => {
  // Field 2 with wire type 2: bytes, where the step should be a varint.
  const odd = Buffer.from([0x12, 1, 0x41]);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(odd.length), 0);
  expect(readEvents(Buffer.concat([head, odd, Buffer.alloc(4)]))).toMatchObject({ scalars: [], consumed: 19 });
});
