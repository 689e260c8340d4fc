/** Finds the checkpoints in folders of other tools: files and folders that look like one, grouped as a run's own are. */
import { closeSync, openSync, readSync } from 'node:fs';
import { isWhole } from '../formats/whole.ts';
import type { FoundCheckpoint } from '../protocol/imports.ts';
import { type FoundState, type Group, groupFiles } from '../session/groups.ts';
import { factsOfName, isCheckpointFolder, isPartner, looksLikeCheckpoint } from '../session/names.ts';
import type { Surroundings } from './source.ts';
import { allFiles, type Folder, type FoundFile } from './walk.ts';

/** Groups the checkpoints below a folder. A half-written file is told, and left out with its group. */
export function checkpointsIn(folder: Folder, tell: Surroundings['tell']): FoundCheckpoint[] {
  const files = new Map<string, FoundFile>();
  const root = `${folder.path}/`.replaceAll('\\', '/');
  for (const file of allFiles(folder)) {
    const path = file.path.replaceAll('\\', '/').slice(root.length);
    if (belongs(path)) files.set(path, file);
  }
  const states = [...files].map(([path, { ino, bytes, mtimeMs }]): FoundState => ({ path, ino, bytes, mtimeMs }));
  const groups = groupFiles(states).filter((group) => isComplete(group, files, tell));
  return numbered(groups.map((group) => checkpointOf(folder, group)));
}

function belongs(path: string): boolean {
  const parts = path.split('/');
  const name = parts.at(-1)!;
  // All files of a folder that is one checkpoint are part of it.
  return parts.slice(0, -1).some(isCheckpointFolder) || looksLikeCheckpoint(name) || isPartner(name);
}

function isComplete(group: Group, files: ReadonlyMap<string, FoundFile>, tell: Surroundings['tell']): boolean {
  const broken = group.files.find(({ path }) => !isWholeFile(files.get(path)!));
  if (broken) tell(files.get(broken.path)!.path, 'it is half written, so its checkpoint is left out');
  else if (group.files.length < group.least)
    tell(
      files.get(group.files[0]!.path)!.path,
      `its checkpoint has ${group.files.length} of ${group.least} files, so it is left out`,
    );
  return !broken && group.files.length >= group.least;
}

function isWholeFile({ path, name, bytes }: FoundFile): boolean {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return false;
  }
  try {
    const read = (offset: number, length: number) => {
      const part = Buffer.alloc(Math.min(length, Math.max(0, bytes - offset)));
      return part.subarray(0, readSync(file, part, 0, part.length, offset));
    };
    return isWhole(name, read, bytes);
  } catch {
    return false;
  } finally {
    closeSync(file);
  }
}

function checkpointOf({ path }: Folder, { files, place }: Group): FoundCheckpoint {
  const names = files.map((file) => factsOfName(file.path));
  const first = <T>(pick: (facts: (typeof names)[number]) => T | null) =>
    names.map(pick).find((value) => value !== null) ?? null;
  return {
    place: place === '' ? path : `${path}/${place}`,
    files: files.map(({ path: name, ...state }) => ({
      name: place === '' ? name : name.slice(place.length + 1),
      ino: state.ino,
      bytes: state.bytes,
      mtimeMs: state.mtimeMs,
    })),
    step: first(({ step }) => step) ?? first(({ number }) => number),
    epoch: first(({ epoch }) => epoch),
    metrics: Object.assign({}, ...names.map(({ metrics }) => metrics).reverse()),
    isBest: names.some(({ reasons }) => reasons.includes('best')),
  };
}

/** Orders checkpoints by time, and by step where they have one. */
function numbered(found: FoundCheckpoint[]): FoundCheckpoint[] {
  const age = ({ files }: FoundCheckpoint) => Math.max(...files.map(({ mtimeMs }) => mtimeMs));
  return found.sort((a, b) => age(a) - age(b) || (a.step ?? 0) - (b.step ?? 0));
}
