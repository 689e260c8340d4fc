import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FolderWatcher } from '../../../../daemon/branches/folders.ts';
import { fromText, type RawPath } from '../../../../daemon/branches/paths.ts';
import { afterwards } from '../../../support/cleanup.ts';
import { temporaryFolder, until } from '../../../support/folder.ts';

test('a folder that was removed and made again is watched again', async () => {
  const root = temporaryFolder();
  const folder = join(root, 'checkpoints');
  mkdirSync(folder);
  const seen = new Set<RawPath | null>();
  const watcher = new FolderWatcher(root, (path) => void seen.add(path));
  afterwards(() => watcher.dispose());
  const follow = () => watcher.follow([], [fromText('checkpoints')]);
  expect(follow()).toBe(true);
  expect(follow()).toBe(false);
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  expect(follow()).toBe(true);
  expect(follow()).toBe(false);
  writeFileSync(join(folder, 'new.pt'), 'x');
  await until('the new file is reported', () => seen.has(fromText('checkpoints/new.pt')));
});
