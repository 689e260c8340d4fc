/** Looks up the explanations of errors, and of what is lost by a resume, in pages that are part of every build. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const PAGES = ['errors.md', 'diagnostics.md'];

export interface Explanation {
  code: string;
  text: string;
  /** Path of the page, which has the code as a heading. */
  page: string;
}

/** Returns the text below the code's heading, ignoring case; null: no page explains it. */
export function explanationOf(dist: string, code: string): Explanation | null {
  for (const name of PAGES) {
    const page = join(dist, 'docs', name);
    for (const section of readPage(page).split(/^##? /m).slice(1)) {
      const [heading] = section.split('\n', 1);
      if (/^\w+$/.test(heading!) && heading!.toLowerCase() === code.toLowerCase())
        return { code: heading!, text: section.slice(heading!.length).trim(), page };
    }
  }
  return null;
}

export function explainedCodes(dist: string, names: readonly string[] = PAGES): string[] {
  const text = names.map((name) => readPage(join(dist, 'docs', name))).join('\n');
  return [...text.matchAll(/^## (\w+)$/gm)].map(([, code]) => code!);
}

/** Reads a page, or returns an empty text if it is missing: an error must not turn into another one. */
function readPage(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
