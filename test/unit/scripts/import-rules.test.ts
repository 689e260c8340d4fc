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

const othersOf = (from: string) => [...FOLDERS, ...FREE].filter((to) => to !== from);

test('an import that the table does not list fails the check, and one that it lists passes', async () => {
  const folder = temporaryFolder();
  copyFileSync(join(ROOT, 'biome.json'), join(folder, 'biome.json'));
  // A file for each folder, with an import on each line: the linter names the line.
  for (const from of FOLDERS) {
    const specifiers = othersOf(from).map((to) => relative(from, `${to}/other.ts`));
    const lines = specifiers.map(
      (path, index) => `import { other as other${index} } from '${path.startsWith('.') ? path : `./${path}`}';`,
    );
    mkdirSync(join(folder, from), { recursive: true });
    writeFileSync(join(folder, from, 'imports.ts'), `${lines.join('\n')}\n`);
  }
  const words = ['lint', '--only=style/noRestrictedImports', '--max-diagnostics=none', '--reporter=json', '.'];
  const run = await promisify(execFile)(BIOME, words, { cwd: folder, maxBuffer: 1 << 28 }).catch((error) => error);
  const { diagnostics } = JSON.parse(run.stdout) as {
    diagnostics: { location: { path: string; start: { line: number } } }[];
  };
  const refused = new Set(diagnostics.map(({ location: { path, start } }) => `${path}:${start.line}`));
  const wrong = FOLDERS.flatMap((from) =>
    othersOf(from).flatMap((to, index) => {
      const isRefused = refused.has(`${from}/imports.ts:${index + 1}`);
      return isRefused === !mayImport(from, to) ? [] : [`${from} -> ${to}: ${isRefused ? 'refused' : 'passed'}`];
    }),
  );
  expect(wrong).toEqual([]);
});

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
  // page on PyPI, extension/media/README.md the extension's in an editor.
  const isData = /(^|\/)(scripts|loop_variables|fixtures)(\/|$)|^test\/unit\/|^extension\/media$/;
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
