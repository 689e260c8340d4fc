/** Makes a project of the digits example: a git repository with the packages that it needs. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '..');

export function makeDigits(project: string): void {
  mkdirSync(project, { recursive: true });
  cpSync(join(repository, 'examples/digits'), project, {
    recursive: true,
    filter: (source) => !/node_modules|tsconfig/.test(source),
  });
  symlinkSync(join(repository, 'node_modules'), join(project, 'node_modules'), 'junction');
  writeFileSync(join(project, '.gitignore'), 'node_modules\n');
  const identity = ['-c', 'user.name=demo', '-c', 'user.email=demo@example.org'];
  for (const args of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    [...identity, 'commit', '-qm', 'Digits'],
  ]) {
    const { status, stderr } = spawnSync('git', args, { cwd: project, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  }
}
