/** Locations and names of files: worktrees, links, other devices, odd names. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connect } from '../../client/connect.ts';
import { branchFollow, branchSync, stashRestore } from '../../protocol/messages/branch.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { storeGc } from '../../protocol/messages/store.ts';
import { BUILD } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { gitIn, makeRepository, type Repository, stashesOf } from '../support/repository.ts';
import { FULL } from '../support/sample.ts';

/** Makes a branch that is old enough for files not to stay when it is checked out. */
async function withOther(repository: Repository): Promise<void> {
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  await repository.sync();
}

async function thereAndBack(repository: Repository, between: () => void = () => {}): Promise<void> {
  repository.git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'other' });
  between();
  repository.git('switch', '-q', 'main');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'main', conflicts: [] });
}

test('each worktree has its own files, and one store; what a removed one had is offered', async () => {
  const repository = await makeRepository();
  const { git, client, fixture } = repository;
  repository.write('checkpoints/last.pt', 'main worktree');
  const linked = join(fixture.folder, 'linked');
  git('worktree', 'add', '-q', '-b', 'side', linked);
  const side = { root: linked, git: gitIn(linked) };
  await client.request(projectOpen, { root: linked, trusted: true });
  expect(await client.request(branchSync, { root: linked })).toMatchObject({ branch: 'side', inPlace: 'side' });
  mkdirSync(join(linked, 'checkpoints'));
  writeFileSync(join(linked, 'checkpoints/last.pt'), 'linked worktree');
  side.git('commit', '-q', '--allow-empty', '-m', 'x');
  side.git('switch', '-q', '--orphan', 'lonely');
  expect(await client.request(branchSync, { root: linked })).toMatchObject({ inPlace: 'lonely' });
  expect(repository.read('checkpoints/last.pt')).toBe('main worktree');
  expect(await repository.sync()).toMatchObject({ inPlace: 'main' });
  side.git('switch', '-q', 'side');
  await client.request(branchSync, { root: linked });
  expect(readFileSync(join(linked, 'checkpoints/last.pt'), 'utf8')).toBe('linked worktree');
  expect(readdirSync(join(fixture.store, 'worktrees'))).toHaveLength(2);

  await repository.taken('checkpoints/last.pt');
  await until('both are in the store', () => {
    const text = execFileSync('sh', ['-c', 'cat */files.json'], {
      cwd: join(fixture.store, 'worktrees'),
      encoding: 'utf8',
    });
    return !text.includes('"saved":null') && text.match(/"saved"/g)?.length === 2;
  });
  git('worktree', 'remove', linked);
  expect(existsSync(linked)).toBe(false);
  const offered = await until('its files are offered', async () =>
    (await stashesOf(repository)).find(({ reason }) => reason === 'vanished'),
  );
  expect(offered).toMatchObject({ branch: 'side', files: 1 });
  rmSync(join(repository.root, 'checkpoints/last.pt'));
  await client.request(stashRestore, { root: repository.root, stash: offered.id });
  expect(repository.read('checkpoints/last.pt')).toBe('linked worktree');
});

test('branch names with slashes, spaces in files, Unicode, and names that differ in case', async () => {
  const repository = await makeRepository();
  const { git } = repository;
  const branches = ['feature/deep/er', 'Feature', 'feature-ü-模型', 'a'];
  for (const branch of branches) git('branch', branch);
  git('commit', '-q', '--allow-empty', '-m', 'on');
  await repository.sync();
  const path = 'checkpoints/with space/模型 é.pt';
  repository.write(path, 'main');
  for (const branch of branches) {
    git('switch', '-q', branch);
    expect(await repository.sync()).toMatchObject({ inPlace: branch });
    expect(repository.read(path)).toBeNull();
    repository.write(path, branch);
  }
  for (const branch of [...branches, 'main']) {
    git('switch', '-q', branch);
    await repository.sync();
    expect(repository.read(path)).toBe(branch);
  }
});

test('file names that are not UTF-8 go and come back', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  const folder = Buffer.from(join(repository.root, 'checkpoints'));
  mkdirSync(folder, { recursive: true });
  const path = Buffer.concat([folder, Buffer.from([0x2f, 0xff, 0xfe, 0x2e, 0x70, 0x74])]);
  writeFileSync(path, 'bytes');
  await thereAndBack(repository, () => expect(existsSync(path)).toBe(false));
  expect(readFileSync(path, 'utf8')).toBe('bytes');
});

test('read-only files, hard links and times stay what they are', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  repository.write('checkpoints/a.pt', 'a');
  const a = join(repository.root, 'checkpoints/a.pt');
  const outside = join(repository.fixture.folder, 'outside.pt');
  linkSync(a, outside);
  chmodSync(a, 0o444);
  const before = statSync(a);
  await thereAndBack(repository, () => expect(existsSync(a)).toBe(false));
  expect(statSync(a)).toMatchObject({ ino: before.ino, mode: before.mode, mtimeMs: before.mtimeMs, nlink: 2 });
  expect(readFileSync(outside, 'utf8')).toBe('a');
});

test('a sparse file of 10 GiB moves at once', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  repository.write('checkpoints/huge.pt', 'x');
  truncateSync(join(repository.root, 'checkpoints/huge.pt'), 10 * 2 ** 30);
  await thereAndBack(repository, () => expect(repository.read('checkpoints/huge.pt')).toBeNull());
  expect(statSync(join(repository.root, 'checkpoints/huge.pt')).size).toBe(10 * 2 ** 30);
});

test('a folder that is a link means its target: files in it move, the link stays', async () => {
  const repository = await makeRepository();
  writeFileSync(join(repository.root, '.gitignore'), 'checkpoints\n');
  repository.git('commit', '-qam', 'ignore the link');
  await withOther(repository);
  const big = join(repository.fixture.folder, 'big-disk');
  mkdirSync(big);
  symlinkSync(big, join(repository.root, 'checkpoints'));
  repository.write('checkpoints/last.pt', 'main');
  await thereAndBack(repository, () => expect(readdirSync(big)).toEqual([]));
  expect(readFileSync(join(big, 'last.pt'), 'utf8')).toBe('main');
});

const canMount = process.getuid?.() === 0 && process.platform === 'linux';

test.skipIf(!canMount)('a folder on another device: files leave through the store, and come back from it', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  const folder = join(repository.root, 'checkpoints');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', folder]);
  try {
    repository.write('checkpoints/deep/last.pt', 'main');
    repository.write('checkpoints/best.pt', 'best of main');
    await thereAndBack(repository, () => {
      expect(repository.read('checkpoints/deep/last.pt')).toBeNull();
      expect(repository.read('checkpoints/best.pt')).toBeNull();
    });
    expect(repository.read('checkpoints/deep/last.pt')).toBe('main');
    expect(repository.read('checkpoints/best.pt')).toBe('best of main');
  } finally {
    execFileSync('umount', ['-l', folder]);
  }
});

/** Number of small files: what grows faster than they do is seen at a twentieth of them, too. */
const MANY = FULL ? 100_000 : 5_000;

test(`${MANY} small files go and come back`, { timeout: 240_000 }, async () => {
  const repository = await makeRepository({ follow: undefined });
  await withOther(repository);
  mkdirSync(join(repository.root, 'checkpoints'));
  for (let i = 0; i < MANY; i++) writeFileSync(join(repository.root, `checkpoints/shard-${i}.pt`), `${i}`);
  repository.git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'ask' });
  const answer = { root: repository.root, follow: true };
  expect(await repository.client.request(branchFollow, answer)).toMatchObject({ state: 'inPlace' });
  expect(readdirSync(join(repository.root, 'checkpoints'))).toEqual([]);
  repository.git('switch', '-q', 'main');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace' });
  expect(repository.read(`checkpoints/shard-${MANY - 1}.pt`)).toBe(`${MANY - 1}`);
});

test('packed refs, a sparse checkout and a submodule change nothing', async () => {
  const repository = await makeRepository();
  const { git, root, fixture } = repository;
  const sub = join(fixture.folder, 'sub');
  mkdirSync(sub);
  writeFileSync(join(sub, 'weights.pt'), 'of the submodule');
  const inSub = gitIn(sub);
  inSub('init', '-q', '-b', 'main');
  inSub('add', '-A');
  inSub('commit', '-qm', 'weights');
  git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', sub, 'checkpoints-sub');
  writeFileSync(join(root, 'trainstash.json'), JSON.stringify({ files: ['**/*.pt'] }));
  repository.write('code/a.txt', 'a');
  git('add', '-A');
  git('commit', '-qm', 'submodule');
  await withOther(repository);
  git('pack-refs', '--all', '--prune');
  git('sparse-checkout', 'set', '--no-cone', '/*', '!/code/');
  repository.write('checkpoints/last.pt', 'main');
  await thereAndBack(repository, () => expect(repository.read('checkpoints/last.pt')).toBeNull());
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  expect(repository.read('checkpoints-sub/weights.pt')).toBe('of the submodule');
  expect(git('status', '--porcelain')).toBe('');
});

test('a repository that is moved or deleted while it is watched leaves the daemon alive', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  repository.write('checkpoints/last.pt', 'main');
  await repository.taken('checkpoints/last.pt');
  const moved = `${repository.root}-moved`;
  renameSync(repository.root, moved);
  await expect(repository.sync()).rejects.toMatchObject({ code: 'notFound' });
  await repository.client.request(projectOpen, { root: moved, trusted: true });
  gitIn(moved)('switch', '-q', 'other');
  const client = await connect({ name: 'test', build: BUILD, dist: null, env: repository.fixture.env });
  expect(await client.request(branchSync, { root: moved })).toMatchObject({ branch: 'other', state: 'inPlace' });
  rmSync(moved, { recursive: true });
  await expect(client.request(branchSync, { root: moved })).rejects.toMatchObject({ code: 'notFound' });
  client.close();
});

test('a folder whose .git is gone for a while gets no new one, and has its store again afterwards', async () => {
  const repository = await makeRepository();
  const dot = join(repository.root, '.git');
  const aside = join(repository.fixture.folder, 'aside.git');
  await repository.sync();
  // With it the folder would be a project without git meanwhile.
  rmSync(join(repository.root, 'trainstash.json'));
  renameSync(dot, aside);
  await expect(repository.sync()).rejects.toMatchObject({ code: 'notFound' });
  expect(existsSync(dot)).toBe(false);
  renameSync(aside, dot);
  await repository.sync();
  repository.git('init', '-q', '--separate-git-dir', aside);
  await repository.sync();
  expect(existsSync(join(aside, 'trainstash/objects.db'))).toBe(true);
});

test('a reftable repository is followed where git knows them', async (context) => {
  const version = execFileSync('git', ['--version'], { encoding: 'utf8' });
  const [major, minor] = version.match(/\d+/g)!.map(Number) as [number, number];
  if (major < 2 || (major === 2 && minor < 45)) return context.skip();
  const repository = await makeRepository();
  repository.git('refs', 'migrate', '--ref-format=reftable');
  await withOther(repository);
  repository.write('checkpoints/last.pt', 'main');
  await thereAndBack(repository, () => expect(repository.read('checkpoints/last.pt')).toBeNull());
  expect(repository.read('checkpoints/last.pt')).toBe('main');
});

test('a bare repository is said to be one, and nothing is written to it', async () => {
  const repository = await makeRepository();
  const bare = join(repository.fixture.folder, 'bare.git');
  gitIn(repository.root)('clone', '-q', '--bare', repository.root, bare);
  const before = readdirSync(bare).sort();
  await expect(repository.client.request(projectOpen, { root: bare, trusted: true })).rejects.toMatchObject({
    code: 'gitUnusable',
    data: { reason: 'bare', path: bare },
  });
  expect(readdirSync(bare).sort()).toEqual(before);
});

test('gc while files are being taken in forgets none of them', async () => {
  const repository = await makeRepository();
  const { git, client, root } = repository;
  const paths = Array.from({ length: FULL ? 300 : 100 }, (_, i) => `checkpoints/shard-${i}.pt`);
  mkdirSync(join(root, 'checkpoints'));
  for (const path of paths) writeFileSync(join(root, path), `main ${path}`);
  let over = false;
  const collecting = (async () => {
    while (!over) {
      await client.request(storeGc, { root });
      await delay(200);
    }
  })();
  await repository.taken(...paths);
  over = true;
  await collecting;
  git('switch', '-qc', 'idea');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'idea' });
  for (const path of paths) writeFileSync(join(root, path), 'idea');
  await until('the change is seen', async () => (await repository.sync()).state === 'inPlace');
  await repository.taken(...paths);
  git('switch', '-q', 'main');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'main', conflicts: [] });
  for (const path of paths) expect(repository.read(path)).toBe(`main ${path}`);
});
