/** A switch that is killed or meets a full disk: afterwards every file of both branches is where it belongs. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../client/connect.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { filesOf, ON_MAIN, ON_OTHER, prepareBranches, switchRounds, syncWith } from '../chaos/switches.ts';
import { BUILD } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { gitIn, makeRepository, type Repository } from '../support/repository.ts';
import { FULL, sample } from '../support/sample.ts';

/** Makes files on both branches, those of `other` stashed, with no daemon running. */
async function prepared(): Promise<Repository> {
  const repository = await makeRepository();
  await prepareBranches(repository);
  return repository;
}

async function stopDaemon({ fixture }: Repository): Promise<void> {
  const client = await connect({ name: 'test', build: BUILD, dist: null, env: fixture.env }).catch(() => null);
  if (!client) return;
  await client.request(daemonStop, {});
  await client.closed;
}

const KILLS = FULL ? 20 : 10;
/** Steps at which the daemon is killed: about twenty, or a drawn one of each few. */
const STRIDE = FULL ? 1 : 5;
const [FIRST_STEP] = sample([1, 2, 3, 4, 5]) as [number];

test('killed at each step of a switch, every file of both branches is there with its bytes', {
  timeout: 240_000,
}, async () => {
  const repository = await prepared();
  let step = FIRST_STEP;
  for (let isBack = false; ; step += STRIDE, isBack = !isBack) {
    const to = isBack ? 'main' : 'other';
    repository.git('switch', '-q', to);
    const killed = await syncWith(repository, { TRAINSTASH_CRASH_AT_STEP: String(step) }).then(
      () => false,
      () => true,
    );
    if (killed)
      expect(await syncWith(repository), `killed at step ${step}`).toMatchObject({ state: 'inPlace', inPlace: to });
    expect(filesOf(repository.root), `killed at step ${step}`).toEqual(to === 'other' ? ON_OTHER : ON_MAIN);
    expect(repository.git('status', '--porcelain')).toBe('');
    await repository.fixture.cli('daemon', 'stop');
    if (!killed) break;
  }
  // The switch went through all steps: three files each way take about twenty.
  expect(step).toBeGreaterThan(12);
});

test('killed at each step, and HEAD is back before the next start', { timeout: 240_000 }, async () => {
  const repository = await prepared();
  for (let step = FIRST_STEP; ; step += STRIDE) {
    repository.git('switch', '-q', 'other');
    const killed = await syncWith(repository, { TRAINSTASH_CRASH_AT_STEP: String(step) }).then(
      () => false,
      () => true,
    );
    // A few steps may be left.
    await stopDaemon(repository).catch(() => {});
    repository.git('switch', '-q', 'main');
    expect(await syncWith(repository), `killed at step ${step}`).toMatchObject({ state: 'inPlace', inPlace: 'main' });
    expect(filesOf(repository.root), `killed at step ${step}`).toEqual(ON_MAIN);
    await repository.fixture.cli('daemon', 'stop');
    if (!killed) break;
  }
});

test(`${KILLS} kills at random moments while branches switch: no file is lost or changed`, {
  timeout: 240_000,
}, async () => {
  expect(await switchRounds(await prepared(), KILLS, Math.random)).toEqual([]);
});

test('the catalog is lost in the middle of a switch: it is finished all the same', async () => {
  const repository = await prepared();
  repository.git('switch', '-q', 'other');
  await expect(syncWith(repository, { TRAINSTASH_CRASH_AT_STEP: '5' })).rejects.toThrow();
  for (const name of readdirSync(repository.fixture.store))
    if (name.startsWith('catalog.db')) rmSync(join(repository.fixture.store, name));
  expect(await syncWith(repository)).toMatchObject({ inPlace: 'other' });
  expect(filesOf(repository.root)).toEqual(ON_OTHER);
  repository.git('switch', '-q', 'main');
  await syncWith(repository);
  expect(filesOf(repository.root)).toEqual(ON_MAIN);
});

test('gc gives the shelf’s space back for what the store has; the files come back from there, times and modes too', async () => {
  const repository = await prepared();
  const path = join(repository.root, 'checkpoints/last.pt');
  const before = statSync(path);
  repository.git('switch', '-q', 'other');
  await syncWith(repository);
  const { stdout } = await repository.fixture.cli('gc', '--json');
  expect(JSON.parse(stdout).returnedBytes).toBeGreaterThanOrEqual(Object.values(ON_MAIN).join('').length);
  const shelf = join(repository.fixture.store, 'shelf');
  expect(readdirSync(shelf).flatMap((id) => readdirSync(join(shelf, id, 'files')))).toEqual([]);
  repository.git('switch', '-q', 'main');
  await syncWith(repository);
  expect(filesOf(repository.root)).toEqual(ON_MAIN);
  expect(statSync(path).mode).toBe(before.mode);
  expect(Math.abs(statSync(path).mtimeMs - before.mtimeMs)).toBeLessThan(1);
});

test('the shelf is evicted or lost: what the store has of a branch comes back from there', async () => {
  const repository = await prepared();
  repository.git('switch', '-q', 'other');
  await syncWith(repository);
  const shelf = join(repository.fixture.store, 'shelf');
  for (const id of readdirSync(shelf))
    for (const number of readdirSync(join(shelf, id, 'files'))) rmSync(join(shelf, id, 'files', number));
  repository.git('switch', '-q', 'main');
  await syncWith(repository);
  expect(filesOf(repository.root)).toEqual(ON_MAIN);
});

const canMount = process.getuid?.() === 0 && process.platform === 'linux';

test.skipIf(!canMount)(
  'the disk is full in the middle: nothing is lost, and it is finished once there is room',
  async () => {
    const repository = await prepared();
    const { store, root } = repository.fixture;
    // A branch made in this very second is identified by the file of its log, which differs in a copy.
    const made = Date.now();
    await until('the branches are three seconds old', () => Date.now() - made > 3_000);
    await syncWith(repository);
    // The whole project, store included, on a small disk of its own.
    const disk = join(repository.fixture.folder, 'disk');
    execFileSync('mkdir', [disk]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'none', disk]);
    try {
      const moved = join(disk, 'project');
      execFileSync('cp', ['-a', root, moved]);
      renameSync(root, `${root}-before`);
      const there: Repository = { ...repository, root: moved, git: gitIn(moved) };
      expect(store.startsWith(root)).toBe(true);
      await syncWith(there);
      there.git('switch', '-q', 'other');
      try {
        writeFileSync(join(disk, 'filler'), Buffer.alloc(64 << 20));
      } catch {
        // Failing is the purpose.
      }
      const full = await syncWith(there).catch((error: Error) => error);
      expect(full).toBeDefined();
      const files = { ...filesOf(there.root) };
      for (const id of readdirSync(join(moved, '.git/trainstash/shelf'))) {
        const folder = join(moved, '.git/trainstash/shelf', id, 'files');
        for (const number of readdirSync(folder)) files[`${id}/${number}`] = readFileSync(join(folder, number), 'utf8');
      }
      expect(Object.values(files).sort()).toEqual([...Object.values(ON_MAIN), ...Object.values(ON_OTHER)].sort());
      rmSync(join(disk, 'filler'));
      expect(await syncWith(there)).toMatchObject({ state: 'inPlace', inPlace: 'other' });
      expect(filesOf(there.root)).toEqual(ON_OTHER);
      there.git('switch', '-q', 'main');
      await syncWith(there);
      expect(filesOf(there.root)).toEqual(ON_MAIN);
    } finally {
      await stopDaemon(repository);
      execFileSync('umount', ['-l', disk]);
    }
  },
);

test('the user’s repository is the same before and after: objects, refs, index, hooks, worktrees, mirror push', async () => {
  const repository = await prepared();
  const { git, root } = repository;
  const mirror = join(repository.fixture.folder, 'mirror.git');
  git('init', '-q', '--bare', mirror);
  const state = () => {
    git('push', '-q', '--mirror', mirror);
    const texts = [
      git('log', '--all', '--format=%H %D'),
      git('for-each-ref'),
      git('ls-files', '-s'),
      git('status', '--porcelain'),
      git('worktree', 'list'),
      git('stash', 'list'),
      git('count-objects', '-v'),
      gitIn(mirror)('for-each-ref'),
      readdirSync(join(root, '.git')).sort().join(),
      readdirSync(join(root, '.git/hooks')).sort().join(),
      readFileSync(join(root, '.git/config'), 'utf8'),
    ];
    return createHash('sha256').update(texts.join('\0')).digest('hex');
  };
  git('switch', '-q', 'other');
  git('switch', '-q', 'main');
  const before = state();
  for (const branch of ['other', 'main', 'other', 'main']) {
    git('switch', '-q', branch);
    expect(await syncWith(repository)).toMatchObject({ state: 'inPlace', inPlace: branch });
  }
  expect(state()).toBe(before);
});
