/** Finds folders that import each other in a circle: then neither can be understood without the other. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

const IMPORTS = /(?:from|import\() ?'(\.[^']+)'/g;

/** Lists the folders below `top` from which imports lead back to them, through other folders below it. */
export function foldersInCircles(root: string, top: string): string[] {
  const imported = new Map<string, Set<string>>();
  for (const file of globSync(`${top}/**/*.{ts,tsx}`, { cwd: root }).map((path) => path.replaceAll('\\', '/'))) {
    const folder = dirname(file);
    const others = imported.get(folder) ?? new Set();
    imported.set(folder, others);
    for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(IMPORTS)) {
      const other = dirname(posix.join(folder, name!));
      if (other !== folder && (other === top || other.startsWith(`${top}/`))) others.add(other);
    }
  }
  return [...imported.keys()].filter((folder) => reachedFrom(folder, imported).has(folder)).sort();
}

function reachedFrom(start: string, imported: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const reached = new Set<string>();
  const rest = [...(imported.get(start) ?? [])];
  for (let folder = rest.pop(); folder !== undefined; folder = rest.pop()) {
    if (reached.has(folder)) continue;
    reached.add(folder);
    rest.push(...(imported.get(folder) ?? []));
  }
  return reached;
}
