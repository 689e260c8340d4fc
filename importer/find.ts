/** Finds the runs below some paths: each folder belongs to the first tool that claims it. */
import { createHash } from 'node:crypto';
import { type ImportTool, MOST_NAME_CHARACTERS } from '../protocol/imports.ts';
import { nameProblem } from '../protocol/names.ts';
import type { Candidate, Surroundings } from './source.ts';
import { PLAIN_SOURCES, SOURCES } from './sources.ts';
import type { Folder } from './walk.ts';

export type FoundCandidate = Candidate & { tool: ImportTool };

export function* findRuns(root: Folder, setup: Omit<Surroundings, 'around'>): Generator<FoundCandidate> {
  const seen = new Set<string>();
  for (const given of inFolder(root, [], setup)) {
    const found = withinLimits(given, setup.tell);
    if (seen.has(found.key)) continue;
    seen.add(found.key);
    yield found;
  }
}

/** Shortens names, and drops checkpoints that could lead out of their folder: the daemon takes no description with such a part. */
function withinLimits(found: FoundCandidate, tell: Surroundings['tell']): FoundCandidate {
  const checkpoints = found.checkpoints.filter(({ place, files }) => {
    const bad = files.find(({ name }) => nameProblem(name) !== null);
    if (bad) tell(`${place}/${bad.name}`, `it is left out: ${nameProblem(bad.name)}`);
    return !bad;
  });
  const isLong = found.key.length > MOST_NAME_CHARACTERS;
  const key = isLong ? `${found.tool}:${createHash('sha256').update(found.key).digest('hex')}` : found.key;
  return { ...found, key, job: short(found.job), name: short(found.name), checkpoints };
}

function short(name: string): string {
  return name.length > MOST_NAME_CHARACTERS ? `${name.slice(0, MOST_NAME_CHARACTERS - 1)}…` : name;
}

function* inFolder(
  folder: Folder,
  around: readonly string[],
  setup: Omit<Surroundings, 'around'>,
): Generator<FoundCandidate> {
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
