/** Groups files into checkpoints. Pure. */

import { isCheckpointFolder, isPartner, marksFolder } from './names.ts';
import { isPointer, pointsTo } from './pointers.ts';

export interface FoundState {
  /** Relative to the project, with `/`. */
  path: string;
  ino: string;
  bytes: number;
  mtimeMs: number;
}

/** Returns a text that stays equal as long as the file is unchanged. */
export function stateOf({ ino, bytes, mtimeMs }: FoundState): string {
  return `${ino}/${bytes}/${mtimeMs}`;
}

/** A file with its part in the checkpoint. `role`: null if the name does not show it. */
export interface GroupFile extends FoundState {
  role: string | null;
}

export interface Group {
  /** The same for all files of one checkpoint. */
  key: string;
  /** The same for all checkpoints of one kind: the key with its numbers replaced. */
  series: string;
  /** Sorted by path. */
  files: GroupFile[];
  /** The minimum number of files of a complete group, such as a set of shards. */
  least: number;
  /** The folder that the file names are relative to; empty: the project. */
  place: string;
  /** The small file that tells the framework which checkpoint to restore; null: it has none. */
  pointer: FoundState | null;
}

const ROLE =
  /(?:^|(?<=[^a-z]))(lr_scheduler|scheduler|sched|optimizer|optim|opt|scaler|ema|generator|discriminator|netg|netd|encoder|decoder|model|network|net|weights)(?=$|[^a-z])/i;
const LATEST = 'latest';
const PADDLE = /\.(pdparams|pdopt|pdstates)$/i;
const SHARD = /^(.*?)-(\d{5})-of-(\d{5})(\.[\w.]+)?$/;
const TENSORFLOW = /^(.*)\.(index|data-\d{5}-of-(\d{5}))$/i;

/** Sorts the groups by their newest file. */
export function groupFiles(files: Iterable<FoundState>): Group[] {
  const all = [...files];
  const marked = new Set(all.flatMap(({ path }) => (marksFolder(nameIn(path)) ? folderOf(path) : [])));
  const groups = new Map<string, Group>();
  const latest: FoundState[] = [];
  const pointers: FoundState[] = [];
  for (const file of all) {
    const { key, place, role, least } = placeIn(file.path, marked);
    // DeepSpeed's `latest` lies beside the folders, names one of them, and shows that it is complete.
    if (nameIn(file.path) === LATEST && !key.endsWith('/')) {
      latest.push(file);
      continue;
    }
    if (isPointer(file.path) && !key.endsWith('/')) {
      pointers.push(file);
      continue;
    }
    let group = groups.get(key);
    if (!group) {
      group = { key, series: key.replaceAll(/\d+(\.\d+)?/g, '#'), files: [], least: 1, place, pointer: null };
      groups.set(key, group);
    }
    group.files.push({ ...file, role });
    group.least = Math.max(group.least, least);
  }
  const sorted = [...groups.values()].filter((group) => group.files.some(({ path }) => !isPartner(nameIn(path))));
  sorted.sort((a, b) => newest(a) - newest(b));
  for (const pointer of latest) joinPointed(sorted, pointer);
  for (const group of sorted) group.pointer = pointers.find((file) => decidesAbout(file, group)) ?? null;
  for (const group of sorted) group.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return sorted;
}

/** Adds a `latest` file to the newest folder that was complete when it was written, which is the one that it names. */
function joinPointed(groups: readonly Group[], pointer: FoundState): void {
  const beside = groups.filter(({ key, place }) => key.endsWith('/') && place === folderOf(pointer.path));
  const pointed = beside.findLast((group) => newest(group) <= pointer.mtimeMs);
  pointed?.files.push({ ...pointer, role: LATEST });
}

/** The name of a checkpoint without its folder: `ckpt-3` or `global_step100/`. */
export function checkpointName({ key, place }: Pick<Group, 'key' | 'place'>): string {
  return place === '' ? key : key.slice(place.length + 1);
}

function decidesAbout({ path }: FoundState, group: Group): boolean {
  if (folderOf(path) !== group.place || !pointsTo(path, checkpointName(group))) return false;
  // Files of any name could be called so; those of TensorFlow tell themselves by their ending.
  return group.key.endsWith('/') || group.files.some(({ path: own }) => TENSORFLOW.test(own));
}

export function newest({ files }: { files: readonly FoundState[] }): number {
  return Math.max(...files.map(({ mtimeMs }) => mtimeMs));
}

/** Lists the roles in a group (`model`, `optimizer`, `pdparams`); the next group of its series should have them too. */
export function rolesOf(files: readonly GroupFile[]): string[] {
  return [...new Set(files.flatMap(({ role }) => role ?? []))];
}

/** Returns true if the name contains a counter, so that the next checkpoint of the series has another name. */
export function isNumbered({ key, series }: Pick<Group, 'key' | 'series'>): boolean {
  return key !== series;
}

interface GroupPlace {
  key: string;
  place: string;
  role: string | null;
  least: number;
}

/** Caches the results, since thousands of unchanging names are looked up again and again. */
const places = new Map<string, GroupPlace>();
const MAX_PLACES = 50_000;

function placeIn(path: string, marked: ReadonlySet<string>): GroupPlace {
  const own = placeOf(path);
  if (marked.size === 0 || own.key.endsWith('/')) return own;
  for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder))
    if (marked.has(folder)) {
      const role = path.slice(folder.length + 1).replaceAll(/\d+/g, '#');
      return { key: `${folder}/`, place: folderOf(folder), role, least: 1 };
    }
  return own;
}

function nameIn(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function placeOf(path: string): GroupPlace {
  let place = places.get(path);
  if (!place) {
    place = findPlace(path);
    if (places.size >= MAX_PLACES) places.clear();
    places.set(path, place);
  }
  return place;
}

function findPlace(path: string): GroupPlace {
  const parts = path.split('/');
  const folder = parts.slice(0, -1).findIndex(isCheckpointFolder);
  if (folder >= 0) {
    const place = parts.slice(0, folder).join('/');
    // The set of files in a folder depends on the trainer's settings, and stays the same within one run.
    return {
      key: `${parts.slice(0, folder + 1).join('/')}/`,
      place,
      role: parts
        .slice(folder + 1)
        .join('/')
        .replaceAll(/\d+/g, '#'),
      least: 1,
    };
  }
  const name = parts.at(-1)!;
  const place = parts.slice(0, -1).join('/');
  const at = place ? `${place}/` : '';
  const tensorflow = TENSORFLOW.exec(name);
  if (tensorflow) return { key: `${at}${tensorflow[1]}`, place, role: null, least: 1 + Number(tensorflow[3] ?? 1) };
  // Keras' BackupAndRestore writes its epoch beside the weights.
  if (name === 'training_metadata.json') return { key: `${at}latest.*.h5`, place, role: 'metadata', least: 2 };
  const index = /^(.*)\.(safetensors|bin)\.index\.json$/.exec(name);
  if (index) return { key: `${at}${index[1]}-shards`, place, role: null, least: 2 };
  const shard = SHARD.exec(name);
  if (shard) return { key: `${at}${shard[1]}-shards`, place, role: null, least: Number(shard[3]) };
  const paddle = PADDLE.exec(name);
  const stem = paddle ? name.slice(0, -paddle[0].length) : name;
  const role = ROLE.exec(stem)?.[0].toLowerCase() ?? null;
  const generic = role === null ? stem : stem.replace(ROLE, '*');
  const roles = [role, paddle?.[1]?.toLowerCase()].filter(Boolean).join('.');
  return { key: `${at}${generic}${paddle ? '.pd' : ''}`, place, role: roles || null, least: 1 };
}
