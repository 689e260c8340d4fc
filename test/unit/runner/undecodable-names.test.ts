import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WatchedFiles } from '../../../runner/watched.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('files and folders whose names are not UTF-8 are named, and only where they may be checkpoints', () => {
  const root = temporaryFolder();
  const dir = temporaryFolder();
  mkdirSync(join(root, 'out'));
  const place = (name: string) => Buffer.concat([Buffer.from(`${root}/out/`), Buffer.from(name, 'latin1')]);
  writeFileSync(place('mod\xe9l_step1.pt'), 'x');
  writeFileSync(place('not\xe9s.txt'), 'x');
  mkdirSync(place('f\xfcr'));
  writeFileSync(join(root, 'out', 'm\uFFFD_step2.pt'), 'x');
  const { changed, unnameable } = new WatchedFiles({ root, dir, checkpoints: ['out/**/*.pt'] }).look(0);
  expect(changed.map(({ path }) => path)).toEqual(['out/m\uFFFD_step2.pt']);
  expect([...unnameable].sort()).toEqual(['out/f\uFFFDr', 'out/mod\uFFFDl_step1.pt']);
});
