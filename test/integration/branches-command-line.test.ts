import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeRepository } from '../support/repository.ts';

const LAST = 'checkpoints/last.pt';

test('sync asks once, switch waits for the files, and stash shows, restores and drops stashed files', async () => {
  const repository = await makeRepository({});
  const { fixture, git } = repository;
  const ok = async (...args: string[]) => {
    const result = await fixture.cli(...args);
    expect(result.code, `${args.join(' ')}: ${result.stderr}${result.stdout}`).toBe(0);
    for (const line of result.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(200);
    return result.stdout;
  };
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write(LAST, 'main');
  expect(await ok('sync')).toContain('The files of main are in place');
  git('switch', '-q', 'other');
  expect(await ok('sync')).toMatch(/1 file of main stay.*\n.*--follow yes/);
  git('switch', '-q', 'main');
  expect(await ok('sync', '--follow', 'yes')).toContain('✔ The files of main are in place');
  expect(await ok('switch', 'other')).toMatch(/The files of other are in place/);
  expect(repository.read(LAST)).toBeNull();
  expect(await ok('stash')).toMatch(/main\s+returns with its branch\s+1\s+4 B/);
  expect(await ok('stash', 'show', 'main')).toContain(LAST);
  const elsewhere = join(fixture.folder, 'elsewhere');
  expect(await ok('stash', 'restore', 'main', '--to', elsewhere)).toContain('1 file restored');
  expect(readFileSync(join(elsewhere, LAST), 'utf8')).toBe('main');
  expect(await ok('stash', 'drop', 'main')).toContain('in the trash for 7 days');
  expect(await ok('stash', 'list')).toContain('dropped');
  expect(await ok('stash', 'undo')).toContain('is restored to the list');
  expect(await ok('switch', '-c', 'third')).toContain('The files of third are in place');
  expect(await ok('switch', 'main')).toContain('The files of main are in place');
  expect(repository.read(LAST)).toBe('main');
  expect((await fixture.cli('switch', 'nowhere')).code).not.toBe(0);
  expect((await fixture.cli('stash', 'restore', 'nothing')).stderr).toContain('There is no stash "nothing"');
  expect((await fixture.cli('stash', 'burn')).code).toBe(2);
  expect((await fixture.cli('sync', '--follow', 'maybe')).code).toBe(2);
});

test('with the hook `git switch b && python train.py` finds its own files; an existing hook keeps working', async () => {
  const repository = await makeRepository();
  const { fixture, git, root } = repository;
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  await repository.sync();
  const hook = join(root, '.git/hooks/post-checkout');
  writeFileSync(hook, '#!/bin/sh\necho "$3" >> "$(dirname "$0")/../was-called"\nexit 0\n');
  chmodSync(hook, 0o755);
  expect((await fixture.cli('hook', 'install')).stdout).toContain("The project's own hook still runs");
  expect((await fixture.cli('hook', 'install')).code).toBe(0);

  const train = (text: string) =>
    `mkdir -p checkpoints && (cat ${LAST} 2>/dev/null || echo none) && echo ${text} > ${LAST}`;
  const shell = (script: string) =>
    execFileSync('sh', ['-c', script], { cwd: root, env: fixture.env, encoding: 'utf8' }).trim();
  shell(train('main'));
  await repository.taken(LAST);
  expect(shell(`git switch -q other && ${train('other')}`)).toBe('none');
  await repository.taken(LAST);
  expect(shell(`git switch -q main && ${train('more')}`)).toBe('main');
  await repository.taken(LAST);
  expect(shell(`git switch -q other && ${train('more')}`)).toBe('other');
  expect(readFileSync(join(root, '.git/was-called'), 'utf8').trim().split('\n')).toEqual(['1', '1', '1']);

  expect((await fixture.cli('hook', 'remove')).stdout).toContain('Removed the hook');
  expect(readFileSync(hook, 'utf8')).toContain('was-called');
  expect(existsSync(`${hook}.before-trainstash`)).toBe(false);
});

test('a hooks folder that git tracks is not written to', async () => {
  const repository = await makeRepository();
  const { fixture, git, root } = repository;
  repository.write('.githooks/pre-commit', '#!/bin/sh\n');
  git('add', '-A');
  git('commit', '-qm', 'hooks', '--no-verify');
  git('config', 'core.hooksPath', '.githooks');
  const refused = await fixture.cli('hook', 'install');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('which git tracks');
  expect(existsSync(join(root, '.githooks/post-checkout'))).toBe(false);
});
