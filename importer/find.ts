/** Finds the runs below some paths: each folder belongs to the first tool that claims it. */
import type { ImportTool } from '../protocol/imports.ts';
import type { Candidate, Surroundings } from './source.ts';
import { PLAIN_SOURCES, SOURCES } from './sources.ts';
import type { Folder } from './walk.ts';

export type FoundCandidate = Candidate & { tool: ImportTool };

export function* findRuns(root: Folder, setup: Omit<Surroundings, 'around'>): Generator<FoundCandidate> {
  const seen = new Set<string>();
  for (const found of inFolder(root, [], setup)) {
    if (seen.has(found.key)) continue;
    seen.add(found.key);
    yield found;
  }
}

function* inFolder(
  folder: Folder,
  around: readonly string[],
  setup: Omit<Surroundings, 'around'>,
): Generator<FoundCandidate> {
  if (folder.name === '.aim') {
    setup.tell(
      folder.path,
      'Aim keeps its runs in RocksDB, which cannot be read here. `aim runs export` or its Python API writes them out',
    );
    return;
  }
  const surroundings = { ...setup, around };
  const taken = new Set<Folder>();
  let isClaimed = false;
  for (const source of SOURCES) {
    const found = source.find(folder, surroundings);
    if (!found) continue;
    for (const run of found.runs) yield { ...run, tool: source.tool };
    for (const one of found.taken) taken.add(one);
    if (found.all) return;
    isClaimed = true;
  }
  if (!isClaimed)
    for (const source of PLAIN_SOURCES) {
      const found = source.find(folder, surroundings);
      if (!found) continue;
      for (const run of found.runs) yield { ...run, tool: source.tool };
      for (const one of found.taken) taken.add(one);
    }
  for (const one of folder.folders) if (!taken.has(one)) yield* inFolder(one, [...around, folder.name], setup);
}
