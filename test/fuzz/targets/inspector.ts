/** Files through the inspector process: HDF5 is read by a C library that can hang or crash on a damaged file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from '../../../inspector/inspect.ts';
import { InspectorPool, inspectorSetup } from '../../../inspector/pool.ts';
import { isError } from '../../../protocol/errors.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { DIST } from '../../support/trainer.ts';
import type { FuzzTarget } from '../target.ts';

const pool = new InspectorPool(inspectorSetup(DIST));
let folder: string;

export const hdf5Files: FuzzTarget = {
  name: 'HDF5 files',
  async seeds() {
    const { default: h5wasm } = await import('h5wasm/node');
    await h5wasm.ready;
    folder = temporaryFolder();
    const path = join(folder, 'seed.h5');
    const file = new h5wasm.File(path, 'w');
    const group = file.create_group('model_weights').create_group('dense');
    group.create_dataset({ name: 'kernel', data: new Float32Array(12), shape: [3, 4], dtype: '<f4' });
    group.create_dataset({
      name: 'bias',
      data: new Float64Array(4),
      shape: [4],
      dtype: '<f8',
      chunks: [2],
      compression: 4,
    });
    file.create_attribute('keras_version', '3.15.1');
    file.close();
    return [new Uint8Array(readFileSync(path))];
  },
  words: [
    '\x89HDF\r\n\x1a\n',
    'TREE',
    'HEAP',
    'SNOD',
    'OHDR',
    'OCHK',
    'BTHD',
    'FRHP',
    'GCOL',
    [0xff, 0xff, 0xff, 0xff],
  ],
  async run(input) {
    const path = join(folder, 'input.h5');
    writeFileSync(path, input);
    try {
      await inspect(pool, 'fuzz', { path, statistics: true });
    } catch (error) {
      if (!isError(error, 'fileUnreadable')) throw error;
    }
  },
  maxBytes: 1 << 16,
  hangMs: 60_000,
  guided: false,
  close: async () => pool.close(),
};
