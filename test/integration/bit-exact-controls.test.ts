/** Shows that the bit-exact test can fail: each part of the state, left out once, changes the final bits. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../daemon/store/checkpoints/writer.ts';
import { encodeHeader } from '../../formats/safetensors.ts';
import { readHeader } from '../../formats/safetensors-reader.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { runCleanups } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { sample } from '../support/sample.ts';
import { forAllTests } from '../support/shared-fixture.ts';
import { inbox, makeLaunch, resumeFrom, train } from '../support/trainer.ts';

const STEP = 8;
type Progress = Record<string, unknown>;
type Damage = { tensors?: (name: string, bytes: Buffer) => void; progress?: (progress: Progress) => void };

const controls: Record<string, Damage> = {
  weights: {
    tensors: (name, bytes) =>
      name === 'model/0.Conv2D/kernel' && bytes.writeFloatLE(bytes.readFloatLE(0) * 1.0000002, 0),
  },
  'batch-norm statistics': { tensors: (name, bytes) => name.endsWith('moving_mean') && bytes.fill(0) },
  'Adam’s first moment': { tensors: (name, bytes) => name.startsWith('optimizer/m/') && bytes.fill(0) },
  'Adam’s second moment': { tensors: (name, bytes) => name.startsWith('optimizer/v/') && bytes.fill(0) },
  'the step counter (schedule and bias correction)': {
    progress: (progress) => {
      progress.step = STEP - 1;
    },
  },
  'the random numbers (dropout)': {
    progress: (progress) => {
      progress.random = [1, 2, 3, 4];
    },
  },
  'the place in the epoch (data order)': {
    progress: (progress) => {
      progress.batch = 1;
    },
  },
  'the epoch': {
    progress: (progress) => {
      progress.epoch = 0;
    },
  },
  'best metric': {
    progress: (progress) => {
      progress.best = { value: -1, step: 1 };
    },
  },
};

const launch = makeLaunch({
  params: { model: 'conv', slow: 5 },
  checkpoint: { everySeconds: 0, everySteps: STEP, everyEpochs: null, onBest: false },
});
let sessions = '';
let checkpoint: ReturnType<typeof inbox>[number];
let final = '';

beforeAll(async () => {
  sessions = forAllTests(temporaryFolder);
  const whole = (await forAllTests(() => train(sessions, launch))).directory;
  checkpoint = inbox(whole).find(({ facts }) => facts.step === STEP)!;
  final = digestOf(inbox(whole).at(-1)!.path);
});
afterAll(runCleanups);

test('with all of it the final state is the same', async () => {
  const exact = (await train(sessions, resumeFrom(launch, checkpoint))).directory;
  expect(digestOf(inbox(exact).at(-1)!.path)).toBe(final);
});

for (const [name, damage] of sample(Object.entries(controls), 3)) {
  test(`without ${name} the final state differs`, async () => {
    const path = join(temporaryFolder(), 'damaged');
    cpSync(checkpoint.path, path, { recursive: true });
    rewrite(join(path, STATE_FILE), damage);
    const damaged = (await train(sessions, resumeFrom(launch, { ...checkpoint, path }))).directory;
    expect(damaged.exit()?.outcome).toBe('completed');
    expect(digestOf(inbox(damaged).at(-1)!.path)).not.toBe(final);
  });
}

function rewrite(path: string, damage: Damage): void {
  const file = readFileSync(path);
  const header = readHeader((offset, length) => file.subarray(offset, offset + length), file.length);
  const progress = JSON.parse(header.metadata['trainstash.progress']!) as Progress;
  damage.progress?.(progress);
  for (const { name, offset, bytes } of header.tensors) damage.tensors?.(name, file.subarray(offset, offset + bytes));
  const head = encodeHeader(header.tensors, { 'trainstash.progress': JSON.stringify(progress) });
  writeFileSync(path, Buffer.concat([head, file.subarray(header.dataOffset)]));
}
