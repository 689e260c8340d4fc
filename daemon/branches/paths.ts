/**
 * Paths as the file system stores them. On Linux a name is a sequence of bytes and need not be UTF-8. Here each
 * character of a path stands for one byte, so that every name survives JSON unchanged.
 */
import { sep } from 'node:path';
import * as v from 'valibot';
import { nameProblem } from '../../protocol/names.ts';

/** Path relative to the worktree, with `/`, one character for each byte. */
export type RawPath = string & { readonly raw: true };

export function rawPath(bytes: Buffer): RawPath {
  return bytes.toString('latin1') as RawPath;
}

export function fromText(path: string): RawPath {
  return rawPath(Buffer.from(path, 'utf8'));
}

export function joinRaw(folder: RawPath, name: Buffer): RawPath {
  const tail = name.toString('latin1');
  return (folder === '' ? tail : `${folder}/${tail}`) as RawPath;
}

/** Schema of a path in a record that another program may have written: it must not lead out of the worktree. */
export const rawPathSchema = v.pipe(
  v.string(),
  v.check(
    (path) => nameProblem(path) === null && nameProblem(shown(path as RawPath)) === null,
    'must be a path inside',
  ),
  v.transform((path) => path as RawPath),
);

/** Empty set of links: no link is followed. */
export const NO_LINKS: ReadonlySet<string> = new Set();

/** Returns the absolute path as bytes, which Node's functions take unchanged. */
export function absolute(root: string, path: RawPath): Buffer {
  return path === '' ? Buffer.from(root) : Buffer.concat([Buffer.from(root + sep), Buffer.from(path, 'latin1')]);
}

/** Decodes a path for people and patterns; bytes that are not UTF-8 become �. */
export function shown(path: RawPath): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

/** Returns the absolute path as a string, for libraries that take no bytes; null when the name is not UTF-8. */
export function absoluteText(root: string, path: RawPath): string | null {
  const text = shown(path);
  return Buffer.from(text, 'utf8').equals(Buffer.from(path, 'latin1')) ? root + sep + text : null;
}

export function parentOf(path: RawPath): RawPath {
  const at = path.lastIndexOf('/');
  return path.slice(0, Math.max(0, at)) as RawPath;
}
