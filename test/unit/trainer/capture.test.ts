/** Captures from a device, with a memory that answers when the test says so, and the real writer thread. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { blankCheckpointFile } from '../../../protocol/records.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import type { Backend, DeviceMemory } from '../../../trainer/backends/backend.ts';
import { Capturer } from '../../../trainer/capture.ts';
import { initialProgress } from '../../../trainer/state.ts';
import { tf } from '../../../trainer/tf.ts';
import { SLOT_BYTES } from '../../../trainer/writer-protocol.ts';
import { afterwards } from '../../support/cleanup.ts';
import { temporaryFolder, until } from '../../support/folder.ts';
import { DIST, makeLaunch } from '../../support/trainer.ts';

beforeAll(async () => void (await tf.setBackend('cpu')));

test('a stream whose writer has failed neither ends nor touches the checkpoint after it', async () => {
  const directory = SessionDirectory.create(join(temporaryFolder(), 'sessions'), makeLaunch());
  // The first read waits, and fails once its tensors are gone, as on a device.
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reads = 0;
  const memory: DeviceMemory = {
    kind: 'device',
    failure: () => null,
    failed: new Promise(() => {}),
    settle: async () => {},
    maxTensorBytes: Number.MAX_SAFE_INTEGER,
    async read(tensor, offset, target) {
      if (reads++ === 0) {
        await held;
        throw new Error('its tensor is gone');
      }
      const values = (await tensor.data()) as Float32Array;
      target.set(new Uint8Array(values.buffer, values.byteOffset + offset, target.length));
    },
  };
  const backend: Backend = { name: 'webgpu', environment: {}, memory };
  const capturer = new Capturer(backend, directory, pathToFileURL(join(DIST, 'writer-thread.js')));
  afterwards(() => capturer.close());
  const tensor = tf.fill([SLOT_BYTES / 4 + 1000], 0.5);
  const begin = (name: string) =>
    capturer.begin(
      name,
      blankCheckpointFile(name, 'test', 1, 0),
      [{ name: 'w', tensor }],
      initialProgress([1, 2, 3, 4], 'sgd'),
    );

  // A file is in the inbox's place: the writer fails at once.
  rmSync(directory.file('inbox'), { recursive: true });
  writeFileSync(directory.file('inbox'), '');
  begin('first');
  const failed = await until('the writer has failed', () => capturer.pump(1));
  expect(failed.error).toMatch(/ENOTDIR|EEXIST/);
  rmSync(directory.file('inbox'));
  mkdirSync(directory.file('inbox'));

  begin('second');
  release();
  expect(await capturer.drain()).toMatchObject({ name: 'second', error: null });
  expect(readdirSync(directory.file('inbox'))).toEqual(['second']);
}, 15_000);
