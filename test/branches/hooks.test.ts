/** The hook beside those of projects and of tools that write hooks: all run, and all are as before after `remove`. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { hookAdvice, installHook, removeHook } from '../../cli/hook.ts';
import { projectWhere } from '../../protocol/messages/project.ts';
import { gitIn, makeRepository, type Repository } from '../support/repository.ts';
import { DIST } from '../support/trainer.ts';

afterEach(() => vi.unstubAllEnvs());

const COMMAND = [process.execPath, join(DIST, 'trainstash.js')];
const FILE = 'checkpoints/last.pt';
/** Log of a project's hook: the name it was called by, and whether a branch was checked out. */
const LOG = '.git/was-called';

/** Ways in which a project has its hook; each appends a line to the log. */
const HOOKS: Record<string, (root: string) => void> = {
  'a shell script': (root) =>
    write(root, '.git/hooks/post-checkout', `#!/bin/sh\nset -eu\necho "$(basename "$0") $3" >> ${LOG}\n`),
  'a shell script that has no first line for that': (root) =>
    write(root, '.git/hooks/post-checkout', `echo "$(basename "$0") $3" >> ${LOG}`),
  'a bash script with options': (root) =>
    write(root, '.git/hooks/post-checkout', `#!/usr/bin/env bash\n[[ -n $3 ]] && echo "\${0##*/} $3" >> ${LOG}\n`),
  'a program of Node, as a module, that looks for its neighbours': (root) => {
    write(root, '.git/hooks/package.json', '{ "type": "module" }', 0o644);
    write(root, '.git/hooks/lib.js', 'export const line = (name, flag) => `${name} ${flag}\\n`;\n', 0o644);
    write(
      root,
      '.git/hooks/post-checkout',
      `#!${process.execPath}
import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';
import { line } from './lib.js';
appendFileSync('${LOG}', line(basename(process.argv[1]), process.argv[4]));
`,
    );
  },
  'a Perl program': (root) =>
    write(
      root,
      '.git/hooks/post-checkout',
      `#!/usr/bin/env perl\nuse File::Basename;\nopen(my $f, '>>', '${LOG}'); print $f basename($0), " $ARGV[2]\\n";\n`,
    ),
  'a link to a script of the project that serves several hooks': (root) => {
    write(root, 'scripts/hooks', `#!/bin/sh\necho "$(basename "$0") $3" >> ${LOG}\n`);
    symlinkSync('../../scripts/hooks', join(root, '.git/hooks/post-checkout'));
  },
  'husky 9': (root) => {
    for (const name of ['post-checkout', 'pre-commit'])
      write(root, `.husky/_/${name}`, '#!/usr/bin/env sh\n. "$(dirname "$0")/h"');
    write(root, '.husky/_/.gitignore', '*', 0o644);
    write(
      root,
      '.husky/_/h',
      'n=$(basename "$0")\ns=$(dirname "$(dirname "$0")")/$n\n[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\nexit $?\n',
    );
    write(root, '.husky/post-checkout', `echo "$(basename "$0") $3" >> ${LOG}\n`, 0o644);
    execFileSync('git', ['config', 'core.hooksPath', '.husky/_'], { cwd: root });
  },
  'husky 4': (root) => {
    write(root, '.git/hooks/post-checkout', '#!/bin/sh\n# husky\n\n. "$(dirname "$0")/husky.sh"\n');
    write(root, '.git/hooks/husky.sh', `echo "$(basename "$0") $3" >> ${LOG}\n`, 0o644);
  },
};

function write(root: string, path: string, text: string, mode = 0o755): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  chmodSync(join(root, path), mode);
}

/** Returns all hooks byte for byte, with their modes. */
function hooksIn(root: string): string[] {
  return ['.git/hooks', '.git/hooks.before-trainstash', '.husky/_']
    .flatMap((folder) =>
      existsSync(join(root, folder)) ? readdirSync(join(root, folder)).map((name) => join(folder, name)) : [],
    )
    .filter((path) => !path.endsWith('.sample'))
    .map((path) => {
      const full = join(root, path);
      const stat = lstatSync(full);
      if (stat.isSymbolicLink()) return `${path} -> ${readlinkSync(full)}`;
      return `${path} ${stat.mode.toString(8)} ${stat.isFile() ? readFileSync(full, 'latin1') : ''}`;
    });
}

function clearHooks(root: string): void {
  for (const name of readdirSync(join(root, '.git/hooks'))) rmSync(join(root, '.git/hooks', name), { recursive: true });
  rmSync(join(root, '.husky'), { recursive: true, force: true });
  rmSync(join(root, LOG), { force: true });
  execFileSync('sh', ['-c', 'git config --unset core.hooksPath || :'], { cwd: root });
}

function lines(root: string): string[] {
  const path = join(root, LOG);
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

/** Makes a repository on main with a file, and `other` without it. */
async function withOther(): Promise<Repository> {
  const repository = await makeRepository();
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write(FILE, 'main');
  await repository.sync();
  return repository;
}

/** Returns the hook of this build, in a repository whose git calls reach the test's own daemon. */
async function hookOf({ root, client, fixture }: Repository) {
  vi.stubEnv('TRAINSTASH_STATE', fixture.env.TRAINSTASH_STATE!);
  const { project } = await client.request(projectWhere, { root });
  return {
    install: (shared = false) => installHook(project, root, COMMAND, shared),
    remove: (shared = false) => removeHook(project, root, shared),
    advice: () => hookAdvice(root, project),
  };
}

test('whatever the project’s hook is, it runs as it did, ours too, and after `remove` all is as before', async () => {
  const repository = await withOther();
  const { root, git } = repository;
  const hook = await hookOf(repository);
  for (const [kind, make] of Object.entries(HOOKS)) {
    clearHooks(root);
    make(root);
    const before = hooksIn(root);
    expect(hook.install(), kind).toMatchObject({ kept: true, leftover: null });
    const installed = hooksIn(root);
    expect(hook.install(), kind).toMatchObject({ kept: true });
    expect(hooksIn(root), kind).toEqual(installed);
    expect(hook.advice(), kind).toEqual([]);
    git('switch', '-q', 'other');
    // git waited for both.
    expect(repository.read(FILE), kind).toBeNull();
    git('checkout', '-q', 'other', '--', '.gitignore');
    expect(lines(root), kind).toEqual(['post-checkout 1', 'post-checkout 0']);
    git('switch', '-q', 'main');
    expect(repository.read(FILE), kind).toBe('main');
    expect(hook.remove(), kind).toBe(true);
    expect(hook.remove(), kind).toBe(false);
    expect(hooksIn(root), kind).toEqual(before);
  }
});

test('a hook that git does not run, since it is not executable, does not run with ours either', async () => {
  const repository = await withOther();
  const { root, git } = repository;
  const hook = await hookOf(repository);
  write(root, '.git/hooks/post-checkout', `#!/bin/sh\necho called >> ${LOG}\n`, 0o644);
  const before = hooksIn(root);
  expect(hook.install()).toMatchObject({ kept: false });
  hook.install();
  git('switch', '-q', 'other');
  expect(repository.read(FILE)).toBeNull();
  expect(lines(root)).toEqual([]);
  expect(hook.remove()).toBe(true);
  expect(hooksIn(root)).toEqual(before);
});

test('the exit code of the project’s hook is git’s, and a failing sync is not', async () => {
  const repository = await withOther();
  const { root, git } = repository;
  const hook = await hookOf(repository);
  write(root, '.git/hooks/post-checkout', '#!/bin/sh -eu\nexit 3\n');
  hook.install();
  expect(() => git('switch', '-q', 'other')).toThrow('Command failed');
  expect(git('branch', '--show-current')).toBe('other\n');
  hook.remove();
  write(root, '.git/hooks/post-checkout', '#!/bin/sh -eu\nexit 0\n');
  hook.install();
  vi.stubEnv('TRAINSTASH_STATE', join(root, 'trainstash.json'));
  git('switch', '-q', 'main');
});

test('a tool writes its hooks anew: `ls`, `where` and `doctor` say that ours is gone, until it is installed or removed', async () => {
  const repository = await withOther();
  const { root, fixture } = repository;
  const ok = async (...args: string[]) => (await fixture.cli(...args)).stdout;
  HOOKS['husky 9']!(root);
  const before = hooksIn(root);
  expect(await ok('hook', 'install')).toContain('own hook still runs');
  expect(await ok('ls')).not.toContain('hook');
  HOOKS['husky 9']!(root);
  expect(await ok('ls')).toMatch(/! The hook is gone: .*\.husky\/_\/post-checkout.*`trainstash hook install`/);
  expect(await ok('where')).toContain('The hook is gone');
  expect(await ok('hook', 'install')).toContain('.husky/_/post-checkout');
  expect(await ok('ls')).not.toContain('hook is gone');
  // The hooks folder has changed: git no longer looks at the old one.
  execFileSync('git', ['config', '--unset', 'core.hooksPath'], { cwd: root });
  expect(await ok('ls')).toContain('.git/hooks/post-checkout');
  expect(await ok('hook', 'remove')).toContain('Removed the hook');
  expect(hooksIn(root)).toEqual(before);
  expect(await ok('ls')).not.toContain('hook');
});

test('a tool that takes the hook over and goes on running it is no loss', async () => {
  const repository = await withOther();
  const { root, git } = repository;
  const hook = await hookOf(repository);
  hook.install();
  // pre-commit does this.
  const folder = join(root, '.git/hooks');
  renameSync(join(folder, 'post-checkout'), join(folder, 'post-checkout.legacy'));
  const own = `#!/usr/bin/env bash\nhere="$(cd "$(dirname "$0")" && pwd)"\n"$here/post-checkout.legacy" "$@"\necho own >> ${LOG}\n`;
  write(root, '.git/hooks/post-checkout', own);
  expect(hook.advice()).toEqual([]);
  expect(hook.install()).toMatchObject({ kept: true });
  git('switch', '-q', 'other');
  expect(repository.read(FILE)).toBeNull();
  expect(lines(root)).toEqual(['own']);
  expect(hook.remove()).toBe(true);
  expect(hooksIn(root)).toEqual([`.git/hooks/post-checkout 100755 ${own}`]);
});

test('a folder of hooks that serves other repositories is left alone unless asked; where there is no store nothing is done', async () => {
  const repository = await withOther();
  const { git, fixture } = repository;
  const shared = join(fixture.folder, 'hooks');
  mkdirSync(shared);
  git('config', 'core.hooksPath', shared);
  const refused = await fixture.cli('hook', 'install');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/outside this repository.*--shared/);
  expect(readdirSync(shared)).toEqual([]);
  expect((await fixture.cli('hook', 'install', '--shared')).stdout).toContain(shared);
  vi.stubEnv('TRAINSTASH_STATE', fixture.env.TRAINSTASH_STATE!);
  git('switch', '-q', 'other');
  expect(repository.read(FILE)).toBeNull();
  const stranger = join(fixture.folder, 'stranger');
  mkdirSync(stranger);
  const run = gitIn(stranger);
  run('init', '-q', '-b', 'main');
  run('config', 'core.hooksPath', shared);
  run('commit', '-q', '--allow-empty', '-m', 'start');
  const before = readdirSync(join(stranger, '.git')).sort();
  run('switch', '-q', '-c', 'other');
  expect(readdirSync(join(stranger, '.git')).sort()).toEqual(before);
  expect((await fixture.cli('hook', 'remove')).code).toBe(1);
  expect((await fixture.cli('hook', 'remove', '--shared')).stdout).toContain('Removed the hook');
  expect(readdirSync(shared)).toEqual([]);
});

test('hooks that are turned off, tracked, or call a Trainstash that is gone are said to be so', async () => {
  const repository = await withOther();
  const { root, git, client } = repository;
  const hook = await hookOf(repository);
  git('config', 'core.hooksPath', '/dev/null');
  expect(() => hook.install()).toThrow(/turned off/);
  git('config', '--unset', 'core.hooksPath');
  const { project } = await client.request(projectWhere, { root });
  installHook(project, root, [process.execPath, '/nowhere/trainstash.js'], false);
  expect(hook.advice()).toEqual([expect.stringContaining('calls /nowhere/trainstash.js')]);
  git('switch', '-q', 'other');
  hook.install();
  expect(hook.advice()).toEqual([]);
});

test('the hook of an earlier version, with the project’s own kept aside, becomes this one', async () => {
  const repository = await withOther();
  const { root, git } = repository;
  const hook = await hookOf(repository);
  const former =
    '#!/bin/sh\n# Installed by `trainstash hook install`; `trainstash hook remove` takes it away again.\nexit 0\n';
  const own = `#!/bin/sh\necho own >> ${LOG}\n`;
  write(root, '.git/hooks/post-checkout', former);
  write(root, '.git/hooks/post-checkout.before-trainstash', own);
  expect(hook.install()).toMatchObject({ kept: true, leftover: null });
  git('switch', '-q', 'other');
  expect(repository.read(FILE)).toBeNull();
  expect(lines(root)).toEqual(['own']);
  hook.remove();
  expect(hooksIn(root)).toEqual([`.git/hooks/post-checkout 100755 ${own}`]);
  // The tool has rewritten its hook, and the file set aside is a copy of it.
  write(root, '.git/hooks/post-checkout.before-trainstash', own);
  expect(hook.install()).toMatchObject({ kept: true, leftover: null });
  hook.remove();
  expect(hooksIn(root)).toEqual([`.git/hooks/post-checkout 100755 ${own}`]);
});
