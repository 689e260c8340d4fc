/**
 * Tells from its source text if a command's script uses the Python package; the script itself reports it only after its
 * own imports.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const MAX_FILES = 200;
const MAX_FILE_BYTES = 1 << 20;
const PACKAGE = 'trainstash';
const IMPORTS = /^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+([^\n#]+)|import[ \t]+([^\n#]+))/gm;

/** Follows imports of the project's files as far as the text shows them. */
export function usesPackage(words: readonly string[], cwd: string): boolean {
  const code = words.indexOf('-c');
  if (code > 0) return importsOf(words[code + 1] ?? '').some(({ module }) => isPackage(module, [cwd]));
  const scripts = scriptsOf(words, cwd);
  const folders = [...new Set([...scripts.map(dirname), cwd])];
  const pending = [...scripts];
  const seen = new Set<string>();
  for (let path = pending.pop(); path !== undefined && seen.size < MAX_FILES; path = pending.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { module, names } of importsOf(textOf(path))) {
      if (isPackage(module, folders)) return true;
      const from = module.startsWith('.') ? [folderOf(path, module)] : folders;
      const plain = module.replace(/^\.+/, '');
      const modules = [plain, ...names.map((name) => (plain ? `${plain}.${name}` : name))].filter(Boolean);
      pending.push(...modules.flatMap((name) => from.flatMap((folder) => filesOf(folder, name))));
    }
  }
  return false;
}

/** Finds the project files that the command runs, by script path or module name, also behind a launcher. */
function scriptsOf(words: readonly string[], cwd: string): string[] {
  const module = words.indexOf('-m');
  const named = module > 0 ? filesOf(cwd, words[module + 1] ?? '') : [];
  return [...words.filter((word) => word.endsWith('.py')).map((word) => resolve(cwd, word)), ...named];
}

interface Import {
  module: string;
  names: string[];
}

function importsOf(text: string): Import[] {
  return [...text.matchAll(IMPORTS)].flatMap(([, from, what, plain]): Import[] =>
    from ? [{ module: from, names: namesIn(what!) }] : namesIn(plain!).map((module) => ({ module, names: [] })),
  );
}

/** Parses `a as b, (c)` into a, c. */
function namesIn(list: string): string[] {
  return list.split(',').flatMap((item) => /[\w.]+/.exec(item)?.[0] ?? []);
}

/** A project's own module of that name takes precedence. */
function isPackage(module: string, folders: readonly string[]): boolean {
  return module.split('.')[0] === PACKAGE && folders.every((folder) => filesOf(folder, PACKAGE).length === 0);
}

function filesOf(folder: string, module: string): string[] {
  const path = join(folder, ...module.split('.'));
  return [`${path}.py`, join(path, '__init__.py'), join(path, '__main__.py')].filter((file) => existsSync(file));
}

/** `.x` is beside the file, `..x` one folder up. */
function folderOf(path: string, module: string): string {
  const dots = /^\.+/.exec(module)![0].length;
  return resolve(dirname(path), ...Array.from({ length: dots - 1 }, () => '..'));
}

function textOf(path: string): string {
  try {
    return statSync(path).size <= MAX_FILE_BYTES ? readFileSync(path, 'utf8') : '';
  } catch {
    return '';
  }
}
