/** Contents of the packages for VS Code and for npm, listed without packing. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { listFiles, PackageManager } from '@vscode/vsce';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
test('the extension’s package has the files that its manifest names, and nothing but dist and media', async () => {
  const files = await listFiles({ cwd: ROOT, packageManager: PackageManager.None });
  const others = files.filter((file) => !/^(dist|extension\/media)\//.test(file));
  expect(others.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
  const named = JSON.stringify(manifest).matchAll(/"(?:\.\/)?((?:dist|extension)\/[^"]+)"/g);
  for (const [, path] of named) {
    expect(existsSync(join(ROOT, path!)), path).toBe(true);
    expect(files).toContain(path);
  }
});

test('npm’s package has the command line and the type for training modules, and not the extension', () => {
  const said = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const files = (JSON.parse(said)[0].files as { path: string }[]).map(({ path }) => path);
  expect(files).toEqual(
    expect.arrayContaining(['dist/trainstash.js', 'dist/daemon.js', 'dist/python/trainstash/run.py']),
  );
  const others = files.filter((path) => !path.startsWith('dist/'));
  expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json', 'trainer/training.ts']);
  expect(files.filter((path) => path.startsWith('dist/extension'))).toEqual([]);
});
