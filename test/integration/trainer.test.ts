import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestOf } from '../../daemon/store/checkpoints/writer.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { events, inbox, losses, makeLaunch, output, resumeFrom, startTrainer, train } from '../support/trainer.ts';

const EVERY_4 = { everySeconds: 0, everySteps: 4, everyEpochs: null, onBest: false };

test('without a daemon the inbox keeps the newest three and the best, not more', async () => {
  const sessions = temporaryFolder();
  const { directory } = await train(
    sessions,
    makeLaunch({
      params: { slow: 10 },
      checkpoint: { everySeconds: 0, everySteps: 1, everyEpochs: null, onBest: true },
    }),
  );
  const kept = inbox(directory).map(({ facts }) => facts);
  expect(kept.length).toBeGreaterThanOrEqual(3);
  expect(kept.length).toBeLessThanOrEqual(4);
  expect(kept.at(-1)).toMatchObject({ step: 18 });
});

test('a checkpoint due at the last step of an epoch waits for its end, and has the metrics of that epoch', async () => {
  const { directory } = await train(
    temporaryFolder(),
    makeLaunch({ checkpoint: { everySeconds: 0, everySteps: 3, everyEpochs: null, onBest: false } }),
  );
  const values = new Map(
    events(directory).flatMap((event) =>
      event.type === 'metrics' && 'val_loss' in event.values ? [[event.step, event.values.val_loss] as const] : [],
    ),
  );
  const kept = inbox(directory).map(({ facts }) => facts);
  const ends = kept.filter(({ step }) => values.has(step));
  expect(ends.length).toBeGreaterThan(1);
  for (const { step, batch, metrics } of ends)
    expect({ step, batch, value: metrics.val_loss }).toEqual({ step, batch: 0, value: values.get(step) });
  // One for each step: none of the moment before the validation.
  expect(new Set(kept.map(({ step }) => step)).size).toBe(kept.length);
});

test('SIGTERM saves at the next step and ends as paused', async () => {
  const { directory, child } = startTrainer(temporaryFolder(), makeLaunch({ params: { slow: 30 } }));
  const exited = new Promise((done) => child.once('exit', done));
  await until('some steps are done', () => losses(directory).length >= 3);
  child.kill('SIGTERM');
  await exited;
  expect(directory.exit()).toMatchObject({ outcome: 'paused', reason: 'ended by SIGTERM' });
  expect(inbox(directory).at(-1)!.facts.step).toBe(directory.exit()!.step);
});

test('an exception that is not an Error saves the last complete step, exactly', async () => {
  const sessions = temporaryFolder();
  const launch = makeLaunch({ params: { model: 'conv' } });
  const whole = (await train(sessions, launch)).directory;
  const failed = await train(sessions, { ...launch, session: 'failing', params: { model: 'conv', failAt: 9 } });
  expect(failed.code).toBe(1);
  const exit = failed.directory.exit()!;
  expect(exit).toMatchObject({ outcome: 'failed', step: 8, reason: expect.stringContaining('not even an Error') });
  const saved = inbox(failed.directory).at(-1)!;
  expect(saved.facts).toMatchObject({ step: 8, reasons: ['exception'] });
  const resumed = (await train(sessions, resumeFrom(launch, saved))).directory;
  expect(digestOf(inbox(resumed).at(-1)!.path)).toBe(digestOf(inbox(whole).at(-1)!.path));
});

test('a NaN loss is reported once, stops automatic checkpoints, and pauses if requested', async () => {
  const sessions = temporaryFolder();
  const launch = makeLaunch({ params: { nanAt: 7, slow: 5 }, checkpoint: EVERY_4 });
  const ignored = (await train(sessions, launch)).directory;
  const notices = events(ignored).filter((event) => event.type === 'notice');
  expect(notices.filter(({ code }) => code === 'nan')).toHaveLength(1);
  expect(inbox(ignored).map(({ facts }) => [facts.step, facts.reasons])).toEqual([
    [4, ['steps']],
    [18, ['end']],
  ]);

  const paused = (await train(sessions, { ...launch, session: 'pausing', onNaN: 'pause' })).directory;
  expect(paused.exit()).toMatchObject({ outcome: 'paused', step: 7 });
  expect(inbox(paused).map(({ facts }) => facts.step)).toEqual([4]);
});

test('a checkpoint that does not fit the model names the tensors and both shapes, and nothing is trained', async () => {
  const sessions = temporaryFolder();
  const launch = makeLaunch({ params: { model: 'conv' } });
  const checkpoint = inbox((await train(sessions, launch)).directory).at(-1)!;
  const other = await train(sessions, resumeFrom({ ...launch, params: { model: 'conv', units: 16 } }, checkpoint));
  expect(other.directory.exit()?.error).toMatchObject({ code: 'stateMismatch' });
  const problems = (other.directory.exit()!.error!.data as { problems: unknown[] }).problems;
  expect(problems).toContainEqual({ tensor: 'model/5.Dense/kernel', checkpoint: [64, 12], model: [64, 16] });
  expect(losses(other.directory)).toEqual([]);
});

test('another optimizer than the checkpoint’s is refused by name', async () => {
  const sessions = temporaryFolder();
  const launch = makeLaunch({ params: { optimizer: 'adam' } });
  const checkpoint = inbox((await train(sessions, launch)).directory).at(-1)!;
  const other = await train(sessions, resumeFrom({ ...launch, params: { optimizer: 'sgd' } }, checkpoint));
  expect(other.directory.exit()?.error).toMatchObject({
    code: 'preflightDiffers',
    data: { differences: [{ name: 'optimizer', checkpoint: 'adam', current: 'sgd' }] },
  });
});

test('a checkpoint of other kernels, or of another backend, is resumed only when that was accepted', async () => {
  const sessions = temporaryFolder();
  const launch = makeLaunch({ params: { model: 'transformer', epochs: 1 } });
  const { path, facts } = inbox((await train(sessions, launch)).directory).at(-1)!;
  for (const [kind, environment] of [
    ['package', { ...facts.environment, framework: 'tfjs 4.21.0, kernels 1' }],
    ['backend', { ...facts.environment, backend: 'cpu' }],
  ] as const) {
    const resume = resumeFrom(
      { ...launch, params: { ...launch.params, epochs: 2 } },
      { path, facts: { ...facts, environment } },
    );
    const refused = await train(sessions, resume);
    expect(refused.directory.exit()?.error).toMatchObject({
      code: 'preflightDiffers',
      data: { differences: [{ kind }] },
    });
    expect(losses(refused.directory)).toEqual([]);
    const accepted = await train(sessions, {
      ...resume,
      session: `${kind}accepted`,
      resume: { ...resume.resume!, accept: [kind] },
    });
    expect(accepted.directory.exit()?.outcome, output(accepted.directory)).toBe('completed');
  }
});

test('400 steps do not leak tensors or memory', async () => {
  const sessions = temporaryFolder();
  const module = join(sessions, 'counting.ts');
  writeFileSync(
    module,
    `import small from ${JSON.stringify(join(import.meta.dirname, '../trainers/small.ts'))};
     import * as tf from '@tensorflow/tfjs-core';
     const seen = [];
     export default { ...small, params: { ...small.params }, data: (context) => {
       const data = small.data(context);
       const batch = data.train.batch;
       data.train.batch = async (indices) => {
         seen.push(tf.memory().numTensors);
         if (seen.length === 400) console.log('TENSORS', seen[20], seen[399]);
         return batch(indices);
       };
       return data;
     } };`,
  );
  const { directory, code } = await train(
    sessions,
    makeLaunch({
      cwd: sessions,
      module: 'counting.ts',
      params: { model: 'conv', epochs: 70 },
      checkpoint: { ...EVERY_4, everySteps: 50 },
    }),
  );
  expect(code, output(directory)).toBe(0);
  const [, early, late] = /TENSORS (\d+) (\d+)/.exec(readFileSync(directory.file('output'), 'utf8'))!;
  // A checkpoint in flight pins a handful of tensors.
  expect(Number(late) - Number(early)).toBeLessThanOrEqual(30);
});

test('a training that leaks until memory runs out ends with a reason, and its last checkpoint is safe', async () => {
  const sessions = temporaryFolder();
  writeFileSync(
    join(sessions, 'leaking.ts'),
    `import small from ${JSON.stringify(join(import.meta.dirname, '../trainers/small.ts'))};
     import * as tf from '@tensorflow/tfjs-core';
     export default { ...small, data: (context) => {
       const data = small.data(context);
       const batch = data.train.batch;
       data.train.batch = async (indices) => {
         tf.keep(tf.zeros([64 << 20]));
         return batch(indices);
       };
       return data;
     } };`,
  );
  const { directory, code } = await train(
    sessions,
    makeLaunch({ cwd: sessions, module: 'leaking.ts', params: { epochs: 50 }, checkpoint: EVERY_4 }),
  );
  expect(code).toBe(1);
  expect(directory.exit()).toMatchObject({ outcome: 'failed' });
  expect(inbox(directory).at(-1)!.facts.step).toBeGreaterThanOrEqual(4);
});

test('gradients of several batches can make one step', async () => {
  const sessions = temporaryFolder();
  const module = join(sessions, 'accumulating.ts');
  writeFileSync(
    module,
    `import small from ${JSON.stringify(join(import.meta.dirname, '../trainers/small.ts'))};\nexport default { ...small, accumulate: 4 };`,
  );
  const launch = makeLaunch({
    cwd: sessions,
    module: 'accumulating.ts',
    params: { slow: 10 },
    checkpoint: { ...EVERY_4, everySteps: 1 },
  });
  const whole = (await train(sessions, launch)).directory;
  // An epoch of six batches has a step of four and one of two.
  expect(losses(whole)).toHaveLength(6);
  const resumed = (await train(sessions, resumeFrom(launch, inbox(whole)[0]!))).directory;
  expect(digestOf(inbox(resumed).at(-1)!.path)).toBe(digestOf(inbox(whole).at(-1)!.path));
});

test('a step of one’s own on arrays, with tf imported in three ways, resumes exactly', async () => {
  const sessions = temporaryFolder();
  writeFileSync(
    join(sessions, 'own-step.ts'),
    `import * as tf from '@tensorflow/tfjs';
     import { matMul } from '@tensorflow/tfjs-core';
     import { createRequire } from 'node:module';
     const { sub } = createRequire(import.meta.url)('@tensorflow/tfjs-core');
     export default {
       params: { epochs: 3 },
       data: (context) => {
         if (context.tf.matMul !== matMul || tf.sub !== sub) throw new Error('two copies of TensorFlow.js');
         return { train: { x: tf.randomNormal([70, 5]), y: tf.randomNormal([70, 2]) } };
       },
       model: () => ({ variables: { weight: tf.variable(tf.randomNormal([5, 2])), bias: tf.variable(tf.zeros([2])) } }),
       optimizer: () => ({ name: 'momentum', learningRate: 0.05 }),
       step: ({ x, y }, { model }) => {
         const { weight, bias } = model.variables;
         const noisy = matMul(tf.dropout(x, 0.2), weight).add(bias);
         return tf.mean(tf.square(sub(noisy, y)));
       },
       epochs: ({ params }) => params.epochs,
       batchSize: 8,
     };`,
  );
  const launch = makeLaunch({ cwd: sessions, module: 'own-step.ts', checkpoint: { ...EVERY_4, everySteps: 1 } });
  const { directory: whole, code } = await train(sessions, launch);
  expect(code, output(whole)).toBe(0);
  const [first] = inbox(whole);
  expect(first!.facts.step).toBeLessThan(27);
  const resumed = (await train(sessions, resumeFrom(launch, first!))).directory;
  expect(digestOf(inbox(resumed).at(-1)!.path)).toBe(digestOf(inbox(whole).at(-1)!.path));
  expect(inbox(resumed).at(-1)!.facts.metrics).toHaveProperty('epoch_loss');
});

test('early stopping ends the run and a resume does not start it again', async () => {
  const sessions = temporaryFolder();
  const module = join(sessions, 'stopping.ts');
  writeFileSync(
    module,
    `import small from ${JSON.stringify(join(import.meta.dirname, '../trainers/small.ts'))};\nexport default { ...small, earlyStopping: { monitor: 'max:val_loss', patience: 1 } };`,
  );
  const launch = makeLaunch({ cwd: sessions, module: 'stopping.ts', params: { epochs: 50, learningRate: 0.05 } });
  const { directory } = await train(sessions, launch);
  expect(directory.exit()?.reason).toMatch(/stopped early after epoch \d+/);
  const again = await train(sessions, resumeFrom(launch, inbox(directory).at(-1)!));
  expect(losses(again.directory)).toEqual([]);
  expect(again.directory.exit()?.outcome).toBe('completed');
});

test('a custom data source continues where it stopped', async () => {
  const sessions = temporaryFolder();
  writeFileSync(
    join(sessions, 'stream.ts'),
    `import small from ${JSON.stringify(join(import.meta.dirname, '../trainers/small.ts'))};
     export default { ...small, data: (context) => {
       const { train } = small.data(context);
       let at = 0;
       return { train: {
         batches: 6,
         async next(epoch) {
           if (at === 6) { at = 0; return null; }
           const start = (at++ * 10 + epoch * 7) % 50;
           return train.batch(Int32Array.from({ length: 10 }, (_, i) => start + i));
         },
         state: () => ({ at }),
         restore: (state) => { at = state.at; },
       } };
     } };`,
  );
  const launch = makeLaunch({
    cwd: sessions,
    module: 'stream.ts',
    params: { slow: 10 },
    checkpoint: { ...EVERY_4, everySteps: 8 },
  });
  const whole = (await train(sessions, launch)).directory;
  const checkpoint = inbox(whole)[0]!;
  const resumed = (await train(sessions, resumeFrom(launch, checkpoint))).directory;
  expect(digestOf(inbox(resumed).at(-1)!.path)).toBe(digestOf(inbox(whole).at(-1)!.path));
});
