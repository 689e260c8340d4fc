/** A project with a store that is then made to lie, beside files of the user that must not change. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Database, openDatabase } from '../../base/sqlite.ts';
import { WorktreeRecord, writeConsent } from '../../daemon/branches/active-branch.ts';
import { KnownBranches } from '../../daemon/branches/known-branches.ts';
import { fromText } from '../../daemon/branches/paths.ts';
import { StashFolder } from '../../daemon/branches/stash-folder.ts';
import { findFile } from '../../daemon/branches/working-set.ts';
import { codeHunks } from '../../daemon/code/changes.ts';
import { copyOut, takeSnapshot } from '../../daemon/code/snapshot.ts';
import { sweepExports } from '../../daemon/export/target.ts';
import type { Device } from '../../daemon/runs/launch/launching.ts';
import { readLog } from '../../daemon/runs/log.ts';
import { OpenProject } from '../../daemon/runs/project.ts';
import { newRun, newSession } from '../../daemon/runs/records.ts';
import { scrub } from '../../daemon/scrub.ts';
import { startStore } from '../../daemon/store/client.ts';
import { rowSum } from '../../daemon/store/objects/objects.ts';
import { runContentRequest } from '../../daemon/tensors/client.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE } from '../../protocol/session.ts';
import { gitProject } from './daemon.ts';
import { gitIn } from './repository.ts';
import { CONTENT_WORKERS, UNWATCHED } from './stored.ts';
import { DIST, makeLaunch } from './trainer.ts';

const ANY_DEVICE: Device = {
  isFree: () => true,
  changed: () => {},
  look: async () => {},
  admit: () => ({ granted: true, devices: null }),
  interruptionsFor: () => [],
  obstacleToMove: async () => null,
  moved: async () => null,
};

export const CHECKPOINT = 'aaaaaaaaaaaa';
export const LATER = 'bbbbbbbbbbbb';
/** Stashes, each with files of the branch `other`. */
export const STASHES = ['cccccccccccc', 'dddddddddddd', 'eeeeeeeeeeee'] as const;
/** Number of sessions beside the run's own, which the catalog does not know. */
const SESSIONS = 5;
const DAY_MS = 86_400_000;
/** Password in a user's file: masking of secrets must not follow a link to it. */
const PASSWORD = 'kJ8vQ2mZx71pLw';

export interface Victim {
  /** Folder that contains everything that is made. */
  folder: string;
  root: string;
  store: string;
  /** The user's own file outside the project. */
  outside: string;
  run: string;
  /** Sessions; the catalog knows the first. */
  sessions: string[];
}

/** Makes a git project with a run, two checkpoints, code, a stash and files in place; `model.pt` is its script's. */
export async function makeVictim(folder: string): Promise<Victim> {
  const root = join(folder, 'project');
  mkdirSync(join(root, 'checkpoints'), { recursive: true });
  writeFileSync(join(root, 'train.py'), 'print("trains")\n');
  writeFileSync(join(root, 'trainstash.json'), '{ "files": ["checkpoints"], "jobs": {} }\n');
  writeFileSync(join(root, '.gitignore'), 'checkpoints/\n');
  gitProject(root);
  gitIn(root)('branch', 'other');
  gitIn(root)('commit', '-q', '--allow-empty', '-m', 'on');
  const git = join(root, '.git');
  const store = join(git, 'trainstash');
  const outside = join(folder, 'outside');
  mkdirSync(join(outside, 'deep'), { recursive: true });
  for (const name of ['victim', 'model.pt', 'deep/victim', 'output.log', 'old'])
    writeFileSync(join(outside, name), `${name} of the user, password=${PASSWORD}\n`);
  const long = new Date(Date.now() - 400 * DAY_MS);
  for (const name of ['old', 'deep/victim', 'deep']) utimesSync(join(outside, name), long, long);

  mkdirSync(store, { recursive: true });
  const first = (await takeSnapshot(root, store))!;
  writeFileSync(join(root, 'train.py'), 'print("trains better")\n');
  const second = (await takeSnapshot(root, store))!;
  writeFileSync(join(root, 'train.py'), 'print("trains")\n');

  const opened = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path: store, quotaBytes: 1e12 });
  const identity = { branch: 'main', commit: null, dirty: false, code: first.tree, codeLeftOut: [] };
  const command = { words: ['true'], cwd: '' };
  const run = await opened.createRun({
    ...newRun({
      job: 'true',
      params: {},
      overrides: [],
      seed: 0,
      backend: '',
      identity,
      restarts: 0,
      kind: 'command',
      command,
    }),
    status: 'paused',
    cooperative: false,
    endedAt: 1,
  });
  const session = { ...newSession(run, 'train', null), endedAt: 1 };
  await opened.putSession(session);
  await opened.changeRun(run.id, { set: { session: session.id, sessions: 1 } });
  for (const [i, id] of [CHECKPOINT, LATER].entries()) {
    const directory = join(folder, id);
    mkdirSync(join(directory, 'sub'), { recursive: true });
    const files = ['model.pt', 'sub/optimizer.pt'].map((name) => {
      const bytes = createHash('sha512').update(`${name} ${i}`).digest();
      writeFileSync(join(directory, name), bytes);
      return { name, bytes: bytes.length };
    });
    const facts = { ...blankCheckpointFile(id, session.id, 10 + i, Date.now()), files, place: 'checkpoints/saved' };
    writeFileSync(join(directory, CHECKPOINT_FILE), JSON.stringify(facts));
    const made = { ...run, code: i === 0 ? first.tree : second.tree };
    await opened.saveCheckpoint({ directory, run: made, session }, 0);
    rmSync(directory, { recursive: true });
  }
  writeFileSync(join(root, 'checkpoints/kept.pt'), 'follows main');
  const kept = findFile(root, fromText('checkpoints/kept.pt'), new Set())!;
  const saved = await opened.saveFile({ root, branch: 'main', path: kept.path, expected: kept });
  await opened.close();

  const sessions = [session.id, ...Array.from({ length: SESSIONS }, (_, i) => `session${i}`)];
  for (const id of sessions) {
    const directory = join(store, 'sessions', id);
    for (const name of ['inbox', 'taking']) mkdirSync(join(directory, name), { recursive: true });
    const own = { session: id, run: run.id, runNumber: 1, job: 'true', root, cwd: root, module: '' };
    writeFileSync(join(directory, 'launch.json'), JSON.stringify(makeLaunch(own)));
    const exit = { outcome: 'paused', step: 11, at: 1, reason: '', error: null };
    writeFileSync(join(directory, 'exit.json'), JSON.stringify(exit));
    writeFileSync(join(directory, 'output.log'), 'what it printed\n');
  }

  writeConsent(store, true);
  const known = new KnownBranches({
    root,
    gitDirectory: git,
    common: git,
    storePath: store,
    renamed: async () => {},
    mayWrite: () => true,
  });
  await known.look(true);
  const [main, other] = await Promise.all([known.idOf('main'), known.idOf('other')]);
  const record = new WorktreeRecord(store, 'main-worktree');
  const tip = gitIn(root)('rev-parse', 'main').trim();
  record.setInPlace({ branch: 'main', id: main, tip, seenAt: Date.now(), branches: ['main', 'other'], head: '' });
  const { ino, bytes, mtimeMs, mode } = kept;
  record.setFiles(new Map([[kept.path, { ino, bytes, mtimeMs, mode, run: null, saved: saved!.id }]]));
  const entry = StashFolder.create(
    store,
    { branch: 'other', branchId: other, tip: null, worktree: 'main-worktree', state: 'stashed', reason: 'switch' },
    [{ path: fromText('checkpoints/shelved.pt'), bytes: 7, mtimeMs: 1, mode: 0o644, run: null, saved: null }],
    [{ path: fromText('checkpoints/stored.pt'), bytes: 12, mtimeMs: 1, mode: 0o644, run: null, saved: saved!.id }],
  );
  for (const id of STASHES) {
    const own = join(store, 'shelf', id);
    cpSync(entry.directory, own, { recursive: true });
    change<{ files: { path: string }[] }>(join(own, 'owner.json'), (owner) => ({
      ...owner,
      id,
      files: owner.files.map((file) => ({ ...file, path: `${file.path}-${id}` })),
    }));
    writeFileSync(join(own, 'files/0'), 'shelved');
  }
  entry.remove();
  return { folder, root, store, outside, run: run.id, sessions };
}

/** Copies a victim to a folder of its own. */
export function copyOf({ folder, run, sessions }: Victim, to: string): Victim {
  cpSync(folder, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  const root = join(to, 'project');
  return { folder: to, root, store: join(root, '.git/trainstash'), outside: join(to, 'outside'), run, sessions };
}

// ---- lies ----

// biome-ignore lint/suspicious/noExplicitAny: a lie need not have the shape of the truth.
export type Lie = (truth: any) => unknown;

export function change<T>(path: string, work: (value: T) => unknown): void {
  writeFileSync(path, JSON.stringify(work(JSON.parse(readFileSync(path, 'utf8')))));
}

export function inDatabase(
  victim: Victim,
  name: 'objects.db' | 'catalog.db',
  work: (database: Database) => void,
): void {
  const database = openDatabase(join(victim.store, name));
  try {
    database.exec('PRAGMA foreign_keys=OFF');
    work(database);
  } finally {
    database.close();
  }
}

/** Replaces the description in a saved row, with a matching checksum. */
export function lieInBody(victim: Victim, lie: Lie, id = CHECKPOINT): void {
  inDatabase(victim, 'objects.db', (database) => {
    const row = database.prepare('SELECT * FROM saved WHERE id = ?').get(id) as never as Parameters<typeof rowSum>[0];
    const told = lie(JSON.parse(row.body));
    const body = typeof told === 'string' ? told : JSON.stringify(told);
    database.prepare('UPDATE saved SET body = ?, sum = ? WHERE id = ?').run(body, rowSum({ ...row, body }), id);
  });
  forgetCatalog(victim, id);
}

/** Makes the catalog follow objects.db. */
function forgetCatalog(victim: Victim, id: string): void {
  inDatabase(victim, 'catalog.db', (database) => {
    database.prepare("DELETE FROM meta WHERE key = 'followed'").run();
    database.prepare('SELECT 1 FROM checkpoint WHERE id = ?').get(id);
  });
}

export function lieInCatalog(victim: Victim, table: 'run' | 'session' | 'checkpoint', lie: Lie): void {
  inDatabase(victim, 'catalog.db', (database) => {
    const { id, body } = database.prepare(`SELECT id, body FROM ${table} LIMIT 1`).get()!;
    database.prepare(`UPDATE ${table} SET body = ? WHERE id = ?`).run(JSON.stringify(lie(JSON.parse(body))), id);
  });
}

/** Puts a link in the place of a file of the store. */
export function link(path: string, target: string): void {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(join(path, '..'), { recursive: true });
  symlinkSync(target, path);
}

// ---- operations on it ----

/**
 * Does everything that a person may ask of the store, whatever the outcome. Resolves with bugs, or with the code of the error that
 * keeps the store from being opened.
 */
export async function useAll(victim: Victim): Promise<string[]> {
  const { root, store, folder, run } = victim;
  const bugs: string[] = [];
  const attempt = async <T>(what: string, work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!isTyped(error) || error.code === 'internal') bugs.push(`${what}: ${(error as Error).stack}`);
      return undefined;
    }
  };
  const out = join(folder, 'out');
  mkdirSync(out, { recursive: true });
  const place = { root, store, git: true };
  let project: OpenProject;
  try {
    project = await OpenProject.open(place, setup(folder));
  } catch (error) {
    return [isTyped(error) ? error.code : String((error as Error).stack)];
  }
  const { store: opened, worktrees, runs } = project;
  const listed =
    (await attempt('ls', () => opened.runs({ drafts: true, trashed: false, before: null, limit: 100 })))?.runs ?? [];
  for (const { id } of listed) {
    await attempt('show', () => opened.showRun(id, 100));
    await attempt('metrics', () => opened.queryMetrics(id, {}));
    await attempt('log', async () => readLog(project.context, (await opened.run(id))!, { offset: 0 }));
    await attempt('kept', () => project.kept(id));
  }
  for (const id of [CHECKPOINT, LATER]) {
    await attempt('restore', () => opened.restoreCheckpoint(id, join(out, `restored-${id}`)));
    const request = { do: 'exportOriginal' as const, checkpoint: id, path: join(out, `exported-${id}`) };
    await attempt('export', () => runContentRequest(CONTENT_WORKERS, opened, request, UNWATCHED));
    await attempt('code', async () => copyOut(store, (await project.codeOf(id)).code, join(out, `code-${id}`)));
  }
  await attempt('diff', async () => {
    const [one, other] = await Promise.all([CHECKPOINT, LATER].map((id) => opened.checkpointFacts(id)));
    return one?.run.code && other?.run.code ? codeHunks(store, one.run.code, other.run.code, 1e6) : [];
  });
  await attempt('stashes', () => worktrees.stashes.list());
  const restore = (stash: string, to?: string) =>
    worktrees.exclusively(root, (stashes) => stashes.restore(root, stash, to));
  for (const stash of STASHES)
    await attempt('stash restore to a folder', () => restore(stash, join(out, `stash-${stash}`)));
  for (const branch of ['other', 'main'])
    await attempt('switch', () => {
      spawnSync('git', ['switch', '-q', branch], { cwd: root });
      return worktrees.sync(root, 'move');
    });
  for (const stash of STASHES) await attempt('stash restore', () => restore(stash));
  const environment = { PATH: process.env.PATH ?? '' };
  for (const from of [LATER, CHECKPOINT]) {
    await attempt('preflight', () => runs.preflight({ run, from, environment }));
    await attempt('resume', () => runs.resume({ run, from, environment, accept: true }));
    await attempt('settle', () => runs.settle());
  }
  await attempt('fork', () => runs.fork({ run, from: CHECKPOINT, environment, accept: true }));
  await attempt('settle', () => runs.settle());
  await attempt('tag', () => opened.tag(CHECKPOINT, 'tagged', false));
  await attempt('remove', () => project.trash.remove([run], false));
  const masking = { apply: true, logs: true, ownLogs: [], searchEntry: join(DIST, 'search-files.js') };
  await attempt('scrub', () => scrub(project, masking));
  await attempt('gc', () => opened.gc(true));
  await attempt('pack', () => opened.pack(2_000, 0));
  await attempt('fsck', () => opened.fsck(false));
  await attempt('eject', () => project.eject(join(out, 'ejected')));
  await project.close();
  return bugs;
}

function isTyped(error: unknown): error is TrainstashError {
  return error instanceof TrainstashError;
}

function setup(folder: string): Parameters<typeof OpenProject.open>[1] {
  const runner = join(folder, 'runner.mjs');
  writeFileSync(runner, '');
  return {
    storeWorker: pathToFileURL(join(DIST, 'store-worker.js')),
    trainer: runner,
    runner,
    backends: null as never,
    announce: () => ({ project() {}, run() {}, checkpoint() {}, metrics() {}, notice() {} }),
    log: () => {},
    isWhole: async () => true,
    device: ANY_DEVICE,
    ownEnvironment: { environment: {} },
    // The store has been accepted: nothing holds it back.
    isTrusted: () => false,
    sweep: sweepExports,
    made: { isNew: () => false, isOurs: () => true, bind: () => {} },
  };
}

// ---- checks that nothing happened ----

/** Returns each path below a folder, with its kind, content and time. */
export function stateOf(folder: string, skip: readonly string[] = []): Map<string, string> {
  const state = new Map<string, string>();
  const look = (path: string) => {
    const name = relative(folder, path);
    if (skip.includes(name)) return;
    const stat = lstatSync(path);
    const what = stat.isSymbolicLink()
      ? `link to ${readlinkSync(path)}`
      : stat.isFile()
        ? createHash('sha256').update(readFileSync(path)).digest('hex')
        : 'folder';
    state.set(name, `${what} ${stat.mode.toString(8)} ${stat.mtimeMs}`);
    if (stat.isDirectory()) for (const entry of readdirSync(path).sort()) look(join(path, entry));
  };
  if (existsSync(folder)) look(folder);
  return state;
}
