/** Checks of `trainstash doctor` that need no daemon. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { moverChecks } from '../../../cli/doctor.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('cuda-checkpoint on the PATH is named with what it is used for, and as not tried', () => {
  const folder = temporaryFolder();
  const program = join(folder, 'bin/cuda-checkpoint');
  mkdirSync(join(folder, 'bin'));
  const path = ['', join(folder, 'none'), join(folder, 'bin')].join(delimiter);
  writeFileSync(program, '', { mode: 0o644 });
  expect(moverChecks(path)).toEqual([]);
  writeFileSync(join(folder, 'cuda-checkpoint'), '', { mode: 0o755 });
  const [check] = moverChecks(`${path}${delimiter}${folder}`);
  expect(check).toMatchObject({ what: 'mover', ok: true });
  expect(check!.text).toMatch(/cuda-checkpoint moves runs .* not run with Trainstash$/);
});
