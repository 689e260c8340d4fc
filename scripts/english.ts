// Checks that doc comments name their subject first: a function's starts with a verb, a value's or type's with a noun.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folders whose doc comments are checked. A folder is added once its comments follow the rule. */
const FOLDERS: readonly string[] = [
  'protocol',
  'base',
  'client',
  'cli',
  'extension',
  'pages',
  'scripts',
  'bench',
  'test',
  'examples',
  'formats',
  'session',
  'inspector',
  'importer',
  'trainer',
  'runner',
  'webview-ui',
  'daemon',
  'python',
];

const SOURCES = '**/*.{ts,tsx,mts,mjs,js,py}';
export const OPENINGS = 'Of|What|As|By|Which|Whether|Where|How|Who|When|Those|That|Is|Has|In|From|To|With|For'.split(
  '|',
);
const IN_TYPESCRIPT = new RegExp(String.raw`/\*\*\s+(?:\*\s+)?(?:${OPENINGS.join('|')})\b`, 'g');
const IN_PYTHON = new RegExp(String.raw`^[ \t]*[rR]?"""\s*(?:${OPENINGS.join('|')})\b`, 'gm');

/** Lists the lines (from 1) on which a doc comment begins with a word that leaves its subject out. */
export function badOpenings(text: string, path: string): number[] {
  const pattern = path.endsWith('.py') ? IN_PYTHON : IN_TYPESCRIPT;
  return [...text.matchAll(pattern)].map(({ index }) => text.slice(0, index).split('\n').length);
}

/** Lists the bad openings of the checked folders as `path:line`. */
export function badOpeningsIn(root: string, folders = FOLDERS): string[] {
  return folders.flatMap((folder) =>
    globSync(`${folder}/${SOURCES}`, { cwd: root, exclude: ['**/node_modules/**'] })
      .sort()
      .flatMap((path) => badOpenings(readFileSync(join(root, path), 'utf8'), path).map((line) => `${path}:${line}`)),
  );
}
