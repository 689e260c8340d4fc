// Source maps that hold wherever dist/ is copied to.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Stands for the repository's folder in the maps. The daemon runs from a copy of dist/ elsewhere, where a relative path would
 * lead nowhere. `.vscode/launch.json` tells the debugger where it is.
 */
const SOURCE_ROOT = 'trainstash:///';

/** Rewrites the maps in `folder` in place. */
export function rewriteSourceMaps(folder) {
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.map')) continue;
    const path = join(folder, name);
    writeFileSync(path, withSourceRoot(readFileSync(path, 'utf8')));
  }
}

/** Returns the map's text with its sources named from the repository's folder, without the `../` that lead there. */
export function withSourceRoot(text) {
  const map = JSON.parse(text);
  const sources = map.sources.map((source) => source.replace(/^(\.\.\/)+/, ''));
  return JSON.stringify({ ...map, sourceRoot: SOURCE_ROOT, sources });
}
