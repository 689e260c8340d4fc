/** Checks of file names from outside: in a checkpoint, a stash, a record of an export. */

/** Code points that some file systems ignore in a name: `.git` with one of them in it is still that folder. */
const IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;

/**
 * Says why a relative path with `/` may lead out of the folder that it is put into, on any system; null if it cannot. Does
 * not consider links, which only a look at the folder shows.
 */
export function nameProblem(name: string): string | null {
  if (name === '') return 'it is empty';
  if (name.includes('\0')) return 'it has a NUL in it';
  if (/^[/\\]|^[A-Za-z]:/.test(name)) return 'it is absolute';
  if (name.split('/').includes('')) return 'a part of it is empty';
  // Windows separates parts at both slashes.
  for (const part of name.split(/[/\\]/)) {
    if (part === '.' || part === '..') return `"${part}" leads out of its folder`;
    if (isGit(part)) return 'it lies in the folder of git, which obeys what is in there';
  }
  return null;
}

/** Says why a list of names cannot be the files of one folder; null when it can. */
export function namesProblem(names: readonly string[]): string | null {
  const files = new Set(names);
  if (files.size < names.length) return 'two of its files have one name';
  for (const name of names)
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1))
      if (files.has(name.slice(0, at))) return `"${name.slice(0, at)}" is a file and a folder`;
  return null;
}

/** Tells whether a part names `.git`, also in the forms that Windows resolves to it: short names, trailing dots or blanks, streams. */
function isGit(part: string): boolean {
  const plain = part
    .replace(IGNORED, '')
    .replace(/:.*$/, '')
    .replace(/[. ]+$/, '')
    .toLowerCase();
  return plain === '.git' || /^git~\d+$/.test(plain);
}
