/** Small files by which frameworks decide what they restore: taken with the checkpoint that they name, and restored with it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { restoredText, restoreFiles } from '../../../daemon/runs/launch/restore-files.ts';
import { blankCheckpointFile } from '../../../protocol/records.ts';
import { pointerText, pointsTo } from '../../../session/pointers.ts';
import { temporaryFolder } from '../../support/folder.ts';

const NEWEST = 'model_checkpoint_path: "ckpt-3"\nall_model_checkpoint_paths: "ckpt-1"\n';

test.each([
  ['tf/checkpoint', 'ckpt-3', NEWEST],
  ['tf/checkpoint', 'ckpt-3', 'model_checkpoint_path: "/data/run/ckpt-3"\n'],
  ['out/latest', 'global_step100/', 'global_step100'],
  ['out/latest_checkpointed_iteration.txt', 'iter_0000100/', '100\n'],
])('%s that names %s is kept as it is', (path, checkpoint, text) => {
  expect(pointsTo(path, checkpoint)).toBe(true);
  expect(pointerText(path, text, checkpoint)).toBe(text);
});

test.each([
  ['tf/checkpoint', 'ckpt-1', NEWEST, 'model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-1"\n'],
  ['out/latest', 'global_step50/', 'global_step100', 'global_step50'],
  ['out/latest', 'global_step50/', '', 'global_step50'],
  ['out/latest_checkpointed_iteration.txt', 'iter_0000050/', '100', '50'],
])('%s that names another one already is written for %s', (path, checkpoint, text, expected) => {
  expect(pointerText(path, text, checkpoint)).toBe(expected);
});

test.each([
  ['out/latest', 'ckpt-3'],
  ['out/latest', 'epoch_3/'],
  ['out/checkpoint', 'global_step100/'],
  ['out/notes', 'global_step100/'],
  ['out/latest_checkpointed_iteration.txt', 'iter_release/'],
])('%s says nothing of %s', (path, checkpoint) => {
  expect(pointsTo(path, checkpoint)).toBe(false);
});

function restored(project: Record<string, string>, kept: Record<string, string>) {
  const root = temporaryFolder();
  const folder = temporaryFolder();
  const write = (base: string, files: Record<string, string>) => {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(base, name)), { recursive: true });
      writeFileSync(join(base, name), content);
    }
  };
  write(root, project);
  write(folder, kept);
  const files = Object.entries(kept).map(([name, content]) => ({ name, bytes: content.length }));
  const facts = { ...blankCheckpointFile('a', 's', 1, 0), place: '', files };
  const result = restoreFiles({ root, dir: root, links: new Set() }, folder, facts);
  return { root, result, texts: restoredText(result).map(({ text }) => text) };
}

test('a resume makes the file name its checkpoint again, and says so', () => {
  const data = { 'ckpt-1.index': 'i', 'ckpt-1.data-00000-of-00001': 'd' };
  const { root, result, texts } = restored({ ...data, checkpoint: NEWEST }, { ...data, checkpoint: 'names 1' });
  expect(readFileSync(join(root, 'checkpoint'), 'utf8')).toBe('names 1');
  expect(result).toMatchObject({ checkpoint: join(root, 'ckpt-1.index'), changed: [], pointed: ['checkpoint'] });
  expect(texts).toEqual(['checkpoint named another checkpoint and names this one again.']);
});

test('files that are gone come back with the one that names them', () => {
  const { root, result } = restored({}, { 'global_step5/mp_rank_00_model_states.pt': 'm', latest: 'global_step5' });
  expect(readFileSync(join(root, 'latest'), 'utf8')).toBe('global_step5');
  expect(result).toMatchObject({ checkpoint: join(root, 'global_step5'), restored: [expect.any(String), 'latest'] });
});

test('the file stays as it is where what it would name has changed', () => {
  const kept = { 'ckpt-1.index': 'i', checkpoint: 'names 1' };
  const { root, result } = restored({ 'ckpt-1.index': 'another', checkpoint: NEWEST }, kept);
  expect(readFileSync(join(root, 'checkpoint'), 'utf8')).toBe(NEWEST);
  expect(result).toMatchObject({ changed: ['ckpt-1.index', 'checkpoint'], pointed: [] });
});
