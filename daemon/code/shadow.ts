/**
 * Makes the shadow repository, `<store>/code.git`, safe for git. git obeys a repository's own files: filters, programs
 * for comparing, other places for objects, remotes to fetch from. Trainstash uses none of them, so everything of that
 * kind in a store from elsewhere is reset.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { inside } from '../../base/inside.ts';
import { randomId } from '../../protocol/ids.ts';

export const SHADOW = 'code.git';

/** Attributes with the highest precedence: no filter of the project's .gitattributes runs, no line ending changes. */
const ATTRIBUTES = '* -filter -text -eol -ident -working-tree-encoding\n';
/** Entries that redirect git to other settings or objects. */
const REDIRECTIONS = ['commondir', 'config.worktree', 'info/grafts', 'objects/info'];
/** Folders where git creates files by names of its own. */
const FOLDERS = ['.', 'info', 'objects', 'refs', 'refs/snapshots'];
/** Settings that `git init` detects for the file system and for itself; none can name a program or a path. */
const SETTINGS = /^\s*(filemode|ignorecase|precomposeunicode|symlinks)\s*=\s*(true|false)\s*$/gim;
const EXTENSIONS = /^\s*(objectformat|refstorage)\s*=\s*(sha1|sha256|files|reftable)\s*$/gim;

/** Returns the path of the shadow repository, with nothing in it that git would obey. Throws `unsafeName` for links. */
export function safeShadow(store: string): string {
  const shadow = inside(store, SHADOW);
  if (!existsSync(shadow)) return shadow;
  for (const folder of FOLDERS) refuseLinks(shadow, folder);
  replaceIfDifferent(shadow, 'config', plainConfig(read(join(shadow, 'config'))));
  replaceIfDifferent(shadow, 'info/attributes', ATTRIBUTES);
  for (const name of REDIRECTIONS) rmSync(join(shadow, name), { recursive: true, force: true });
  return shadow;
}

function refuseLinks(shadow: string, folder: string): void {
  if (!existsSync(join(shadow, folder))) return;
  for (const entry of readdirSync(join(shadow, folder), { withFileTypes: true }))
    if (entry.isSymbolicLink()) inside(join(shadow, folder), entry.name);
}

/** Formats the settings as git does, so that a file which git has just written mostly stays unchanged. */
function plainConfig(text: string): string {
  const lines = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, name, value]) => `\t${name} = ${value}\n`);
  const extensions = lines(EXTENSIONS);
  const core = [
    `\trepositoryformatversion = ${extensions.length > 0 ? 1 : 0}\n`,
    ...lines(SETTINGS),
    '\tbare = true\n',
  ];
  return ['[core]\n', ...core, ...(extensions.length > 0 ? ['[extensions]\n', ...extensions] : [])].join('');
}

function replaceIfDifferent(shadow: string, name: string, text: string): void {
  const path = join(shadow, name);
  if (read(path) === text) return;
  const temporary = join(shadow, `.settling-${randomId()}`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(temporary, text, { flag: 'wx' });
  renameSync(temporary, path);
}

/** Reads a file; empty for anything that is not a regular file. */
function read(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : '';
}
