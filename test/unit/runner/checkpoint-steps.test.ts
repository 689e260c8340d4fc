/** Steps of the checkpoints that files become, and the small file that says what is restored. */
import { describe, expect, test } from 'vitest';
import { Bench, safetensors } from '../../support/collected.ts';

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
