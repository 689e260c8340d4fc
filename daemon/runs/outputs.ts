/**
 * Tells files that runs write from code. Output is: everything in a checkpoint; and files that git does not track and
 * that changed while a run was live, in a folder that contains checkpoints, that a job names, or that holds no code at
 * all. Elsewhere only data files count.
 */
import { statSync } from 'node:fs';
import { extname, join } from 'node:path';
import picomatch from 'picomatch';
import { readJson, writeJson } from '../../base/files.ts';
import type { Session } from '../../protocol/domain.ts';
import { isCheckpointFolder } from '../../session/names.ts';
import { type CodeChange, trackedFiles } from '../code/changes.ts';
import type { Store } from '../store/client.ts';
import { readConfig } from './config.ts';

const MAX_FOLDERS = 500;
/** Number of runs whose times are looked at. */
const RUNS = 50;
/** Tolerance: file times and the clock may differ slightly, and the last write may follow the last sign of life. */
const SLACK_MS = 5_000;
/** Extensions of files that trainings write next to their checkpoints and that nobody writes by hand. */
const DATA = new Set(
  '.csv .tsv .log .out .err .txt .jsonl .ndjson .png .jpg .jpeg .gif .svg .webp .pdf .npy .pkl .parquet .sqlite .db .wav .mp3 .mp4'.split(
    ' ',
  ),
);
/** Text files that people write in spite of their extension. */
const WRITTEN_BY_HAND = /(^|\/)(requirements|constraints|cmakelists|readme)[^/]*\.txt$/i;
const SOURCE = /\.(pyx?|ipynb|[cm]?[jt]sx?|sh|c|cc|cpp|cu|cuh|h|hpp|r|jl|rs|go|java|lua)$/i;

/** Remembers the folders of a run's files. `paths` are relative to the tree, with `/`. */
export function rememberOutputs(store: string, root: string, paths: readonly string[]): void {
  const known = outputFolders(store, root);
  const added = [...new Set(paths.map(folderOf))].filter((folder) => !known.includes(folder));
  if (added.length === 0) return;
  const all = (readJson(fileOf(store)) ?? {}) as Record<string, string[]>;
  writeJson(fileOf(store), { ...all, [root]: [...known, ...added].slice(-MAX_FOLDERS) });
}

/** Remembers the folder of a promoted model, relative to the tree, with `/`: nothing in it is code. */
export function rememberModel(store: string, root: string, folder: string): void {
  const known = modelFolders(store, root);
  if (known.includes(folder)) return;
  const all = (readJson(modelsFile(store)) ?? {}) as Record<string, string[]>;
  writeJson(modelsFile(store), { ...all, [root]: [...known, folder].slice(-MAX_FOLDERS) });
}

/** Selects the changes that neither a run nor a promotion has written. */
export async function withoutOutputs(
  { store, place }: { store: Pick<Store, 'runs' | 'sessions'>; place: { store: string; root: string } },
  changes: readonly CodeChange[],
): Promise<CodeChange[]> {
  if (changes.length === 0) return [];
  const { root } = place;
  const tracked = await trackedFiles(root);
  if (tracked === null) return [...changes];
  const folders = outputFolders(place.store, root);
  const models = modelFolders(place.store, root);
  const isDeclared = declared(root);
  const withCode = new Set([...tracked].map(topOf));
  const sessions = await recentSessions(store);
  const isOutput = ({ path, status }: CodeChange) => {
    if (isInCheckpoint(path, folders)) return true;
    if (!tracked.has(path) && models.some((folder) => path.startsWith(`${folder}/`))) return true;
    if (tracked.has(path) || SOURCE.test(path)) return false;
    const inside =
      isDeclared(path) ||
      folders.some((folder) => folder !== '' && path.startsWith(`${folder}/`)) ||
      !withCode.has(topOf(path));
    if (status === 'removed') return inside;
    return (inside || isData(path)) && changedDuring(join(root, path), sessions);
  };
  return changes.filter((change) => !isOutput(change));
}

/** Returns the topmost folder of a path; a file directly in the tree is next to the code. */
function topOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

const outputFolders = (store: string, root: string) => foldersIn(fileOf(store), root);
const modelFolders = (store: string, root: string) => foldersIn(modelsFile(store), root);

function foldersIn(file: string, root: string): string[] {
  const folders = ((readJson(file) ?? {}) as Record<string, unknown>)[root];
  return Array.isArray(folders) ? folders.filter((folder) => typeof folder === 'string') : [];
}

/** Returns the parent of the checkpoint's own folder, if it has one, else the file's folder. Empty: the tree itself. */
function folderOf(path: string): string {
  const parts = path.split('/').slice(0, -1);
  const own = parts.findIndex(isCheckpointFolder);
  return (own < 0 ? parts : parts.slice(0, own)).join('/');
}

function isInCheckpoint(path: string, folders: readonly string[]): boolean {
  return path.split('/').slice(0, -1).some(isCheckpointFolder) && folders.includes(folderOf(path));
}

/** Tells whether a job declares a path as its file. */
function declared(root: string): (path: string) => boolean {
  try {
    const patterns = [...readConfig(root).jobs.values()].flatMap(({ checkpoints, files }) => [
      ...checkpoints,
      ...files,
    ]);
    const matchers = patterns.map((pattern) => picomatch(`${pattern.replace(/\/+$/, '')}{,/**}`, { dot: true }));
    return (path) => matchers.some((fit) => fit(path));
  } catch {
    return () => false; // It cannot be read: then it declares nothing.
  }
}

function isData(path: string): boolean {
  return DATA.has(extname(path).toLowerCase()) && !WRITTEN_BY_HAND.test(path);
}

function changedDuring(path: string, sessions: readonly Session[]): boolean {
  const time = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  if (time === undefined) return false;
  return sessions.some(
    ({ startedAt, endedAt }) => time >= startedAt - SLACK_MS && time <= (endedAt ?? Date.now()) + SLACK_MS,
  );
}

async function recentSessions(store: Pick<Store, 'runs' | 'sessions'>): Promise<Session[]> {
  const { runs } = await store.runs({ drafts: true, trashed: false, before: null, limit: RUNS });
  return (await Promise.all(runs.map(({ id }) => store.sessions(id)))).flat();
}

function fileOf(store: string): string {
  return join(store, 'outputs.json');
}

function modelsFile(store: string): string {
  return join(store, 'models.json');
}
