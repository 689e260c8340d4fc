/**
 * Counts violations of the house rules, a line for each rule, and fails above zero. The doc comments are in `english.ts`, the
 * imports in `import-rules.ts`; functions in TypeScript are counted by the linter.
 */
import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { badOpeningsIn, OPENINGS } from './english.ts';
import { foldersInCircles } from './folder-circles.ts';
import { unruledFolders } from './import-rules.ts';

const MOST_LINES = 400;
const MOST_LINES_OF_A_FUNCTION = 80;
const MOST_LINES_OF_A_SCRIPT = 15;
const SOURCES = '**/*.{ts,tsx,mts,mjs,js,css,py}';
const NOT_OURS = /^(\.|node_modules$|dist$|out$|native$)/;
/** Folders whose code acts on errors. Tests may look at sentences: they are what a person reads. */
const PRODUCT =
  /^(base|cli|client|daemon|extension|formats|importer|inspector|pages|protocol|runner|session|trainer|webview-ui|python\/src)\//;

/** A text that somebody reads, asked about its words: `error.message.includes('…')`, `/…/.test(run.reason)`, `=== '…'`. */
const MATCHES_TEXT = [
  /\.(message|reason)[!?)]*\.(includes|match|startsWith|endsWith|search)\(/,
  /\.test\([^)]*\.(message|reason)\b/,
  /\.(message|reason)\)? [!=]==? ['"`]/,
  // A class is told by `instanceof`: a bundle may rename it.
  /\bconstructor\??\.name [!=]==/,
  /\bin str\((error|exception|cause)\)/,
  /\bstr\((error|exception|cause)\)\.(startswith|endswith|find|index)\(/,
];

/** Lists the lines (from 1) on which code decides by the text of a message. */
export function matchesOfText(text: string): number[] {
  return text.split('\n').flatMap((line, i) => (MATCHES_TEXT.some((pattern) => pattern.test(line)) ? [i + 1] : []));
}

/** Lists the lines (from 1) at which a string holds a longer script in Python: no editor, linter or debugger sees it there. */
export function scriptsInStrings(text: string, most = MOST_LINES_OF_A_SCRIPT): number[] {
  return [...text.matchAll(/`[^`]*`/g)]
    .filter(([literal]) => /^(import|from) \w[\w., ]*$/m.test(literal) && !/;$/m.test(literal))
    .filter(([literal]) => literal.split('\n').length - 2 > most)
    .map(({ index }) => text.slice(0, index).split('\n').length);
}

/** Lists functions of Python above the limit, as line (from 1) and name. */
export function longFunctions(text: string, most = MOST_LINES_OF_A_FUNCTION): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, start) => {
    const [, indent, name] = /^( *)(?:async )?def (\w+)/.exec(line) ?? [];
    if (indent === undefined) return [];
    // A signature of several lines closes at the indentation of its `def`.
    const isAfter = (text: string) => /\S/.test(text) && text.search(/\S/) <= indent.length && !/^\s*[)\]]/.test(text);
    const next = lines.findIndex((text, i) => i > start && isAfter(text));
    const body = lines.slice(start, next < 0 ? undefined : next);
    while (body.at(-1)?.trim() === '') body.pop();
    return body.length > most ? [`${start + 1} ${name}`] : [];
  });
}

function sources(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !NOT_OURS.test(entry.name))
    .flatMap(({ name }) =>
      globSync(`${name}/${SOURCES}`, { cwd: root, exclude: ['**/node_modules/**', '**/__pycache__/**'] }),
    )
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}

/** Finds all that is not allowed: for each rule the places. */
export function findings(root: string): Record<string, string[]> {
  const files = sources(root).map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
  const python = files.filter(({ path }) => path.startsWith('python/') && path.endsWith('.py'));
  return {
    [`doc comments that begin with ${OPENINGS.slice(0, 7).join(', ')} …`]: badOpeningsIn(root),
    [`source files above ${MOST_LINES} lines`]: files
      .filter(({ text }) => text.trimEnd().split('\n').length > MOST_LINES)
      .map(({ path }) => path),
    [`functions above ${MOST_LINES_OF_A_FUNCTION} lines in Python`]: python.flatMap(({ path, text }) =>
      longFunctions(text).map((place) => `${path}:${place}`),
    ),
    [`scripts in Python above ${MOST_LINES_OF_A_SCRIPT} lines in strings of TypeScript`]: files
      .filter(({ path }) => path.endsWith('.ts'))
      .flatMap(({ path, text }) => scriptsInStrings(text).map((line) => `${path}:${line}`)),
    'folders without an import rule': unruledFolders(root),
    'folders of extension/ that import each other in a circle': foldersInCircles(root, 'extension'),
    'places that decide by the text of a message': files
      .filter(({ path }) => PRODUCT.test(path))
      .flatMap(({ path, text }) => matchesOfText(text).map((line) => `${path}:${line}`)),
  };
}

/** Lists functions in TypeScript above the limit of biome.json, by the linter. Tests' `describe` and tables are excepted there. */
function longFunctionsInTypescript(root: string): string[] {
  const words = ['lint', '--only=complexity/noExcessiveLinesPerFunction', '--reporter=json', '--max-diagnostics=none'];
  // `--only` counts where the configuration does not, so the folders are named.
  const folders = readdirSync(root).filter((name) => /^[a-z]/.test(name) && !NOT_OURS.test(name) && name !== 'test');
  const { stdout, error } = spawnSync('biome', [...words, ...folders], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (error) throw error;
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  return diagnostics
    .filter(({ category }) => category === 'lint/complexity/noExcessiveLinesPerFunction')
    .map(({ location: { path, start } }) => `${path}:${start.line}`);
}

interface Diagnostic {
  category: string;
  location: { path: string; start: { line: number } };
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const counted = {
    ...findings(root),
    [`functions above ${MOST_LINES_OF_A_FUNCTION} lines in TypeScript`]: longFunctionsInTypescript(root),
  };
  for (const [rule, places] of Object.entries(counted)) {
    for (const place of places) console.error(place);
    console.log(`${String(places.length).padStart(4)} ${rule}`);
    if (places.length > 0) process.exitCode = 1;
  }
}
