/** Looks up the explanation of an error in docs/errors.md, which is part of every build. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Returns the path of the page in a build. */
export function explanationsPage(dist: string): string {
  return join(dist, 'docs/errors.md');
}

/** Returns the text below the error's heading, ignoring case; null: the page does not explain it. */
export function explanationOf(dist: string, code: string): { code: string; text: string } | null {
  for (const section of readPage(dist).split(/^## /m).slice(1)) {
    const [heading] = section.split('\n', 1);
    if (heading!.toLowerCase() === code.toLowerCase())
      return { code: heading!, text: section.slice(heading!.length).trim() };
  }
  return null;
}

export function explainedCodes(dist: string): string[] {
  return [...readPage(dist).matchAll(/^## (\w+)$/gm)].map(([, code]) => code!);
}

/** Reads the page, or returns an empty text if it is missing: an error must not turn into another one. */
function readPage(dist: string): string {
  try {
    return readFileSync(explanationsPage(dist), 'utf8');
  } catch {
    return '';
  }
}
