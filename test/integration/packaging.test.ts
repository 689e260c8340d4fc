/** Contents of the packages for VS Code and for npm, listed without packing. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { listFiles, PackageManager } from '@vscode/vsce';
import { expect, test } from 'vitest';
import { readZip } from '../../formats/zip.ts';
import { temporaryFolder } from '../support/folder.ts';
import { readOf } from '../support/looked-into.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
test('the extension’s package has the files that its manifest names, and nothing but dist and media', async () => {
  const files = await listFiles({ cwd: ROOT, packageManager: PackageManager.None });
  const others = files.filter((file) => !/^(dist|extension\/media)\//.test(file));
  // The list has the repository's own README, whatever page is packed.
  expect(others.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
  expect(files).toContain(manifest.vsce.readmePath);
  const named = JSON.stringify(manifest).matchAll(/"(?:\.\/)?((?:dist|extension)\/[^"]+)"/g);
  for (const [, path] of named) {
    expect(existsSync(join(ROOT, path!)), path).toBe(true);
    expect(files).toContain(path);
  }
});

test('vsce packs the extension from the root of the repository, with the page that the editor shows of it', () => {
  const target = join(temporaryFolder(), 'trainstash.vsix');
  const vsce = join(ROOT, 'node_modules/@vscode/vsce/vsce');
  // It builds first, which does nothing here: the tests run on a current build.
  execFileSync(process.execPath, [vsce, 'package', '--out', target], { cwd: ROOT, stdio: 'pipe' });
  const packed = readFileSync(target);
  const { entries } = readZip(readOf(packed), packed.length);
  const names = entries.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(['extension/readme.md', 'extension/changelog.md', 'extension/package.json']),
  );
  const page = readFileSync(join(ROOT, manifest.vsce.readmePath), 'utf8');
  expect(entries.find(({ name }) => name === 'extension/readme.md')?.bytes).toBe(Buffer.byteLength(page));
  // A path in the repository leads nowhere from there.
  expect(page).not.toMatch(/\]\((?!https:)/);
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
