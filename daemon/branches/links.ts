/** Finds folders of a project that are links and that its owner has made a part of it. */
import { lstatSync } from 'node:fs';
import picomatch from 'picomatch';
import { askGit } from '../code/repository.ts';
import { absolute, fromText, type RawPath } from './paths.ts';
import type { Patterns } from './working-set.ts';

/**
 * Finds the links that a pattern of trainstash.json begins with and that git does not track: a link that came with a
 * clone leads wherever its author wants. Returns each path as text and as a raw path.
 */
export async function declaredLinks(root: string, patterns: Patterns): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const pattern of new Set(patterns)) {
    const { base, glob } = picomatch.scan(pattern);
    const parts = (glob === '' ? pattern : base).split('/').filter(Boolean);
    for (let i = 1; i <= parts.length; i++) {
      const name = parts.slice(0, i).join('/');
      if (found.has(name) || !isLink(root, fromText(name)) || (await isTracked(root, name))) continue;
      found.add(name).add(fromText(name));
    }
  }
  return found;
}

function isLink(root: string, path: RawPath): boolean {
  try {
    return lstatSync(absolute(root, path), { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  } catch {
    return false;
  }
}

async function isTracked(root: string, name: string): Promise<boolean> {
  return (await askGit(['ls-files', '--error-unmatch', '--', `:(literal)${name}`], { cwd: root })) !== null;
}
