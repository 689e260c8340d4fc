/** Files that a script saves by itself, as they become checkpoints. Their times are set, so that no test waits for them. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { firstIncomplete } from '../../inspector/whole.ts';
import { CHECKPOINT_FILE, type CheckpointFile } from '../../protocol/session.ts';
import { gradeOf } from '../../runner/classify.ts';
import { Collector, type CollectorSetup } from '../../runner/collector.ts';
import { inspectFiles } from '../../runner/know.ts';
import { Progress } from '../../runner/progress.ts';
import { WatchedFiles } from '../../runner/watched.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeLaunch } from '../support/trainer.ts';

const STILL_MS = 3_000;
const HF_PARTS = { 'out/checkpoint-#/': ['config.json', 'model.safetensors', 'optimizer.pt'] };

interface Taken extends CheckpointFile {
  /** Contents of the files when they were taken, by name. */
  content: Record<string, string>;
}

/** Makes the looker's own parts in this process. */
function lookerOf(root: string): CollectorSetup['looker'] {
  const watched = new WatchedFiles({ root, dir: join(root, 'own'), checkpoints: [] });
  return {
    look: async () => {
      const { changed, truncated } = watched.look(0);
      return { files: new Map(changed.map((file) => [file.path, file])), truncated, tookMs: 0 };
    },
    firstIncomplete: async (files) => firstIncomplete({ do: 'whole', files }),
    gradeOf: async (paths) => gradeOf(await inspectFiles(paths)),
  };
}

class Bench {
  readonly root = temporaryFolder();
  readonly progress: Progress;
  readonly notices: string[] = [];
  readonly #directory: SessionDirectory;
  readonly #collector: Collector;
  readonly #begun: Promise<void>;

  constructor(options: { before?: Record<string, string>; parts?: Record<string, string[]>; step?: number } = {}) {
    for (const [path, content] of Object.entries(options.before ?? {})) this.write(path, content);
    this.#directory = SessionDirectory.create(join(this.root, '.git'), makeLaunch());
    this.progress = new Progress(options.step ?? 0);
    const parts = options.parts ?? {};
    this.#collector = new Collector({
      directory: this.#directory,
      root: this.root,
      command: {
        words: ['x'],
        cwd: this.root,
        env: {},
        dir: join(this.root, 'own'),
        checkpoints: [],
        parts,
        usesPackage: false,
        facts: {},
      },
      environment: {},
      parent: null,
      looker: lookerOf(this.root),
      progress: this.progress,
      taken: () => {},
      logged: (history, time) => {
        for (const { step, epoch, values } of history) this.progress.record(time, step, epoch, values);
      },
      notice: (_, text) => this.notices.push(text),
    });
    this.#begun = this.#collector.begin();
  }

  /** Writes a file as if it had been written that long ago. */
  write(path: string, content: string | Buffer, ago = STILL_MS): void {
    const target = join(this.root, path);
    mkdirSync(dirname(target), { recursive: true });
    // Python opens with truncation, so it is the same file.
    writeFileSync(target, content);
    const time = (Date.now() - ago) / 1000;
    utimesSync(target, time, time);
  }

  /** Looks at the files; resolves with the time to wait for the next look. */
  async look(ended = false): Promise<number | null> {
    await this.#begun;
    return (await this.#collector.look(ended)).soonestMs;
  }

  /** Returns the taken checkpoints in order. */
  get taken(): Taken[] {
    const folders = readdirSync(this.#directory.file('inbox')).map((name) => join(this.#directory.file('inbox'), name));
    return folders
      .map((folder) => {
        const facts: CheckpointFile = JSON.parse(readFileSync(join(folder, CHECKPOINT_FILE), 'utf8'));
        const content = facts.files.map(({ name }) => [name, readFileSync(join(folder, name), 'utf8')] as const);
        return { ...facts, order: folder.split('/').pop()!.split('-')[1]!, content: Object.fromEntries(content) };
      })
      .sort((a, b) => (a.order < b.order ? -1 : 1));
  }

  /** Returns the checkpoints that no other replaces. */
  get kept(): Taken[] {
    const { taken } = this;
    return taken.filter(({ id }) => !taken.some(({ replaces }) => replaces === id));
  }
}

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

describe('the step of a checkpoint', () => {
  const pickled = (entries: Record<string, number>) =>
    Buffer.concat([
      Buffer.from([0x80, 2, 0x7d, 0x28]),
      ...Object.entries(entries).map(([key, value]) => {
        const number = Buffer.alloc(5);
        number[0] = 0x4a;
        number.writeInt32LE(value, 1);
        return Buffer.concat([Buffer.from([0x58, key.length, 0, 0, 0]), Buffer.from(key), number]);
      }),
      Buffer.from('u.'),
    ]);

  test.each([
    ['last.ckpt', { epoch: 1, global_step: 32 }, { step: 32, epoch: 1 }],
    ['last.pt', { step: 500 }, { step: 500 }],
    // The step within the epoch, and over all.
    ['last.pt', { step: 7, global_step: 1_207, epoch: 3 }, { step: 1_207, epoch: 3 }],
    ['ckpt_step_100.pt', { iteration: 99 }, { step: 99 }],
    // It has finished, and says so with −1.
    ['ckpt_step_100.pt', { epoch: -1 }, { step: 100 }],
  ])('%s with %j in it is what its content says', async (name, content, expected) => {
    const bench = new Bench();
    bench.progress.record(Date.now() - 5_000, 31, 0, { loss: 1 });
    bench.write(name, pickled(content));
    await bench.look();
    expect(bench.kept).toMatchObject([expected]);
  });

  test('of a folder of Hugging Face is what trainer_state.json says, and a last file of the script follows it', async () => {
    const bench = new Bench();
    bench.write('out/checkpoint-48/model.safetensors', safetensors({}));
    bench.write('out/checkpoint-48/trainer_state.json', JSON.stringify({ global_step: 48, epoch: 2.9, max_steps: 48 }));
    await bench.look();
    bench.write('final.pt', 'x');
    await bench.look();
    expect(bench.kept).toMatchObject([
      { step: 48, epoch: 2 },
      { step: 48, place: '' },
    ]);
  });

  test('of a folder of Hugging Face comes with what was logged at it, and not with how long that took', async () => {
    const bench = new Bench();
    const log_history = [
      { step: 16, epoch: 1, loss: 0.5, grad_norm: 2, learning_rate: 0.1 },
      { step: 16, epoch: 1, eval_loss: 0.25, eval_runtime: 3, eval_samples_per_second: 9 },
      { step: 8, epoch: 0.5, loss: 0.75 },
      null,
      { step: 'x', loss: 1 },
    ];
    bench.write('out/checkpoint-16/model.safetensors', safetensors({}));
    const state = JSON.stringify({ global_step: 16, epoch: 1, max_steps: 48, log_history });
    bench.write('out/checkpoint-16/trainer_state.json', state);
    await bench.look();
    const metrics = { loss: 0.5, grad_norm: 2, learning_rate: 0.1, eval_loss: 0.25 };
    expect(bench.kept).toMatchObject([{ step: 16, epoch: 1, metrics }]);
    expect(bench.kept[0]!.metrics).toEqual(metrics);
  });

  test('of safetensors may stand in their metadata; without a content, a name or a line each counts as one', async () => {
    const bench = new Bench();
    bench.write('a.safetensors', safetensors({ step: '77' }));
    await bench.look();
    expect(bench.kept).toMatchObject([{ step: 77 }]);
    const other = new Bench();
    for (const name of ['x.pt', 'y.pt']) {
      other.write(name, name);
      await other.look();
    }
    expect(other.kept.map(({ step }) => step)).toEqual([1, 2]);
  });

  test('that a launcher reports late is corrected then', async () => {
    const bench = new Bench();
    bench.write('model_0.pt', 'a', 6_000);
    await bench.look();
    expect(bench.kept).toMatchObject([{ step: 0 }]);
    bench.progress.record(Date.now() - 2_000, 10, 0, { loss: 1 });
    await bench.look();
    expect(bench.kept).toMatchObject([{ step: 10, replaces: expect.any(String) }]);
    await bench.look(true);
    expect(bench.taken).toHaveLength(2);
  });
});

function safetensors(metadata: Record<string, string>): Buffer {
  const header = JSON.stringify({ __metadata__: metadata, w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([bytes, Buffer.from(header), Buffer.alloc(4)]);
}

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

describe('the small file that decides what is restored', () => {
  const index = (n: number) => ({ [`tf/ckpt-${n}.index`]: 'i', [`tf/ckpt-${n}.data-00000-of-00001`]: 'd' });
  const naming = (n: number) => `model_checkpoint_path: "ckpt-${n}"\nall_model_checkpoint_paths: "ckpt-${n}"\n`;

  test('is kept with each checkpoint, and names it, also where it names a newer one by then', async () => {
    const bench = new Bench();
    for (const [path, content] of Object.entries({ ...index(1), ...index(2), 'tf/checkpoint': naming(2) }))
      bench.write(path, content);
    await bench.look();
    expect(bench.kept.map(({ content }) => content.checkpoint)).toEqual([naming(1), naming(2)]);
    expect(bench.kept.map(({ files }) => files.length)).toEqual([3, 3]);
    bench.write('tf/checkpoint', naming(1));
    await bench.look();
    expect(bench.taken).toHaveLength(2);
  });

  test('makes no checkpoint by itself, and is left out where nothing is named by it', async () => {
    const bench = new Bench();
    bench.write('tf/checkpoint', naming(1));
    bench.write('out/latest', 'x');
    bench.write('out/model_1.pt', 'm');
    await bench.look();
    expect(bench.kept.map(({ content }) => content)).toEqual([{ 'out/model_1.pt': 'm' }].map(() => expect.any(Object)));
    expect(bench.kept[0]!.files).toHaveLength(1);
  });

  test('of DeepSpeed and Megatron lies beside their folders', async () => {
    const bench = new Bench();
    bench.write('ds/global_step10/mp_rank_00_model_states.pt', 'm');
    bench.write('ds/latest', 'global_step10');
    bench.write('mg/iter_0000020/mp_rank_00/model_optim_rng.pt', 'm');
    bench.write('mg/latest_checkpointed_iteration.txt', '20');
    await bench.look();
    const named = bench.kept.map(({ content }) => content.latest ?? content['latest_checkpointed_iteration.txt']);
    // Files written within one tick of the clock have no order.
    expect(named.sort()).toEqual(['20', 'global_step10']);
  });

  test('of Keras holds the epoch, and is a part without which nothing is taken', async () => {
    const bench = new Bench();
    bench.write('backup/training_metadata.json', '{"epoch": 2}');
    expect(await bench.look()).not.toBeNull();
    expect(bench.taken).toEqual([]);
    bench.write('backup/latest.weights.h5', 'w');
    await bench.look();
    expect(Object.keys(bench.kept[0]!.content).sort()).toEqual(['latest.weights.h5', 'training_metadata.json']);
  });
});
