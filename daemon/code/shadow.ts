/**
 * The shadow repository, `<store>/code.git`, as git may open it. git obeys what a repository's own files say: filters, programs for
 * comparing, other places for objects, remotes to fetch from. None of that is ours, so whatever came with a store that was
 * handed over is put back to what we write.
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

/** The highest precedence there is: no filter of the project's .gitattributes runs, no line ending changes. */
const ATTRIBUTES = '* -filter -text -eol -ident -working-tree-encoding\n';
/** What sends git elsewhere for its settings or its objects. */
const REDIRECTIONS = ['commondir', 'config.worktree', 'info/grafts', 'objects/info'];
/** Folders that git writes into by names that it makes. */
const FOLDERS = ['.', 'info', 'objects', 'refs', 'refs/snapshots'];
/** What `git init` finds out about the file system and about itself, and nothing that can name a program or a place. */
const SETTINGS = /^\s*(filemode|ignorecase|precomposeunicode|symlinks)\s*=\s*(true|false)\s*$/gim;
const EXTENSIONS = /^\s*(objectformat|refstorage)\s*=\s*(sha1|sha256|files|reftable)\s*$/gim;

/** The path of the shadow repository, with nothing in it that git would obey. Throws `unsafeName` for links. */
export function soundShadow(store: string): string {
  const shadow = inside(store, SHADOW);
  if (!existsSync(shadow)) return shadow;
  for (const folder of FOLDERS) refuseLinks(shadow, folder);
  settle(shadow, 'config', plainConfig(read(join(shadow, 'config'))));
  settle(shadow, 'info/attributes', ATTRIBUTES);
  for (const name of REDIRECTIONS) rmSync(join(shadow, name), { recursive: true, force: true });
  return shadow;
}

function refuseLinks(shadow: string, folder: string): void {
  if (!existsSync(join(shadow, folder))) return;
  for (const entry of readdirSync(join(shadow, folder), { withFileTypes: true }))
    if (entry.isSymbolicLink()) inside(join(shadow, folder), entry.name);
}

/** In git's own form, so that what it has just written is mostly left as it is. */
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

function settle(shadow: string, name: string, text: string): void {
  const path = join(shadow, name);
  if (read(path) === text) return;
  const temporary = join(shadow, `.settling-${randomId()}`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(temporary, text, { flag: 'wx' });
  renameSync(temporary, path);
}

/** Empty for what is no file. */
function read(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : '';
}
