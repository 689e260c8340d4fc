/** A repository that git does not report is not a folder without git: each cause of this, with a real git. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { explain } from '../../../../daemon/code/failure.ts';
import { GitError, git } from '../../../../daemon/code/git.ts';
import { findProject, readHead } from '../../../../daemon/code/project.ts';
import { findRepository } from '../../../../daemon/code/repository.ts';
import { filesOfCommit } from '../../../../daemon/code/tracked.ts';
import { isAlive } from '../../../support/daemon.ts';
import { temporaryFolder, until } from '../../../support/folder.ts';
import { gitIn } from '../../../support/repository.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

function makeRepository(): { root: string; git(...args: string[]): string } {
  const root = join(temporaryFolder(), 'project');
  mkdirSync(root);
  const run = gitIn(root);
  run('init', '-q', '-b', 'main');
  writeFileSync(join(root, 'train.py'), 'print()\n');
  run('add', '-A');
  run('commit', '-qm', 'start');
  return { root, git: run };
}

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

/** Damages of a repository, and their names. */
const BROKEN: Record<string, { reason: string; needsRoot?: boolean; break(root: string): void }> = {
  'HEAD is garbage': { reason: 'damaged', break: (root) => writeFileSync(join(root, '.git/HEAD'), 'garbage') },
  'its objects are gone': {
    reason: 'damaged',
    break: (root) => rmSync(join(root, '.git/objects'), { recursive: true }),
  },
  'its configuration cannot be parsed': {
    reason: 'damaged',
    break: (root) => writeFileSync(join(root, '.git/config'), '[core\n'),
  },
  'it needs a newer git': {
    reason: 'damaged',
    break: (root) => gitIn(root)('config', 'core.repositoryformatversion', '99'),
  },
  'its .git file leads nowhere': {
    reason: 'pointsNowhere',
    break: (root) => {
      rmSync(join(root, '.git'), { recursive: true });
      writeFileSync(join(root, '.git'), 'gitdir: ../elsewhere/.git/modules/this\n');
    },
  },
  'its .git file says nothing': {
    reason: 'pointsNowhere',
    break: (root) => {
      rmSync(join(root, '.git'), { recursive: true });
      writeFileSync(join(root, '.git'), 'what?\n');
    },
  },
  'its .git is a link that leads nowhere': {
    reason: 'pointsNowhere',
    break: (root) => {
      rmSync(join(root, '.git'), { recursive: true });
      symlinkSync('/nowhere/.git', join(root, '.git'));
    },
  },
  'it says that it is bare': { reason: 'bare', break: (root) => gitIn(root)('config', 'core.bare', 'true') },
  'it belongs to somebody else': {
    reason: 'ownership',
    needsRoot: true,
    break: (root) => void execFileSync('chown', ['-R', `${NOBODY}`, root]),
  },
  'only its .git belongs to somebody else': {
    reason: 'ownership',
    needsRoot: true,
    break: (root) => chownSync(join(root, '.git'), NOBODY, NOBODY),
  },
};

describe.each(Object.entries(BROKEN))('%s', (_, { reason, needsRoot, break: breakIt }) => {
  test.skipIf(needsRoot && !isRoot)(`is told from a folder without git: ${reason}`, async () => {
    const { root } = makeRepository();
    breakIt(root);
    mkdirSync(join(root, 'deep/er'), { recursive: true });
    for (const folder of [root, join(root, 'deep/er')]) {
      const found = await findRepository(folder);
      expect(found, JSON.stringify(found)).toMatchObject({ kind: 'failed', failure: { reason } });
      await expect(findProject(folder, true)).rejects.toMatchObject({ code: 'gitUnusable', data: { reason } });
    }
    expect(existsSync(join(root, '.trainstash'))).toBe(false);
  });
});

test.skipIf(!isRoot)(
  'somebody else’s repository: git’s own words, and the way out, which is for the user to go',
  async () => {
    const { root } = makeRepository();
    execFileSync('chown', ['-R', `${NOBODY}`, root]);
    const error: Error = await findProject(root).catch((thrown) => thrown);
    expect(error.message).toContain('dubious ownership');
    expect(error.message).toContain(`git config --global --add safe.directory ${root}`);
    vi.stubEnv('GIT_CONFIG_COUNT', '1');
    vi.stubEnv('GIT_CONFIG_KEY_0', 'safe.directory');
    vi.stubEnv('GIT_CONFIG_VALUE_0', root);
    expect(await findProject(root)).toMatchObject({ root, git: true });
  },
);

test.skipIf(!isRoot)('a repository that may not be read is said to be one, by whoever may not', () => {
  const { root } = makeRepository();
  chmodSync(join(root, '.git'), 0o700);
  execFileSync('chmod', ['755', root, join(root, '..')]);
  const script = `
    import { findRepository } from ${JSON.stringify(join(import.meta.dirname, '../../../../daemon/code/repository.ts'))};
    process.setgid(${NOBODY}); process.setuid(${NOBODY});
    console.log(JSON.stringify(await findRepository(${JSON.stringify(root)})));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(JSON.parse(output)).toMatchObject({ kind: 'failed', failure: { reason: 'permission' } });
});

test.skipIf(!isRoot)(
  'a place that nothing can be stored in: its owner is told the mode, another user whose it is',
  () => {
    const { root } = makeRepository();
    execFileSync('chmod', ['755', root, join(root, '..'), join(root, '.git')]);
    const script = `
    import { requireWritable } from ${JSON.stringify(join(import.meta.dirname, '../../../../daemon/runs/writable.ts'))};
    process.setgid(${NOBODY}); process.setuid(${NOBODY});
    try { requireWritable(${JSON.stringify(join(root, '.git/trainstash'))}); } catch (error) { console.log(error.code, error.message); }`;
    const refusal = () => execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const others = refusal();
    expect(others).toMatch(/^storeUnusable .*belongs to user 0.*chown/);
    chownSync(join(root, '.git'), NOBODY, NOBODY);
    chmodSync(join(root, '.git'), 0o555);
    const own = refusal();
    expect(own).toMatch(/^storeUnusable .*whose mode forbids.*chmod u\+rwX/);
    expect(own).not.toContain('chown');
  },
);

test('a broken repository inside a whole one is not passed over', async () => {
  const { root } = makeRepository();
  const inner = join(root, 'inner');
  mkdirSync(inner);
  gitIn(inner)('init', '-q');
  writeFileSync(join(inner, '.git/HEAD'), 'garbage');
  expect(await findRepository(inner)).toMatchObject({
    kind: 'failed',
    failure: { reason: 'damaged', path: join(inner, '.git') },
  });
  // git does not treat an empty folder of that name as a repository.
  mkdirSync(join(root, 'other/.git'), { recursive: true });
  expect(await findRepository(join(root, 'other'))).toMatchObject({ kind: 'repository', root });
});

test('a worktree whose repository was moved says where it should be; the repository goes on', async () => {
  const { root, git: run } = makeRepository();
  const linked = `${root}-linked`;
  run('worktree', 'add', '-q', '-b', 'side', linked);
  renameSync(root, `${root}-moved`);
  expect(await findRepository(linked)).toMatchObject({ kind: 'failed', failure: { reason: 'pointsNowhere' } });
  expect(await findProject(`${root}-moved`)).toMatchObject({ git: true });
});

test('locks of other git commands, packed references and a tag of the branch’s name hide nothing', async () => {
  const { root, git: run } = makeRepository();
  run('tag', 'main');
  run('pack-refs', '--all', '--prune');
  for (const name of ['index.lock', 'HEAD.lock', 'config.lock', 'packed-refs.lock', 'refs/heads/main.lock'])
    writeFileSync(join(root, '.git', name), '');
  const commit = run('rev-parse', 'refs/heads/main').trim();
  expect(await findProject(root)).toMatchObject({ root, git: true });
  expect(await readHead(root)).toEqual({ branch: 'main', commit });
  expect(await filesOfCommit(root, 'refs/heads/main')).toEqual(['train.py']);
});

test('a commit that is gone tracks nothing; one whose files cannot be listed is damage', async () => {
  const { root, git: run } = makeRepository();
  expect(await filesOfCommit(root, 'refs/heads/gone')).toEqual([]);
  expect(await filesOfCommit(root, 'd'.repeat(40))).toEqual([]);
  const tree = run('rev-parse', 'HEAD^{tree}').trim();
  rmSync(join(root, '.git/objects', tree.slice(0, 2), tree.slice(2)));
  await expect(filesOfCommit(root, 'refs/heads/main')).rejects.toMatchObject({ code: 'gitUnusable' });
  await expect(filesOfCommit(root, run('rev-parse', 'HEAD').trim())).rejects.toMatchObject({ code: 'gitUnusable' });
});

describe('git itself', () => {
  /** Uses a PATH on which `git` is that script, or missing. */
  async function withGit(script: string | null, mode = 0o755) {
    const bin = temporaryFolder();
    symlinkSync(execFileSync('which', ['sh'], { encoding: 'utf8' }).trim(), join(bin, 'sh'));
    symlinkSync(execFileSync('which', ['sleep'], { encoding: 'utf8' }).trim(), join(bin, 'sleep'));
    if (script !== null) writeFileSync(join(bin, 'git'), `#!/bin/sh\n${script}\n`, { mode });
    vi.stubEnv('PATH', bin);
    // The found version is cached.
    vi.resetModules();
    return import('../../../../daemon/code/repository.ts');
  }

  test.each([
    ['is not there', null, 0o755, 'missing'],
    ['cannot be run', 'exit 0', 0o644, 'missing'],
    ['is too old', 'echo git version 1.8.3.1', 0o755, 'tooOld'],
    ['fails at everything', 'echo broken >&2; exit 3', 0o755, 'missing'],
  ])('%s: said only where there is a repository', async (_, script, mode, reason) => {
    const { root } = makeRepository();
    const fresh = await withGit(script, mode);
    expect(await fresh.findRepository(root)).toMatchObject({ kind: 'failed', failure: { reason } });
    // Without a repository git is not needed.
    expect(await fresh.findRepository(temporaryFolder())).toEqual({ kind: 'none' });
  });

  test('that does not end is ended, with what it has started', async () => {
    const { root } = makeRepository();
    const pidFile = join(temporaryFolder(), 'pid');
    await withGit(`sleep 1000 & echo $! > ${pidFile}; wait`);
    const error: GitError = await git(['status'], { cwd: root, timeoutMs: 300 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(GitError);
    expect(error.end).toBe('timedOut');
    const pid = Number(execFileSync('/bin/cat', [pidFile], { encoding: 'utf8' }));
    await until('what it has started is gone', () => !isAlive(pid));
    expect(await explain(root, error)).toMatchObject({ reason: 'hangs' });
  });

  test('is asked about the folder, whatever GIT_DIR says', async () => {
    const { root } = makeRepository();
    const other = makeRepository().root;
    vi.stubEnv('GIT_DIR', join(other, '.git'));
    vi.stubEnv('GIT_WORK_TREE', other);
    expect(await findRepository(root)).toMatchObject({ kind: 'repository', root });
  });
});
