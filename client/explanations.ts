/** What docs/errors.md, which is in every build, says of an error. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The page of a build. */
export function explanationsPage(dist: string): string {
  return join(dist, 'docs/errors.md');
}

/** The text below the heading of that error; null when it says all itself. Upper and lower case are the same. */
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

/** Empty when it is gone: an error must not become another one. */
function readPage(dist: string): string {
  try {
    return readFileSync(explanationsPage(dist), 'utf8');
  } catch {
    return '';
  }
}
