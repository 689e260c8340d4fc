/**
 * Tolerance zero: a run that was interrupted and resumed ends with the same bits as one that was not. By default a sample in which
 * each value of each axis occurs; `npm run test:full` runs the whole matrix.
 */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tensorflowVariables } from '../../daemon/backend-selection/tensorflow.ts';
import { digestOf } from '../../daemon/store/checkpoints/writer.ts';
import type { Launch } from '../../protocol/session.ts';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { environmentsMade } from '../support/environments-made.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { FULL, sample, sampleOfEach } from '../support/sample.ts';
import { realTensorFlow } from '../support/tensorflow.ts';
import {
  events,
  inbox,
  losses,
  makeLaunch,
  output,
  resumeFrom,
  startTrainer,
  type Trained,
  train,
  WEBGPU_PACKAGE,
} from '../support/trainer.ts';

const MODELS = ['conv', 'lstm', 'transformer'] as const;
const OPTIMIZERS = ['sgd', 'momentum', 'adam', 'adamw', 'rmsprop'] as const;
/** Steps from which the resume starts; an epoch has six steps. */
const PLACES = { 'mid-epoch': 8, 'epoch end': 12, 'after an epoch': 12 } as const;
const WAYS = ['SIGKILL', 'pause'] as const;

await environmentsMade();
const TENSORFLOW = realTensorFlow();
const BACKENDS = {
  wasm: {},
  cpu: { backend: 'cpu' },
  'wasm with two threads': { backendOptions: { from: null, threads: 2 } },
  'the TensorFlow of pip': { backend: 'tensorflow', backendOptions: { from: TENSORFLOW?.folder ?? null, threads: 1 } },
  'webgpu, by SwiftShader': { backend: 'webgpu', backendOptions: { from: WEBGPU_PACKAGE, threads: 1 } },
} satisfies Record<string, Partial<Launch>>;
type Backend = keyof typeof BACKENDS;

interface Case {
  model: (typeof MODELS)[number];
  optimizer: (typeof OPTIMIZERS)[number];
  place: keyof typeof PLACES;
  way: (typeof WAYS)[number];
  backend: Backend;
}

const all: Case[] = MODELS.flatMap((model) =>
  OPTIMIZERS.flatMap((optimizer) =>
    (Object.keys(PLACES) as Case['place'][]).flatMap((place) =>
      WAYS.map((way) => ({ model, optimizer, place, way, backend: 'wasm' as const })),
    ),
  ),
);
const onTensorFlow: Case[] = all.map((item) => ({ ...item, backend: 'the TensorFlow of pip' }));
const OTHERS = ['cpu', 'wasm with two threads', 'webgpu, by SwiftShader', 'the TensorFlow of pip'] as const;
const onOthers: Case[] = OTHERS.flatMap((backend, j) =>
  MODELS.map((model, i) => ({
    model,
    optimizer: OPTIMIZERS[i + 2]!,
    place: 'mid-epoch',
    way: WAYS[(i + j) % 2]!,
    backend,
  })),
);
/** Sample in which each value of each axis occurs, along a drawn diagonal of the matrix. */
const [shift] = sample(OPTIMIZERS.map((_, i) => i)) as [number];
const diagonal = OPTIMIZERS.map(
  (optimizer, i): Case => ({
    model: MODELS[(i + shift) % 3]!,
    optimizer,
    place: (Object.keys(PLACES) as Case['place'][])[(i + Math.floor(i / 3)) % 3]!,
    way: WAYS[(i + shift) % 2]!,
    backend: 'wasm',
  }),
);

/** Tells whether a case takes half a minute: SwiftShader is slow at each operation. One of these stays in each run of the tests. */
const isSlow = ({ backend, model }: Case) => backend.startsWith('webgpu') && model !== 'conv';

const cases = FULL
  ? [...all, ...onTensorFlow, ...onOthers]
  : [
      ...diagonal,
      ...sampleOfEach(
        onOthers.filter((item) => !isSlow(item)),
        ({ backend }) => backend,
      ),
    ];
const GPU = softwareGpu(false);
const VARIABLES = { ...GPU, ...(TENSORFLOW ? tensorflowVariables(TENSORFLOW.folder, {}) : {}) };

describe('interrupted and resumed = not interrupted', () => {
  for (const item of cases) {
    const name = `${item.model}, ${item.optimizer}, ${item.place}, by ${item.way}, on ${item.backend}`;
    const isMissing =
      (item.backend.startsWith('webgpu') && !GPU) || (item.backend.startsWith('the Tens') && !TENSORFLOW);
    test.skipIf(isMissing)(name, () => compare(item));
  }
});

test('threads of wasm change no bits', async () => {
  const sessions = join(temporaryFolder(), 'sessions');
  const [one, two] = await Promise.all(
    (['wasm', 'wasm with two threads'] as const).map((backend, i) =>
      finished(train(sessions, { ...makeLaunch(BACKENDS[backend]), session: `threads${i}` })),
    ),
  );
  expect(digestOf(inbox(two!).at(-1)!.path)).toBe(digestOf(inbox(one!).at(-1)!.path));
});

async function compare(item: Case): Promise<void> {
  const sessions = join(temporaryFolder(), 'sessions');
  // SwiftShader needs seconds for a step: it stops an epoch earlier.
  const epochs = item.backend.startsWith('webgpu') ? { epochs: 2 } : {};
  const params = { model: item.model, optimizer: item.optimizer, ...epochs };
  const launch = makeLaunch({ params, ...BACKENDS[item.backend] });
  const whole = await finished(trainIt(sessions, launch));
  const interrupted =
    item.way === 'SIGKILL' ? await killed(sessions, launch, item) : await paused(sessions, launch, item);
  const checkpoint = inbox(interrupted).find(
    // One that is due at the last step of an epoch waits for the epoch's end.
    ({ facts }) => facts.step === PLACES[item.place] && (item.place === 'mid-epoch') === (facts.batch !== 0),
  );
  expect(checkpoint, `a checkpoint ${item.place}`).toBeDefined();
  const resumed = await finished(trainIt(sessions, resumeFrom(launch, checkpoint!)));
  expect(losses(resumed)).toEqual(losses(whole).slice(PLACES[item.place]));
  expect(digestOf(inbox(resumed).at(-1)!.path)).toBe(digestOf(inbox(whole).at(-1)!.path));
}

/** Trains with a checkpoint at the place, then kills itself two steps later, in the middle of a step. */
async function killed(sessions: string, launch: Launch, { place }: Case) {
  const step = PLACES[place];
  const policy =
    place === 'after an epoch' ? { everyEpochs: 2, everySteps: null } : { everyEpochs: null, everySteps: step };
  const session = `${launch.session}k`;
  // Slow enough that the copy is done when the kill comes; writing it is waited for.
  const inbox = join(sessions, session, 'inbox');
  const { directory, signal } = await trainIt(sessions, {
    ...launch,
    session,
    params: { ...launch.params, slow: 25, killAt: step + 3, marker: join(sessions, 'killed'), inbox },
    checkpoint: { everySeconds: 0, onBest: false, ...policy },
  });
  expect(signal).toBe('SIGKILL');
  return directory;
}

async function paused(sessions: string, launch: Launch, { place }: Case) {
  const step = PLACES[place];
  // The request exists before the step is reached; a pause exactly at a step needs a slow trainer.
  const policy =
    place === 'after an epoch' ? { everyEpochs: 2, everySteps: null } : { everyEpochs: null, everySteps: step };
  const slow: Launch = {
    ...launch,
    session: `${launch.session}p`,
    params: { ...launch.params, slow: 25 },
    checkpoint: { everySeconds: 0, onBest: false, ...policy },
  };
  const { directory, child } = startTrainer(sessions, slow, VARIABLES);
  const exited = new Promise((done) => child.once('exit', done));
  await until('the step is reached', () => losses(directory).some(([at]) => at >= step));
  directory.writeControl({ seq: 1, pause: true });
  await exited;
  expect(directory.exit()?.outcome).toBe('paused');
  expect(events(directory).some((event) => event.type === 'answered' && event.control === 1)).toBe(true);
  return directory;
}

const trainIt = (sessions: string, launch: Launch) => train(sessions, launch, VARIABLES);

async function finished(run: Promise<Trained>) {
  const { directory, code } = await run;
  expect(code, output(directory)).toBe(0);
  return directory;
}
