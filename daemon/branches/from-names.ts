/**
 * Migrates records of version 0.1, which hold branch names instead of branch ids. Each record gets the id of the branch
 * that had the name then.
 */
import { join } from 'node:path';
import { readJson, writeJson } from '../../base/files.ts';
import { hasHadCommit } from '../code/history.ts';
import type { GitDirectories } from '../code/reflog.ts';
import type { KnownBranches } from './known-branches.ts';
import { subfoldersOf } from './stash-folder.ts';

interface NameSetup extends GitDirectories {
  root: string;
  storePath: string;
  known: KnownBranches;
}

type Fields = Record<string, unknown> & { branch: string; tip: string | null };

export async function migrateToIds(setup: NameSetup): Promise<void> {
  const { storePath, known } = setup;
  await known.look(true);
  const ids = new Map<string, string>();
  const idFor = async (name: string, tip: string | null, at: number) => {
    const key = `${name} ${tip}`;
    const id = ids.get(key) ?? (await idOf(setup, name, tip, at));
    ids.set(key, id);
    return id;
  };
  for (const entry of subfoldersOf(join(storePath, 'shelf'))) {
    const path = join(storePath, 'shelf', entry, 'owner.json');
    const owner = fieldsOf(path);
    if (!owner || 'branchId' in owner) continue;
    writeJson(path, { ...owner, branchId: await idFor(owner.branch, owner.tip, Number(owner.createdAt)) }, true);
  }
  for (const name of subfoldersOf(join(storePath, 'worktrees'))) {
    const folder = join(storePath, 'worktrees', name);
    const inPlace = fieldsOf(join(folder, 'in-place.json'));
    if (!inPlace || 'id' in inPlace) continue;
    const id = await idFor(inPlace.branch, inPlace.tip, Number(inPlace.seenAt));
    const files = readJson(join(folder, 'files.json')) as { branch?: string; files?: unknown } | null;
    if (files?.branch === inPlace.branch) writeJson(join(folder, 'files.json'), { id, files: files.files }, true);
    const paused = (readJson(join(folder, 'paused.json')) ?? {}) as Record<string, unknown>;
    const byId: Record<string, unknown> = {};
    for (const [branch, runs] of Object.entries(paused)) byId[await idFor(branch, null, Date.now())] = runs;
    if (Object.keys(byId).length > 0) writeJson(join(folder, 'paused.json'), byId, true);
    // Written last: it marks the migration as complete.
    writeJson(join(folder, 'in-place.json'), { ...inPlace, id, head: '' }, true);
  }
}

async function idOf({ known, root, ...directories }: NameSetup, name: string, tip: string | null, at: number) {
  if (tip === null) return known.idOf(name);
  const id = await known.idAt(name, at);
  const isSame = id !== null && (await hasHadCommit(root, directories, known.find(id).name, tip));
  return isSame ? id : known.addGone(name, tip);
}

function fieldsOf(path: string): Fields | null {
  const value = readJson(path) as Fields | null;
  return value !== null && typeof value.branch === 'string' ? value : null;
}
