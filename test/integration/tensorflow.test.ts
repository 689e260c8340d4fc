/** The backend on TensorFlow's real library. Its bits after a kill are in bit-exact.test.ts. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Backends } from '../../daemon/backend-selection/backends.ts';
import { tensorflowVariables } from '../../daemon/backend-selection/tensorflow.ts';
import { environmentsMade } from '../support/environments-made.ts';
import { temporaryFolder } from '../support/folder.ts';
import { realTensorFlow } from '../support/tensorflow.ts';
import { DIST, makeLaunch, train } from '../support/trainer.ts';

await environmentsMade();
const TENSORFLOW = realTensorFlow();
if (!TENSORFLOW) console.warn('TESTS OF THE TENSORFLOW BACKEND ARE SKIPPED: there is no environment with TensorFlow.');

const MODULE = `
export default {
  params: { pad: 0, size: 0 },
  data: ({ tf }) => ({ train: { x: tf.ones([4, 8, 8, 1]), y: tf.ones([4, 1]) } }),
  model: ({ layers, tf, params }) => {
    const w = tf.variable(tf.ones([16, 1]), true, 'w');
    return {
      variables: { w },
      predict: (x) => params.size
        ? tf.mul(tf.sum(tf.matMul(tf.ones([params.size, 1]), tf.ones([1, params.size]))), w)
        : tf.matMul(tf.reshape(tf.maxPool(x, 2, 2, params.pad || 'valid'), [4, -1]), w),
    };
  },
  optimizer: () => ({ name: 'sgd', learningRate: 0.1 }),
  loss: (y, p, { tf }) => tf.mean(p),
  epochs: 1,
  batchSize: 4,
};
`;

function backends(): Backends {
  return new Backends({ entry: join(DIST, 'probe.js'), build: 'test', directory: join(temporaryFolder(), 'b') });
}

/** Returns the project's folder, whose environment is the real one. */
function project(): string {
  const root = temporaryFolder();
  symlinkSync(join(TENSORFLOW!.folder, '../../../..'), join(root, '.venv'));
  return root;
}

test.runIf(TENSORFLOW)('the library of the project’s Python is tried, timed, and named with its version', async () => {
  const findings = await backends().survey(project(), { PATH: process.env.PATH ?? '' }, false);
  const finding = findings.find(({ backend }) => backend === 'tensorflow')!;
  expect(finding).toMatchObject({
    problem: null,
    missing: null,
    environment: {
      library: `TensorFlow ${TENSORFLOW!.version}`,
      flags: expect.stringContaining('DETERMINISTIC_OPS=1'),
    },
    // Set aside, and no reason against the backend.
    unsupported: ['max pool with windows that see padding only'],
  });
  expect(finding.stepMs).toBeGreaterThan(0);
});

test.runIf(TENSORFLOW)('a library that cannot be loaded is rejected with the loader’s own words', async () => {
  const root = temporaryFolder();
  const folder = join(root, '.venv/lib/python3.11/site-packages/tensorflow');
  mkdirSync(folder, { recursive: true });
  for (const name of ['cc', 'framework']) writeFileSync(join(folder, `libtensorflow_${name}.so.2`), 'no library');
  const findings = await backends().survey(root, {}, false);
  expect(findings.find(({ backend }) => backend === 'tensorflow')!.problem).toMatch(
    /cannot be loaded \(.*libtensorflow_.*(invalid ELF header|file too short)/,
  );
});

test.runIf(TENSORFLOW)('an operation that it lacks ends the training with its name and what to do', async () => {
  const exit = await trained({ pad: 1 });
  expect(exit).toMatchObject({ outcome: 'failed', error: { code: 'kernelUnsupported', data: { kernel: 'MaxPool' } } });
  expect(exit!.reason).toMatch(/cannot compute MaxPool as this model needs it: .*padding.*--backend wasm/);
});

test.runIf(TENSORFLOW)('without memory the training ends with the operation’s name and what to do', async () => {
  // 4 TB.
  const exit = await trained({ size: 1_000_000 });
  expect(exit).toMatchObject({ outcome: 'failed', error: { code: 'deviceMemory' } });
  expect(exit!.reason).toMatch(/no memory left for \w+ .*newest checkpoint is safe: make the batch smaller/);
});

async function trained(params: Record<string, number>) {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, 'train.mjs'), MODULE);
  const launch = makeLaunch({
    cwd,
    root: cwd,
    module: 'train.mjs',
    params,
    backend: 'tensorflow',
    backendOptions: { from: TENSORFLOW!.folder, threads: 1 },
  });
  const variables = tensorflowVariables(TENSORFLOW!.folder, {});
  const { directory } = await train(join(temporaryFolder(), 'sessions'), launch, variables);
  return directory.exit();
}
