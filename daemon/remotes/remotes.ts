/** The remotes of a project: added, tried, pushed to and pulled from. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type {
  CollectReport,
  FetchReport,
  PullReport,
  PushReport,
  RemoteCheck,
  RemoteRun,
  RemoteSummary,
  RemoteTest,
} from '../../protocol/messages/remote.ts';
import { rootCommits } from '../code/bundle.ts';
import type { Store } from '../store/client.ts';
import { check } from './check.ts';
import { collect } from './collect.ts';
import { type RemoteConfig, RemoteConfigs } from './config.ts';
import { openDriver, type Place } from './drivers/open.ts';
import type { Variables } from './drivers/s3-credentials.ts';
import { type Fetched, type FetchedCheckpoint, type FetchedRun, fetchAll, lastFetched } from './fetched.ts';
import { findFetchedCheckpoint, findFetchedRun, parseTarget } from './find.ts';
import { probe } from './probe.ts';
import { pull } from './pull.ts';
import { type Local, push, type Watcher } from './push.ts';
import { joinOrCreate, Remote, readMarker } from './remote.ts';

const PAGE = 200;
const MOST_PROBLEMS = 50;

export interface RemotesSetup {
  store: Store;
  /** Folder of the store. */
  path: string;
  /** Environment for requests that bring none along. */
  variables: Variables;
  /** Finds a checkpoint that a user names. */
  findCheckpoint(query: string): Promise<Checkpoint>;
  /** Reports runs and checkpoints that came in. */
  announce: { run(run: Run): void; checkpoint(checkpoint: Checkpoint): void };
}

export class Remotes {
  readonly #setup: RemotesSetup;
  readonly #configs: RemoteConfigs;
  readonly #open = new Map<string, Remote>();
  /** Environment of whoever has made the newest request: its credentials are theirs. It stays in memory. */
  #variables: Variables;

  constructor(setup: RemotesSetup) {
    this.#setup = setup;
    this.#variables = setup.variables;
    this.#configs = new RemoteConfigs(setup.path);
  }

  /** Uses another environment from now on. */
  useEnvironment(variables: Variables | undefined): void {
    if (variables && JSON.stringify(variables) !== JSON.stringify(this.#variables)) this.#variables = variables;
  }

  list(): RemoteSummary[] {
    return this.#configs.list().map((config) => this.#summary(config));
  }

  /** Adds a remote, after trying it. Then it is there completely, or not at all. */
  async add(
    name: string,
    place: Place,
    root: string,
  ): Promise<{ remote: RemoteSummary; test: RemoteTest; isNew: boolean }> {
    const { url } = place;
    this.#configs.requireFree(name, url);
    const driver = openDriver(name, place, () => this.#variables);
    try {
      const roots = await rootCommits(root);
      if (!(await driver.exists())) await driver.create();
      const isNew = (await readMarker(name, driver)) === null;
      const marker = await joinOrCreate(name, driver, roots);
      const test = await probe(name, driver);
      const config: RemoteConfig = { name, ...place, id: marker.id, addedAt: Date.now() };
      this.#configs.add(config);
      return { remote: this.#summary(config), test, isNew };
    } finally {
      driver.close();
    }
  }

  remove(name: string): void {
    this.#configs.require(name);
    this.#open.get(name)?.driver.close();
    this.#open.delete(name);
    this.#configs.remove(name);
  }

  async test(name: string): Promise<RemoteTest> {
    const remote = this.#remote(name);
    await remote.requireSame();
    return probe(name, remote.driver);
  }

  /** Pushes named checkpoints and runs, or everything outside the trash. */
  async push(to: string | undefined, targets: readonly string[], watcher: Watcher): Promise<PushReport> {
    const remote = this.#remote(to ?? this.#only());
    const checkpoints = targets.length > 0 ? await this.#named(targets) : await this.#everything();
    const pushed = await cancellable(watcher, () => push(remote, this.#local, checkpoints, watcher));
    return { ...pushed, remote: remote.name, checkpoints: pushed.checkpoints.length };
  }

  /** Reads what the named remote has, or all of them. */
  async fetch(name: string | undefined, watcher: Watcher): Promise<FetchReport[]> {
    const names = name === undefined ? this.#configs.list().map((config) => config.name) : [name];
    const reports: FetchReport[] = [];
    for (const each of names) {
      const before = this.#fetched(each).checkpoints.length;
      const { runs, checkpoints, problems } = await this.#fetch(each, watcher);
      const fresh = Math.max(0, checkpoints.length - before);
      const counts = { runs: runs.length, checkpoints: checkpoints.length, fresh };
      reports.push({ remote: each, ...counts, problems: problems.slice(0, MOST_PROBLEMS) });
    }
    return reports;
  }

  async runs(name: string | undefined, limit = PAGE): Promise<{ runs: RemoteRun[]; total: number }> {
    const names =
      name === undefined ? this.#configs.list().map((config) => config.name) : [this.#configs.require(name).name];
    const all = names.flatMap((remote) => {
      const fetched = this.#fetched(remote);
      const byRun = Map.groupBy(fetched.checkpoints, ({ checkpoint }) => checkpoint.run);
      return fetched.runs.map((found) => ({ remote, found, own: byRun.get(found.run.id) ?? [] }));
    });
    const newest = all
      .sort((a, b) => b.found.run.createdAt - a.found.run.createdAt)
      .slice(0, Math.min(limit || PAGE, PAGE));
    const { store } = this.#setup;
    const runs: RemoteRun[] = [];
    for (const { remote, found, own } of newest) {
      const here = await store.run(found.run.id);
      const known = new Set((here ? await store.checkpoints(found.run.id, true) : []).map(({ id }) => id));
      const last = own
        .map(({ checkpoint }) => checkpoint)
        .sort((a, b) => a.createdAt - b.createdAt)
        .at(-1);
      runs.push({
        remote,
        // Notices are long, and nobody shows them here.
        run: { ...found.run, notices: [] },
        machine: found.machine,
        sentAt: found.sentAt,
        checkpoints: own.length,
        missing: own.filter(({ checkpoint }) => !known.has(checkpoint.id)).length,
        number: here?.number ?? null,
        newest: last ? { id: last.id, step: last.step } : null,
      });
    }
    return { runs, total: all.length };
  }

  /** Pulls what is named, after a fetch of its remote. */
  async pull(targets: readonly string[], watcher: Watcher): Promise<PullReport> {
    const parsed = targets.map(parseTarget);
    for (const { remote } of parsed) this.#configs.require(remote);
    const report: PullReport = { checkpoints: 0, present: 0, bytes: 0, runs: [], checkpoint: null, problems: [] };
    for (const [name, own] of Map.groupBy(parsed, ({ remote }) => remote)) {
      const silent = { signal: watcher.signal, progress: () => {} };
      const fetched = await this.#fetch(name, silent);
      const { runs, checkpoints } = chosen(fetched, name, own);
      const remote = this.#remote(name);
      const pulled = await cancellable(watcher, () => pull(remote, this.#local, runs, checkpoints, watcher));
      report.checkpoints += pulled.checkpoints.length;
      report.present += pulled.present;
      report.bytes += pulled.bytes;
      report.runs.push(...pulled.runs.slice(0, PAGE).map((run) => ({ ...run, notices: [] })));
      report.problems.push(...fetched.problems.slice(0, MOST_PROBLEMS), ...pulled.problems.slice(0, MOST_PROBLEMS));
      await this.#announce(pulled.runs, pulled.checkpoints);
      if (targets.length === 1 && own[0]!.checkpoint !== undefined)
        report.checkpoint = (await this.#setup.store.checkpoint(checkpoints[0]!.checkpoint.id)) ?? null;
    }
    return report;
  }

  async collect(name: string, dryRun: boolean, watcher: Watcher): Promise<CollectReport> {
    const remote = this.#remote(name);
    return cancellable(watcher, () => collect(remote, dryRun, watcher));
  }

  async check(name: string, data: boolean, watcher: Watcher): Promise<RemoteCheck> {
    const remote = this.#remote(name);
    return cancellable(watcher, () => check(remote, data, watcher));
  }

  close(): void {
    for (const { driver } of this.#open.values()) driver.close();
    this.#open.clear();
  }

  get #local(): Local {
    return { store: this.#setup.store, path: this.#setup.path };
  }

  #remote(name: string): Remote {
    const config = this.#configs.require(name);
    const known = this.#open.get(name);
    if (known?.id === config.id) return known;
    const remote = new Remote(
      name,
      config.id,
      openDriver(name, config, () => this.#variables),
    );
    this.#open.set(name, remote);
    return remote;
  }

  /** Returns the remote that is meant when none is named. */
  #only(): string {
    const names = this.#configs.list().map(({ name }) => name);
    const meant = names.length === 1 ? names[0] : names.find((name) => name === 'origin');
    if (meant) return meant;
    if (names.length === 0) return this.#configs.require('origin').name;
    throw new TrainstashError(
      'ambiguous',
      `There are ${names.length} remotes; name one with --to: ${names.join(', ')}.`,
      {
        what: 'remote',
        query: '',
        matches: names,
      },
    );
  }

  #fetched(name: string): Fetched {
    return lastFetched(this.#configs.fetchedPath(this.#configs.require(name).name));
  }

  async #fetch(name: string, watcher: Watcher): Promise<Fetched> {
    const remote = this.#remote(name);
    return cancellable(watcher, () => fetchAll(remote, this.#configs.fetchedPath(name), watcher));
  }

  /** Resolves `RUN` to all of its checkpoints, and everything else to one. */
  async #named(targets: readonly string[]): Promise<Checkpoint[]> {
    const { store, findCheckpoint } = this.#setup;
    const found = new Map<string, Checkpoint>();
    for (const target of targets) {
      const run = target.includes('@') ? null : await store.findRun(target).catch(() => null);
      const checkpoints = run ? await store.checkpoints(run.id) : [await findCheckpoint(target)];
      for (const checkpoint of checkpoints) found.set(checkpoint.id, checkpoint);
    }
    return [...found.values()];
  }

  async #everything(): Promise<Checkpoint[]> {
    const { store } = this.#setup;
    const found: Checkpoint[] = [];
    for (let before: number | null = null; ; ) {
      const { runs } = await store.runs({ drafts: true, trashed: false, before, limit: PAGE });
      for (const run of runs) found.push(...(await store.checkpoints(run.id)));
      if (runs.length < PAGE) return found;
      before = runs.at(-1)!.number;
    }
  }

  async #announce(runs: readonly Run[], checkpoints: readonly string[]): Promise<void> {
    const { store, announce } = this.#setup;
    for (const run of runs) announce.run(run);
    for (const id of checkpoints) {
      const checkpoint = await store.checkpoint(id);
      if (checkpoint) announce.checkpoint(checkpoint);
    }
  }

  #summary({ name, url, id, addedAt }: RemoteConfig): RemoteSummary {
    const { at, runs, checkpoints } = this.#fetched(name);
    return { name, url, id, addedAt, fetchedAt: at || null, runs: runs.length, checkpoints: checkpoints.length };
  }
}

/** Chooses what targets name, among what was fetched. */
function chosen(
  fetched: Fetched,
  name: string,
  targets: readonly { run?: string; checkpoint?: string }[],
): { runs: FetchedRun[]; checkpoints: FetchedCheckpoint[] } {
  const runs = new Map<string, FetchedRun>();
  const checkpoints = new Map<string, FetchedCheckpoint>();
  for (const { run: query, checkpoint } of targets) {
    const found = query === undefined ? fetched.runs : [findFetchedRun(fetched, name, query)];
    for (const one of found) runs.set(one.run.id, one);
    const own = checkpoint
      ? [findFetchedCheckpoint(fetched, name, found[0]!, checkpoint)]
      : fetched.checkpoints.filter((entry) => found.some(({ run }) => run.id === entry.checkpoint.run));
    for (const one of own) checkpoints.set(one.checkpoint.id, one);
  }
  const byAge = [...checkpoints.values()].sort((a, b) => a.checkpoint.createdAt - b.checkpoint.createdAt);
  return { runs: [...runs.values()].sort((a, b) => a.run.createdAt - b.run.createdAt), checkpoints: byAge };
}

async function cancellable<T>({ signal }: Watcher, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new TrainstashError(
      'cancelled',
      'Cancelled. Checkpoints that were complete by then stay; the rest continues where it stopped when you try again.',
      {},
    );
  }
}
