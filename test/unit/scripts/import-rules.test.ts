/** Imports between folders: which the linter refuses, tried with the linter itself. */
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { FREE, IMPORT_RULES, unruledFolders, withOverrides } from '../../../scripts/import-rules.ts';
import { temporaryFolder } from '../../support/folder.ts';

const ROOT = join(import.meta.dirname, '../../..');
const BIOME = join(ROOT, 'node_modules/.bin/biome');
const FOLDERS = Object.keys(IMPORT_RULES);

/** Says whether the table lets a file of `from` import a file of `to`. */
function mayImport(from: string, to: string): boolean {
  if (to === from || to.startsWith(`${from}/`)) return true;
  return IMPORT_RULES[from]!.imports.some((name) => to === name || to.startsWith(`${name}/`));
}

const pairs = FOLDERS.flatMap((from) => [...FOLDERS, ...FREE].filter((to) => to !== from).map((to) => ({ from, to })));

test('an import that the table does not list fails the check, and one that it lists passes', async () => {
  const folder = temporaryFolder();
  copyFileSync(join(ROOT, 'biome.json'), join(folder, 'biome.json'));
  pairs.forEach(({ from, to }, index) => {
    mkdirSync(join(folder, from), { recursive: true });
    const path = relative(from, `${to}/other.ts`);
    const specifier = path.startsWith('.') ? path : `./${path}`;
    writeFileSync(
      join(folder, from, `pair${index}.ts`),
      `import { other } from '${specifier}';\n\nconsole.log(other);\n`,
    );
  });
  const words = ['lint', '--only=style/noRestrictedImports', '--max-diagnostics=none', '--reporter=json', '.'];
  const run = await promisify(execFile)(BIOME, words, { cwd: folder, maxBuffer: 1 << 26 }).catch((error) => error);
  const refused = new Set(Array.from(String(run.stdout).matchAll(/[\w/-]*pair\d+\.ts/g), ([path]) => path));
  const wrong = pairs.flatMap(({ from, to }, index) => {
    const isRefused = refused.has(`${from}/pair${index}.ts`);
    return isRefused === !mayImport(from, to) ? [] : [`${from} -> ${to}: ${isRefused ? 'refused' : 'passed'}`];
  });
  expect(wrong).toEqual([]);
  // The linter reads thousands of files, on a machine that may be busy.
}, 300_000);

test('each folder with source files has a rule, or is free to import everything', () => {
  expect(unruledFolders(ROOT)).toEqual([]);
});

test('biome.json holds the rules that the table makes', () => {
  const text = readFileSync(join(ROOT, 'biome.json'), 'utf8');
  expect(JSON.parse(text)).toEqual(JSON.parse(withOverrides(text)));
});

test('each folder with more than five files has a README of at most 25 lines', () => {
  const isLong = (path: string) => readFileSync(path, 'utf8').split('\n').length > 26;
  const tops = new Set(
    [...FOLDERS, 'bench', 'docs', 'test', 'python', 'scripts'].map((folder) => folder.split('/')[0]!),
  );
  // Scripts that tests read or start, and unit tests by folder, are described in the folder above; python/README.md is the package's
  // page on PyPI.
  const isData = /(^|\/)(scripts|loop_variables|fixtures)(\/|$)|^test\/unit\//;
  const folders = [...tops]
    .flatMap((top) => [top, ...foldersBelow(top)])
    .filter((name) => name === 'scripts' || (!isData.test(name) && name !== 'python'));
  const wrong = folders.filter((folder) => {
    const entries = readdirSync(join(ROOT, folder), { withFileTypes: true });
    const path = join(ROOT, folder, 'README.md');
    const sources = entries.filter((entry) => entry.isFile() && entry.name !== 'README.md');
    return existsSync(path) ? isLong(path) : sources.length > 5;
  });
  expect(wrong).toEqual([]);
});

function foldersBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isDirectory() && !/node_modules|__pycache__|[\\/]\./.test(join(entry.parentPath, entry.name)),
    )
    .map(({ parentPath, name }) => relative(ROOT, join(parentPath, name)));
}
