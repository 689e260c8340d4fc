/** Names the TypeScript lines in a stack trace of a bundle. Only when one is written down: maps cost memory once loaded. */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A place in a bundle: `file:///a/dist/daemon.js:12:34` or `/a/dist/daemon.js:12:34`. */
const BUNDLED_PLACE = /(?<file>(?:file:\/\/\/|\/|[A-Za-z]:\\)[^\s():]+\.c?js):(?<line>\d+):(?<column>\d+)/g;
/** The folder in the maps' names that stands for the repository. */
const SOURCE_ROOT = 'trainstash:///';

/** Returns the text with each place in a bundle that has a source map replaced by `daemon/server.ts:12:34`. */
export function withSourceLines(text: string): string {
  const maps = new Map<string, SourceMap | null>();
  return text.replaceAll(BUNDLED_PLACE, (place, file: string, line: string, column: string) => {
    const map = maps.get(file) ?? readMap(file);
    maps.set(file, map);
    const entry = map?.findEntry(Number(line) - 1, Number(column) - 1);
    // A map that somebody damaged maps to nothing.
    if (!entry || !('originalSource' in entry) || typeof entry.originalSource !== 'string') return place;
    return `${entry.originalSource.replace(SOURCE_ROOT, '')}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  });
}

/** Null where there is none: a bundle of another build, a file of somebody else. */
function readMap(file: string): SourceMap | null {
  try {
    const path = file.startsWith('file:') ? fileURLToPath(file) : file;
    return new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8')));
  } catch {
    return null;
  }
}
