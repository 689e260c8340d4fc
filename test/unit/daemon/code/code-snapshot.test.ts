/** Code snapshots: files that a training writes are no code, so they do not make its runs differ. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeSnapshot } from '../../../../daemon/code/snapshot.ts';
import { ARRAY_ENDINGS, STATE_ENDINGS } from '../../../../protocol/checkpoint-endings.ts';
import { temporaryFolder } from '../../../support/folder.ts';
import { gitIn } from '../../../support/repository.ts';

test('checkpoints of every format that git does not ignore are left out, and a new script is not', async () => {
  const root = join(temporaryFolder(), 'project');
  mkdirSync(root);
  gitIn(root)('init', '-q', '-b', 'main');
  writeFileSync(join(root, 'train.py'), 'print()\n');
  const store = join(temporaryFolder(), 'store');
  mkdirSync(store);
  const { tree } = await takeSnapshot(root, store);
  for (const ending of [...STATE_ENDINGS, ...ARRAY_ENDINGS]) writeFileSync(join(root, `last.${ending}`), ending);
  expect((await takeSnapshot(root, store)).tree).toBe(tree);
  writeFileSync(join(root, 'model.py'), '');
  expect((await takeSnapshot(root, store)).tree).not.toBe(tree);
});
