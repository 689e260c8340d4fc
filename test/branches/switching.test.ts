import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { branchFollow, stashDrop, stashRestore, stashShow } from '../../protocol/messages/branch.ts';
import { until } from '../support/folder.ts';
import { gitIn, makeRepository, type Repository, stashesOf } from '../support/repository.ts';

const LAST = 'checkpoints/last.pt';
const BEST = 'checkpoints/deep/best.pt';

async function withState(repository: Repository): Promise<void> {
  repository.write(LAST, 'main: last');
  repository.write(BEST, 'main: best');
  await repository.sync();
}

function expectMain(repository: Repository): void {
  expect(repository.read(LAST)).toBe('main: last');
  expect(repository.read(BEST)).toBe('main: best');
}

test('files of a branch leave with it and come back, every byte, by a mere git switch', async () => {
  const repository = await makeRepository();
  await withState(repository);
  repository.git('branch', 'urgent-fix');
  await repository.sync();
  repository.git('switch', '-q', 'urgent-fix');
  // The daemon is not asked: it sees HEAD move. A branch that was made here starts with its parent's files.
  await until('inPlace is urgent-fix', async () => (await repository.sync()).inPlace === 'urgent-fix');
  expectMain(repository);
  repository.write(LAST, 'fix: last');
  repository.git('switch', '-q', 'main');
  await until('main is back', () => repository.read(LAST) === 'main: last' && repository.read(BEST) !== null);
  expectMain(repository);
  repository.git('switch', '-q', 'urgent-fix');
  await until('the fix is back', () => repository.read(LAST) === 'fix: last' && repository.read(BEST) !== null);
  expect(repository.read(BEST)).toBe('main: best');
});

test('nobody was asked yet: nothing moves, and sync says so at once; after yes files follow, after no they stay', async () => {
  const repository = await makeRepository({});
  repository.write(LAST, 'main: last');
  await repository.sync();
  repository.git('switch', '-q', '--orphan', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'ask', inPlace: 'main', branch: 'other' });
  expect(repository.read(LAST)).toBe('main: last');
  const yes = await repository.client.request(branchFollow, { root: repository.root, follow: true });
  expect(yes).toMatchObject({ state: 'inPlace', inPlace: 'other' });
  expect(repository.read(LAST)).toBeNull();
  repository.git('switch', '-q', 'main');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace' });
  expect(repository.read(LAST)).toBe('main: last');
  await repository.client.request(branchFollow, { root: repository.root, follow: false });
  repository.git('switch', '-q', '--orphan', 'third');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'third' });
  expect(repository.read(LAST)).toBe('main: last');
});

test('an existing branch without a stash: files leave, none come', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'old');
  repository.git('commit', '-q', '--allow-empty', '-m', 'main goes on');
  await withState(repository);
  repository.git('switch', '-q', 'old');
  expect(await repository.sync()).toMatchObject({ inPlace: 'old' });
  expect(repository.read(LAST)).toBeNull();
  // Folders stay, so that a script need not make them.
  expect(existsSync(join(repository.root, 'checkpoints/deep'))).toBe(true);
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expectMain(repository);
});

test('git switch -c starts with the parent’s state; from then on each has its own', async () => {
  const repository = await makeRepository();
  await withState(repository);
  repository.git('switch', '-qc', 'idea');
  expect(await repository.sync()).toMatchObject({ inPlace: 'idea' });
  expectMain(repository);
  repository.write(LAST, 'idea: last');
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expectMain(repository);
  repository.git('switch', '-q', 'idea');
  await repository.sync();
  expect(repository.read(LAST)).toBe('idea: last');
  expect(repository.read(BEST)).toBe('main: best');
});

test('there and back, and several in a row, lose nothing', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'a');
  repository.git('branch', 'b');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  await withState(repository);
  repository.git('switch', '-q', 'a');
  repository.git('switch', '-q', 'main');
  expect(await repository.sync()).toMatchObject({ inPlace: 'main' });
  expectMain(repository);
  const pending = [];
  for (const branch of ['a', 'b', 'main', 'b', 'a', 'main', 'a']) {
    repository.git('switch', '-q', branch);
    pending.push(repository.sync());
  }
  await Promise.all(pending);
  expect(await repository.sync()).toMatchObject({ inPlace: 'a' });
  expect(repository.read(LAST)).toBeNull();
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expectMain(repository);
});

test('a detached HEAD moves nothing: tag, rebase with stops, bisect; from there to another branch it does', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'old');
  repository.git('tag', 'v1');
  repository.git('commit', '-q', '--allow-empty', '-m', 'two');
  repository.git('commit', '-q', '--allow-empty', '-m', 'three');
  await withState(repository);
  repository.git('checkout', '-q', 'v1');
  expect(await repository.sync()).toMatchObject({ state: 'detached', inPlace: 'main' });
  expectMain(repository);
  repository.git('switch', '-q', 'main');
  await repository.sync();
  repository.git('bisect', 'start', 'HEAD', 'v1');
  expect(await repository.sync()).toMatchObject({ state: 'detached' });
  expectMain(repository);
  repository.git('bisect', 'reset');
  await repository.sync();
  expectMain(repository);
  // A rebase that stops in the middle.
  execFileSync(
    'git',
    ['-c', 'user.name=t', '-c', 'user.email=t@e', '-c', 'sequence.editor=sed -i s/^pick/edit/', 'rebase', '-qi', 'v1'],
    {
      cwd: repository.root,
      stdio: 'pipe',
    },
  );
  expect(await repository.sync()).toMatchObject({ state: 'detached', inPlace: 'main' });
  expectMain(repository);
  repository.git('rebase', '--abort');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'main' });
  repository.git('checkout', '-q', 'v1');
  await repository.sync();
  repository.git('switch', '-q', 'old');
  expect(await repository.sync()).toMatchObject({ inPlace: 'old' });
  expect(repository.read(LAST)).toBeNull();
});

test('a branch that is renamed, checked out or not, keeps what is its own', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  await withState(repository);
  repository.git('branch', '-m', 'main', 'trunk');
  expect(await repository.sync()).toMatchObject({ inPlace: 'trunk' });
  expectMain(repository);
  repository.git('switch', '-q', 'other');
  await repository.sync();
  repository.git('branch', '-m', 'trunk', 'stem');
  repository.git('switch', '-q', 'stem');
  await repository.sync();
  expectMain(repository);
});

test('a branch that was deleted and made again under its name gets its old state offered, not put back', async () => {
  const repository = await makeRepository();
  repository.git('switch', '-qc', 'idea');
  repository.git('commit', '-q', '--allow-empty', '-m', 'an idea');
  await withState(repository);
  repository.git('switch', '-q', 'main');
  await repository.sync();
  repository.git('branch', '-qD', 'idea');
  expect(await stashesOf(repository)).toMatchObject([{ branch: 'idea', branchExists: false, files: 2 }]);
  repository.git('branch', 'idea', 'main');
  repository.git('switch', '-q', 'idea');
  await repository.sync();
  expect(repository.read(LAST)).toBeNull();
  const all = await stashesOf(repository);
  expect(all, JSON.stringify(all)).toHaveLength(1);
  const [stash] = all;
  expect(stash).toMatchObject({ branch: 'idea', automatic: false });
  const restored = await repository.client.request(stashRestore, { root: repository.root, stash: stash!.id });
  expect(restored.restored.sort()).toEqual([BEST, LAST]);
  expectMain(repository);
});

test('commit, amend, reset, cherry-pick, merge with a conflict and stash -u move nothing', async () => {
  const repository = await makeRepository();
  const { git } = repository;
  await withState(repository);
  const quiet = async (...args: string[]) => {
    try {
      git(...args);
    } catch {
      // A conflict is an exit code of 1.
    }
    expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'main' });
    expectMain(repository);
  };
  writeFileSync(join(repository.root, 'a.txt'), 'one');
  git('add', 'a.txt');
  await quiet('commit', '-qm', 'one');
  await quiet('commit', '-q', '--amend', '-m', 'one, again');
  git('branch', 'side', 'HEAD~1');
  await quiet('reset', '-q', '--hard', 'HEAD~1');
  await quiet('reset', '-q', '--hard', 'ORIG_HEAD');
  git('worktree', 'add', '-q', join(repository.fixture.folder, 'wt'), 'side');
  writeFileSync(join(repository.fixture.folder, 'wt/a.txt'), 'two');
  gitIn(join(repository.fixture.folder, 'wt'))('add', 'a.txt');
  gitIn(join(repository.fixture.folder, 'wt'))('commit', '-qm', 'two');
  await quiet('merge', '-q', 'side');
  expect(git('status', '--porcelain')).toContain('AA a.txt');
  await quiet('merge', '--abort');
  await quiet('cherry-pick', 'side');
  await quiet('cherry-pick', '--abort');
  writeFileSync(join(repository.root, 'untracked.txt'), 'x');
  await quiet('stash', '-u');
});

test('after the branch was reset or amended while it was away its state comes back all the same', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'two');
  await withState(repository);
  repository.git('switch', '-q', 'other');
  await repository.sync();
  repository.git('branch', '-f', 'main', 'main~1');
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expectMain(repository);
});

test('what git destroys without asking can be had back: clean, stash -a, a branch that tracks the path', async () => {
  const repository = await makeRepository();
  const { git } = repository;
  repository.write(LAST, 'main: last');
  repository.write(BEST, 'main: best');
  await repository.taken(LAST, BEST);
  git('clean', '-fdxq');
  expect(repository.read(LAST)).toBeNull();
  const vanished = await until('the vanished files are offered', async () =>
    (await stashesOf(repository)).find(({ reason }) => reason === 'vanished'),
  );
  const show = await repository.client.request(stashShow, { root: repository.root, stash: vanished.id });
  expect(show.files.map(({ path }) => path).sort()).toEqual([BEST, LAST]);
  await repository.client.request(stashRestore, { root: repository.root, stash: vanished.id });
  expectMain(repository);

  // B tracks a small reference model at the same path.
  await repository.taken(LAST, BEST);
  git('switch', '-q', '--orphan', 'reference');
  await repository.sync();
  repository.write(LAST, 'reference model');
  git('add', '-f', LAST);
  git('commit', '-qm', 'reference');
  git('switch', '-q', 'main');
  await repository.sync();
  expectMain(repository);
  await repository.taken(LAST, BEST);
  git('switch', '-q', 'reference');
  expect(repository.read(LAST)).toBe('reference model');
  expect(await repository.sync()).toMatchObject({ inPlace: 'reference' });
  expect(repository.read(LAST)).toBe('reference model');
  expect(git('status', '--porcelain')).toBe('');
  git('switch', '-q', 'main');
  await repository.sync();
  expectMain(repository);
});

test('tracked files, links, undeclared files and repositories inside stay where they are', async () => {
  const repository = await makeRepository();
  const { git, root } = repository;
  git('switch', '-qc', 'start');
  writeFileSync(join(root, '.gitignore'), 'checkpoints/*\n!checkpoints/.gitignore\npretrained.pt\n');
  repository.write('checkpoints/.gitignore', '*\n!.gitignore\n');
  git('add', '-A');
  git('commit', '-qm', 'tracked .gitignore');
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  await withState(repository);
  repository.write('pretrained.pt', 'nobody’s run wrote this');
  execFileSync('ln', ['-s', LAST.split('/')[1]!, 'checkpoints/latest.pt'], { cwd: root });
  mkdirSync(join(root, 'checkpoints/clone'));
  gitIn(join(root, 'checkpoints/clone'))('init', '-q');
  repository.write('checkpoints/clone/weights.pt', 'of another repository');
  git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace' });
  expect(repository.read('pretrained.pt')).toBe('nobody’s run wrote this');
  expect(repository.read('checkpoints/.gitignore')).toContain('!.gitignore');
  expect(readdirSync(join(root, 'checkpoints')).sort()).toEqual(['.gitignore', 'clone', 'deep', 'latest.pt']);
  expect(repository.read('checkpoints/clone/weights.pt')).toBe('of another repository');
  expect(git('status', '--porcelain')).toBe('');
});

test('a newer file in the way is not replaced: both are kept and named', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  await withState(repository);
  // On `other` nothing is declared, so a file written there belongs to no branch.
  repository.git('switch', '-q', 'other');
  repository.git('rm', '-q', 'trainstash.json');
  repository.git('commit', '-qm', 'no jobs');
  await repository.sync();
  repository.write(LAST, 'by hand');
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect(repository.read(LAST)).toBe('by hand');
  const [kept] = await stashesOf(repository);
  expect(kept).toMatchObject({ reason: 'conflict', files: 1, automatic: false });
  const elsewhere = join(repository.fixture.folder, 'elsewhere');
  await repository.client.request(stashRestore, { root: repository.root, stash: kept!.id, directory: elsewhere });
  expect(execFileSync('cat', [join(elsewhere, LAST)], { encoding: 'utf8' })).toBe('main: last');
  expect(await stashesOf(repository)).toHaveLength(1);
});

test('a stash is dropped to the trash, and comes back from it', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  await withState(repository);
  repository.git('switch', '-q', 'other');
  await repository.sync();
  await repository.client.request(stashDrop, { root: repository.root, stash: 'main' });
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect(repository.read(LAST)).toBeNull();
  await repository.client.request(stashDrop, { root: repository.root, undo: true });
  await repository.sync();
  expectMain(repository);
});

test('a file of the very tick of HEAD’s move may be either’s, and stays', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write(LAST, 'main: last');
  await repository.taken(LAST);
  const head = join(repository.root, '.git/HEAD');
  const path = join(repository.root, 'checkpoints/new.pt');
  const seconds = Math.floor(Date.now() / 1000);
  repository.git('switch', '-q', 'other');
  writeFileSync(path, 'in the same tick');
  // A time whose milliseconds Node rounds up.
  for (let nanos = 100_000_001; nanos < 999_999_999; nanos += 12_345_679) {
    execFileSync('touch', ['-d', `@${seconds}.${nanos}`, head, path]);
    if (statSync(head).mtimeMs > Number(statSync(head, { bigint: true }).mtimeNs) / 1e6) break;
  }
  expect(await repository.sync()).toMatchObject({ inPlace: 'other' });
  expect(repository.read('checkpoints/new.pt')).toBe('in the same tick');
});

test('files that appear after HEAD has moved stay with the branch that was entered', async () => {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write(LAST, 'main: last');
  await repository.taken(LAST);
  repository.git('switch', '-q', 'other');
  repository.write('checkpoints/new.pt', 'written right after the switch');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'other' });
  expect(repository.read('checkpoints/new.pt')).toBe('written right after the switch');
  expect(repository.read(LAST)).toBeNull();
  appendFileSync(join(repository.root, LAST), 'other');
  // If it were written in the same clock tick as HEAD's move, its branch would be unclear, and it would stay.
  await repository.taken(LAST, 'checkpoints/new.pt');
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect(repository.read(LAST)).toBe('main: last');
  expect(repository.read('checkpoints/new.pt')).toBeNull();
});
