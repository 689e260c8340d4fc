/** Runs in a process of its own: `capture` measures checkpoints of a large state, `bare` is a plain TF.js loop. */
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { blankCheckpointFile } from '../protocol/records.ts';
import { SessionDirectory } from '../session/directory.ts';
import { startBackend } from '../trainer/backends/start.ts';
import { Capturer } from '../trainer/capture.ts';
import { losses } from '../trainer/losses.ts';
import { makeOptimizer } from '../trainer/optimizers.ts';
import { permutation } from '../trainer/random.ts';
import { initialProgress, stateVariables } from '../trainer/state.ts';
import { layers, tf } from '../trainer/tf.ts';
import { alternate, fastestBlock, rawWrite, timed } from './measure.ts';
import { makeDigitsLikeModel, syntheticDigits } from './trainer-model.ts';

const PARAMETERS = 50_000_000;
const TENSORS = 10;
const ROUNDS = 5;
const PUMP_MS = 15;

const [mode, folder, steps] = process.argv.slice(2) as [string, string, string];
const backend = await startBackend('wasm', { from: null, threads: 1 });
console.log(JSON.stringify(mode === 'capture' ? await capture() : await bare(Number(steps))));
process.exit(0);

async function capture() {
  const side = Math.round(Math.sqrt(PARAMETERS / TENSORS));
  const variables = new Map(
    Array.from({ length: TENSORS }, (_, i) => [`dense/${i}`, tf.variable(tf.fill([side, side], 0.01 * (i + 1)))]),
  );
  const optimizer = makeOptimizer({ name: 'adam', learningRate: 1e-3 }, variables);
  const state = stateVariables(variables, optimizer.slots);
  const named = () => [...state].map(([name, tensor]) => ({ name, tensor }));
  const bytes = [...state.values()].reduce((sum, tensor) => sum + tensor.size * 4, 0);
  const inbox = join(folder, 'inbox');
  mkdirSync(inbox, { recursive: true });
  const capturer = new Capturer(
    backend,
    new SessionDirectory(folder),
    pathToFileURL(resolve(import.meta.dirname, '../dist/writer-thread.js')),
  );
  const gradient = tf.fill([side, side], 0.001);
  let step = 0;
  const train = () => optimizer.apply(new Map([...variables.keys()].map((name) => [name, gradient])), 1e-3, ++step);
  train();

  const source = Buffer.alloc(bytes, 1);
  const target = Buffer.alloc(bytes, 2);
  const block = fastestBlock(folder, source.subarray(0, 256 << 20));
  const empty = () => {
    rmSync(inbox, { recursive: true });
    mkdirSync(inbox);
  };
  const stall = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round <= ROUNDS; round++) {
    let longest = 0;
    const boundary = async (work: () => unknown) => {
      longest = Math.max(longest, await timed(work));
    };
    await boundary(() =>
      capturer.begin(`stall-${round}`, blankCheckpointFile(`stall${round}`, 'bench', round, 0), named(), {
        ...initialProgress([1, 2, 3, 4], 'adam'),
        step,
      }),
    );
    for (let result = null as unknown; !result; ) {
      train();
      await boundary(() => {
        result = capturer.pump(PUMP_MS);
      });
    }
    const copying = await timed(() => source.copy(target));
    empty();
    if (round === 0) continue;
    stall.ours.push(longest);
    stall.theirs.push(copying);
  }
  const durable = await alternate(
    ROUNDS,
    async () => {
      const seconds = await timed(async () => {
        capturer.begin('durable', blankCheckpointFile('durable', 'bench', 0, 0), named(), {
          ...initialProgress([1, 2, 3, 4], 'adam'),
          step,
        });
        await capturer.drain();
      });
      empty();
      return seconds;
    },
    () => rawWrite(folder, source, block),
  );
  await capturer.close();
  return { stall, durable, bytes };
}

/** Trains as one would without Trainstash: the stock optimizer, a loss read each step, nothing kept. */
async function bare(count: number) {
  const model = makeDigitsLikeModel(layers);
  const data = syntheticDigits(tf);
  const optimizer = tf.train.adam(1e-3);
  const weights = model.trainableWeights.map((weight) => weight.read()) as never[];
  const batchSize = 64;
  const batches = Math.ceil(data.length / batchSize);
  let order = permutation(data.length, 0, 0);
  const seconds = await timed(async () => {
    for (let step = 0; step < count; step++) {
      const index = step % batches;
      if (index === 0) order = permutation(data.length, 0, step / batches);
      const { x, y } = data.batch(order.slice(index * batchSize, (index + 1) * batchSize));
      const { value, grads } = tf.variableGrads(
        () => losses.sparseSoftmaxCrossEntropy(y, model.apply(x, { training: true }) as never),
        weights,
      );
      optimizer.applyGradients(grads as never);
      await value.data();
      tf.dispose([value, x, y, ...Object.values(grads)]);
    }
  });
  return { seconds };
}
