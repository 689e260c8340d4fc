import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Committed } from '../../../../daemon/code/committed.ts';
import { readHead } from '../../../../daemon/code/project.ts';
import { branchInFiles, headInFiles } from '../../../../daemon/code/reference-files.ts';
import { temporaryFolder } from '../../../support/folder.ts';

function makeRepository(...options: string[]) {
  const root = join(temporaryFolder(), 'project');
  mkdirSync(root);
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...words], {
      cwd: root,
      encoding: 'utf8',
    }).trim();
  git('init', '-q', '-b', 'main', ...options);
  const common = join(root, '.git');
  const commit = (text: string) => {
    writeFileSync(join(root, 'trainstash.json'), text);
    git('add', '-A');
    git('commit', '-qm', text);
    return git('rev-parse', 'HEAD');
  };
  return { root, common, git, commit, head: () => headInFiles(root, { gitDirectory: common, common }) };
}

test('HEAD and branches are read as git reads them: loose, packed, packed and loose, detached, in a worktree', async () => {
  const { root, common, git, commit, head } = makeRepository();
  const first = commit('1');
  expect(head()).toEqual({ branch: 'main', commit: first });
  git('branch', 'a/main');
  git('pack-refs', '--all', '--prune');
  expect(head()).toEqual({ branch: 'main', commit: first });
  expect(branchInFiles(common, 'refs/heads/a/main')).toBe(first);
  const second = commit('2');
  expect(head()).toEqual({ branch: 'main', commit: second });
  expect(branchInFiles(common, 'refs/heads/a/main')).toBe(first);
  git('switch', '-q', '--detach', first);
  expect(head()).toEqual({ branch: null, commit: first });
  const linked = `${root}-linked`;
  git('worktree', 'add', '-q', linked, 'main');
  const gitDirectory = join(common, 'worktrees/project-linked');
  expect(headInFiles(linked, { gitDirectory, common })).toEqual({ branch: 'main', commit: second });
  expect(headInFiles(linked, { gitDirectory, common })).toEqual(await readHead(linked));
});

test('what only git can tell is left to git', () => {
  const { root, common, git, commit, head } = makeRepository();
  // Unborn.
  expect(head()).toBeNull();
  commit('1');
  expect(branchInFiles(common, 'refs/heads/gone')).toBeNull();
  expect(branchInFiles(common, 'refs/heads/../../HEAD')).toBeNull();
  expect(branchInFiles(common, 'refs/heads/ain')).toBeNull();
  git('symbolic-ref', 'refs/heads/alias', 'refs/heads/main');
  expect(branchInFiles(common, 'refs/heads/alias')).toBeNull();
  git('symbolic-ref', 'HEAD', 'refs/heads/alias');
  expect(head()).toBeNull();
  // An old git makes HEAD a link.
  rmSync(join(common, 'HEAD'));
  symlinkSync('refs/heads/main', join(common, 'HEAD'));
  expect(head()).toBeNull();
  rmSync(join(common, 'HEAD'));
  writeFileSync(join(common, 'HEAD'), 'ref: refs/heads/ma');
  expect(head()).toBeNull();
  appendFileSync(join(common, 'HEAD'), 'in\n');
  expect(head()?.branch).toBe('main');
  mkdirSync(join(common, 'reftable'));
  expect(head()).toBeNull();
  rmSync(join(common, 'reftable'), { recursive: true });
  renameSync(common, `${root}-git`);
  expect(headInFiles(root, { gitDirectory: `${root}-git`, common: `${root}-git` })).toBeNull();
});

test('what a commit contains is asked for once; a branch that moves is asked about again', async () => {
  const { root, common, git, commit } = makeRepository();
  const first = commit('1');
  git('branch', 'other');
  const committed = new Committed(root, { gitDirectory: common, common });
  const read = () =>
    Promise.all([committed.text('refs/heads/main', 'trainstash.json'), committed.names('refs/heads/main')]);
  expect(await read()).toEqual(['1', ['trainstash.json']]);
  writeFileSync(join(root, 'more'), '');
  const second = commit('2');
  expect(await read()).toEqual(['2', ['more', 'trainstash.json']]);
  expect(await committed.text(first, 'trainstash.json')).toBe('1');
  expect(await committed.text('refs/heads/gone', 'trainstash.json')).toBeNull();
  expect(await committed.names('refs/heads/gone')).toEqual([]);
  // Only what was remembered can be told without the objects.
  rmSync(join(common, 'objects'), { recursive: true });
  mkdirSync(join(common, 'objects'));
  expect(await read()).toEqual(['2', ['more', 'trainstash.json']]);
  expect(await committed.text('refs/heads/other', 'trainstash.json')).toBe('1');
  expect(await committed.text(second, 'trainstash.json')).toBe('2');
  await expect(committed.text('refs/heads/other', 'more')).rejects.toMatchObject({ code: 'gitUnusable' });
});
