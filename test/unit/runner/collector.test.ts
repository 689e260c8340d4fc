/** Files that make one checkpoint: parts that come late, one that is overwritten, and those that are left alone. */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Bench, STILL_MS, safetensors } from '../../support/collected.ts';

afterEach(() => {
  vi.useRealTimers();
});

const HF_PARTS = { 'out/checkpoint-#/': ['config.json', 'model.safetensors', 'optimizer.pt'] };

describe('parts of one checkpoint', () => {
  test.each([true, false])(
    'that come late complete it, and make no second one of the same step (a folder: %s)',
    async (folder) => {
      const bench = new Bench();
      const [model, optimizer] = folder
        ? ['out/checkpoint-10/model.safetensors.x', 'out/checkpoint-10/optimizer.pt']
        : ['model_step_10.pt', 'optimizer_step_10.pt'];
      bench.write(model!, 'm');
      await bench.look();
      expect(bench.kept).toMatchObject([{ step: 10, lacks: [], grade: 'weights only' }]);
      bench.write(optimizer!, 'o');
      await bench.look();
      expect(bench.taken).toHaveLength(2);
      expect(bench.kept).toMatchObject([{ step: 10, lacks: [], grade: 'partial', parent: null }]);
      expect(Object.values(bench.kept[0]!.content).sort()).toEqual(['m', 'o']);
      expect(bench.notices).toEqual([]);
    },
  );

  test('that earlier sessions had are waited for, then the lack is marked and said; a late one mends it', async () => {
    const bench = new Bench({ parts: HF_PARTS });
    bench.write('out/checkpoint-30/config.json', 'c');
    bench.write('out/checkpoint-30/model.safetensors', '');
    rmSync(join(bench.root, 'out/checkpoint-30/model.safetensors'));
    expect(await bench.look()).toBeGreaterThan(1_000);
    expect(bench.taken).toEqual([]);
    bench.write('out/checkpoint-30/config.json', 'c', 11_000);
    await bench.look();
    expect(bench.kept).toMatchObject([{ step: 30, lacks: ['model.safetensors', 'optimizer.pt'] }]);
    expect(bench.notices).toEqual([
      expect.stringContaining('out/checkpoint-30/config.json was taken in without model.safetensors, optimizer.pt'),
    ]);
    bench.write('out/checkpoint-30/optimizer.pt', 'o');
    bench.write('out/checkpoint-30/model.safetensors', safetensors({}));
    await bench.look();
    expect(bench.kept).toMatchObject([{ step: 30, lacks: [], files: [{}, {}, {}] }]);
  });

  test('that are missing at the end of the script are marked at once', async () => {
    const bench = new Bench({ parts: HF_PARTS });
    bench.write('out/checkpoint-30/config.json', 'c', 0);
    await bench.look(true);
    expect(bench.kept).toMatchObject([{ step: 30, lacks: ['model.safetensors', 'optimizer.pt'] }]);
  });

  test('that two in a row do without are no longer expected: a job may save less than it did', async () => {
    const bench = new Bench({ parts: { '*_step_#.pt': ['model', 'optimizer'] } });
    const lacks: string[][] = [];
    for (const step of [10, 20, 30, 40]) {
      bench.write(`model_step_${step}.pt`, `m${step}`, 60_000 - step);
      await bench.look();
      lacks.push(bench.kept.at(-1)!.lacks);
    }
    expect(lacks).toEqual([['optimizer'], ['optimizer'], [], []]);
  });
});

describe('one file that is overwritten', () => {
  test.each(['last.weights.h5', 'latest.pt', 'model.pt', 'out/best_model.safetensors'])(
    '%s is kept each time',
    async (name) => {
      const bench = new Bench({ parts: { '*.pt': ['model'] } });
      const content = (i: number) =>
        name.endsWith('.safetensors') ? safetensors({ i: String(i) }).toString() : `state ${i}`;
      for (let i = 0; i < 4; i++) {
        bench.write(name, content(i), STILL_MS - i * 10);
        await bench.look();
        // The next one is written into the same file, so its current bytes have to be checked now.
        expect(Object.values(bench.kept.at(-1)!.content)).toEqual([content(i)]);
      }
      expect(bench.kept).toHaveLength(4);
      expect(bench.notices).toEqual([]);
    },
  );

  test('with a partner is never combined with an old partner, and is complete once the new one exists', async () => {
    const bench = new Bench();
    const contents: unknown[] = [];
    const look = async () => {
      await bench.look();
      const { content, lacks } = bench.kept.at(-1)!;
      contents.push([content, lacks]);
    };
    bench.write('model.pt', 'm1', 5_000);
    bench.write('optimizer.pt', 'o1', 4_900);
    await look();
    bench.write('model.pt', 'm2', 4_000);
    await look();
    bench.write('optimizer.pt', 'o2', 3_900);
    await look();
    expect(contents).toEqual([
      [{ 'model.pt': 'm1', 'optimizer.pt': 'o1' }, []],
      [{ 'model.pt': 'm2' }, ['optimizer']],
      [{ 'model.pt': 'm2', 'optimizer.pt': 'o2' }, []],
    ]);
    expect(bench.kept).toHaveLength(2);
  });

  test('with a partner that never changes has it again as soon as that is clear', async () => {
    const bench = new Bench();
    bench.write('encoder.pt', 'frozen', 9_000);
    for (let i = 0; i < 4; i++) {
      bench.write('decoder.pt', `d${i}`, 8_000 - i * 100);
      await bench.look();
    }
    expect(bench.kept.map(({ content, lacks }) => [Object.keys(content).length, lacks])).toEqual([
      [2, []],
      [1, ['encoder']],
      [1, ['encoder']],
      [2, []],
    ]);
  });
});

describe('a file that is not collected', () => {
  test('is being rewritten, and still has the time of the one before: only one that stays empty is told', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    const bench = new Bench({ before: { 'step10.pt': 'old', 'step20.pt': 'old', 'step30.pt': 'old' } });
    await bench.look();
    bench.write('step10.pt', 'new', STILL_MS - 50);
    // The others were opened for writing just now.
    bench.write('step20.pt', '', 2 * STILL_MS);
    bench.write('step30.pt', '', 2 * STILL_MS);
    expect(await bench.look()).toBeGreaterThan(0);
    expect(bench.notices).toEqual([]);
    vi.advanceTimersByTime(STILL_MS);
    bench.write('step20.pt', 'new', STILL_MS - 10);
    await bench.look();
    expect(bench.taken.map(({ content }) => Object.keys(content))).toEqual([['step10.pt'], ['step20.pt']]);
    expect(bench.notices).toEqual(['step30.pt was not taken in: step30.pt is empty. The original is unchanged.']);
  });

  test('existed before the run, also beside new files', async () => {
    const bench = new Bench({ before: { 'model.pt': 'old', 'optimizer.pt': 'old', 'pretrained.pt': 'old' } });
    await bench.look();
    bench.write('model.pt', 'new', STILL_MS - 5);
    await bench.look(true);
    expect(bench.kept.map(({ content }) => content)).toEqual([{ 'model.pt': 'new' }]);
  });

  const FILES = ['config.json', 'model.safetensors', 'optimizer.pt'] as const;
  const whole = { 'config.json': '{}', 'model.safetensors': safetensors({}), 'optimizer.pt': zip() };
  const BROKEN = {
    empty: { change: () => Buffer.alloc(0), words: 'is empty' },
    'cut off': { change: (bytes: Buffer) => bytes.subarray(0, bytes.length - 4), words: 'is truncated' },
  };
  test.each(
    Object.entries(BROKEN).flatMap(([how, { change, words }]) =>
      FILES.slice(how === 'empty' ? 0 : 1).map((name) => [name, how, change, words] as const),
    ),
  )('is a folder whose %s is %s when its script ends, and that is said', async (name, _, change, words) => {
    const bench = new Bench();
    for (const file of FILES) {
      const bytes = Buffer.from(whole[file]);
      bench.write(`out/checkpoint-20/${file}`, file === name ? change(bytes) : bytes);
    }
    expect(await bench.look()).not.toBeNull();
    await bench.look(true);
    expect(bench.taken).toEqual([]);
    expect(bench.notices).toEqual([
      `out/checkpoint-20/ was not taken in: out/checkpoint-20/${name} ${words}. The original is unchanged.`,
    ]);
    expect(statSync(join(bench.root, 'out/checkpoint-20/config.json')).isFile()).toBe(true);
  });
});

/** Makes an empty zip, which PyTorch would not write, but which is complete. */
function zip(): Buffer {
  const name = Buffer.from('a');
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50);
  local.writeUInt16LE(1, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50);
  central.writeUInt16LE(1, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(47, 12);
  end.writeUInt32LE(31, 16);
  return Buffer.concat([local, name, central, name, end]);
}

test('a new file whose name is not UTF-8 is named in a notice, and one from before is not', async () => {
  const bench = new Bench({ before: { 'model_step1.pt': 'x' } });
  const place = (name: string) => Buffer.concat([Buffer.from(`${bench.root}/`), Buffer.from(name, 'latin1')]);
  await bench.look();
  expect(bench.notices).toEqual([]);
  writeFileSync(place('mod\xe9l_step2.pt'), 'x');
  await bench.look();
  await bench.look(true);
  expect(bench.notices).toEqual([
    'A file or folder was not kept, since its name is not UTF-8: mod\uFFFDl_step2.pt. Name it otherwise in the script.',
  ]);
});
