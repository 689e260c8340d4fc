/** The remotes of a project: added, tried, pushed to and pulled from. */
import { statSync } from 'node:fs';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type {
  CollectReport,
  FetchReport,
  PullReport,
  PushReport,
  RemoteCheck,
  RemoteOffer,
  RemoteRun,
  RemoteSettings,
  RemoteState,
  RemoteSummary,
  RemoteTest,
} from '../../protocol/messages/remote.ts';
import type { PushPolicy } from '../../protocol/pushing.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import type { Store } from '../store/client.ts';
import { addRemote, type Encryption } from './adding.ts';
import { AutomaticPush, type AutomaticSetup } from './automatic/automatic.ts';
import { sendRun } from './automatic/send.ts';
import { check } from './check.ts';
import { collect } from './collect.ts';
import { type RemoteConfig, RemoteConfigs } from './config.ts';
import { LimitedDriver } from './drivers/limited.ts';
import { invalid, openDriver, type Place } from './drivers/open.ts';
import type { Variables } from './drivers/s3-credentials.ts';
import { SealedDriver } from './drivers/sealed.ts';
import { type Fetched, type FetchedRun, fetchAll, lastFetched } from './fetched.ts';
import { parseTarget } from './find.ts';
import { keyText, loadKey } from './keys.ts';
import { KnownThere } from './known.ts';
import { MARKER } from './layout.ts';
import { probe } from './probe.ts';
import { pull } from './pull.ts';
import { type Local, push, type Watcher } from './push.ts';
import { Remote } from './remote.ts';
import { chosen, everything, named } from './targets.ts';

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
  /** Surroundings of automatic pushes; absent: nothing is pushed by itself. */
  automatic?: Pick<AutomaticSetup, 'policyOf' | 'tell' | 'changed' | 'log' | 'clock'>;
}

export class Remotes {
  readonly #setup: RemotesSetup;
  readonly #configs: RemoteConfigs;
  readonly #open = new Map<string, Remote>();
  readonly #automatic: AutomaticPush | null;
  /** Results of the last fetches, by name, with the stamps of their files. */
  readonly #lastFetched = new Map<string, { at: number; size: number; fetched: Fetched }>();
  /** Environment of whoever has made the newest request: its credentials are theirs. It stays in memory. */
  #variables: Variables;

  constructor(setup: RemotesSetup) {
    this.#setup = setup;
    this.#variables = setup.variables;
    this.#configs = new RemoteConfigs(setup.path);
    this.#automatic =
      setup.automatic === undefined
        ? null
        : new AutomaticPush({
            ...setup.automatic,
            configs: this.#configs,
            isLive: async (id) => {
              const run = await setup.store.run(id);
              return run && run.trashedAt === null ? LIVE_STATUSES.includes(run.status) : null;
            },
            send: (name, run, policy, signal, progress) => this.#send(name, run, policy, { signal, progress }),
          });
  }

  /** Pushes of runs whose jobs want it; null: nobody sends anything by itself. */
  get automatic(): AutomaticPush | null {
    return this.#automatic;
  }

  async #send(name: string, id: string, policy: PushPolicy, watcher: Watcher): Promise<void> {
    const run = await this.#setup.store.run(id);
    if (run) await sendRun(this.#remote(name), this.#local, run, policy, watcher);
  }

  /** Uses another environment from now on. */
  useEnvironment(variables: Variables | undefined): void {
    if (variables && JSON.stringify(variables) !== JSON.stringify(this.#variables)) {
      this.#variables = variables;
      this.#automatic?.retry();
    }
  }

  list(): RemoteSummary[] {
    return this.#configs.list().map((config) => this.#summary(config));
  }

  /** Lists what a project offers, unless that very remote was added here. */
  offers(offered: readonly (Place & { name: string; jobs: string[] })[]): RemoteOffer[] {
    const added = new Map(this.#configs.list().map(({ name, url }) => [name, url]));
    return offered
      .filter(({ name, url }) => added.get(name) !== url)
      .map((one) => ({
        ...one,
        accepted: added.get(one.name) ?? null,
        declined: this.#configs.isDeclined(one.name, one.url),
      }));
  }

  decline(name: string, url: string): void {
    this.#configs.decline(name, url);
  }

  /** Adds a remote, after trying it. Then it is there completely, or not at all. */
  async add(
    name: string,
    place: Place,
    root: string,
    settings: Partial<RemoteSettings> & Encryption = {},
  ): Promise<{ remote: RemoteSummary; test: RemoteTest; isNew: boolean }> {
    const { push: choice = 'none', bytesPerSecond = null, encrypt, keyFile } = settings;
    const { config, test, isNew } = await addRemote(this.#configs, {
      name,
      place,
      root,
      settings: { push: choice, bytesPerSecond },
      encrypt,
      keyFile,
      variables: this.#variables,
    });
    this.#automatic?.refresh();
    return { remote: this.#summary(config), test, isNew };
  }

  /** Returns the key of an encrypted remote, as a person carries it to another machine. */
  async key(name: string): Promise<string> {
    const { key, id, url } = this.#configs.require(name);
    if (!key) throw invalid(url, 'it is not encrypted, so it has no key');
    return (await keyText(name, id, key, this.#variables)).trim();
  }

  remove(name: string): void {
    this.#configs.require(name);
    this.#open.get(name)?.driver.close();
    this.#open.delete(name);
    this.#automatic?.forget(name);
    this.#configs.remove(name);
  }

  /** Changes what is sent there by itself, and how fast. */
  change(name: string, settings: Partial<RemoteSettings>): RemoteSummary {
    const config = this.#configs.change(name, settings);
    this.#open.get(name)?.driver.close();
    this.#open.delete(name);
    this.#automatic?.refresh();
    this.#automatic?.retry();
    return this.#summary(config);
  }

  async test(name: string): Promise<RemoteTest> {
    const remote = this.#remote(name);
    await remote.requireSame();
    return probe(name, remote.driver);
  }

  /** Pushes named checkpoints and runs, or everything outside the trash. */
  async push(to: string | undefined, targets: readonly string[], watcher: Watcher): Promise<PushReport> {
    const remote = this.#remote(to ?? this.#only());
    const checkpoints = targets.length > 0 ? await named(this.#setup, targets) : await everything(this.#setup.store);
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

  /** Lists runs of remotes, the newest first: all, or those of a job, and of a branch. */
  async runs(
    name?: string,
    which: { job?: string | undefined; branch?: string | undefined; limit?: number | undefined } = {},
  ): Promise<{ runs: RemoteRun[]; total: number }> {
    const { job, branch, limit = PAGE } = which;
    const isMeant = ({ run }: FetchedRun) =>
      (job === undefined || run.job === job) && (branch === undefined || run.branch === branch);
    const names =
      name === undefined ? this.#configs.list().map((config) => config.name) : [this.#configs.require(name).name];
    const all = names.flatMap((remote) => {
      const fetched = this.#fetched(remote);
      const byRun = Map.groupBy(fetched.checkpoints, ({ checkpoint }) => checkpoint.run);
      return fetched.runs.filter(isMeant).map((found) => ({ remote, found, own: byRun.get(found.run.id) ?? [] }));
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

  /** Tells which checkpoints of a run are on which remotes, and for which the run waits. */
  async marks(run: string): Promise<{ there: Record<string, string[]>; waiting: string[] }> {
    const there: Record<string, string[]> = {};
    const names = this.#configs.list().map(({ name }) => name);
    for (const { id } of await this.#setup.store.checkpoints(run)) {
      const own = names.filter((name) => this.#remote(name).there.has(id));
      if (own.length > 0) there[id] = own;
    }
    return { there, waiting: names.filter((name) => this.#automatic?.waitingRuns(name).includes(run)) };
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
      await this.#announce(pulled.runs, [...pulled.checkpoints, ...pulled.marked]);
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

  async close(): Promise<void> {
    const ended = this.#automatic?.close();
    // What a push is waiting for ends with its connection.
    for (const { driver } of this.#open.values()) driver.close();
    this.#open.clear();
    await ended;
    // A push that was just beginning may have opened one again.
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
    const { bytesPerSecond, key, id } = config;
    const plain = openDriver(name, config, () => this.#variables);
    const driver = key ? new SealedDriver(name, plain, [MARKER], () => loadKey(name, id, key, this.#variables)) : plain;
    const limited = bytesPerSecond === null ? driver : new LimitedDriver(driver, bytesPerSecond);
    const remote = new Remote(name, config.id, limited, new KnownThere(this.#configs.path(name, 'known.json')));
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
    const path = this.#configs.fetchedPath(this.#configs.require(name).name);
    const { mtimeMs: at, size } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: 0, size: 0 };
    const known = this.#lastFetched.get(name);
    // Thousands of checkpoints take a moment to parse, and clients ask often.
    if (known?.at === at && known.size === size) return known.fetched;
    const fetched = lastFetched(path);
    this.#lastFetched.set(name, { at, size, fetched });
    return fetched;
  }

  async #fetch(name: string, watcher: Watcher): Promise<Fetched> {
    const remote = this.#remote(name);
    const fetched = await cancellable(watcher, () => fetchAll(remote, this.#configs.fetchedPath(name), watcher));
    remote.there.fetched(new Set(fetched.checkpoints.map(({ checkpoint }) => checkpoint.id)));
    remote.there.save();
    return fetched;
  }

  async #announce(runs: readonly Run[], checkpoints: readonly string[]): Promise<void> {
    const { store, announce } = this.#setup;
    for (const run of runs) announce.run(run);
    for (const id of checkpoints) {
      const checkpoint = await store.checkpoint(id);
      if (checkpoint) announce.checkpoint(checkpoint);
    }
  }

  #summary({ name, url, id, addedAt, push: choice, bytesPerSecond, key }: RemoteConfig): RemoteSummary {
    const { at, runs, checkpoints } = this.#fetched(name);
    const counts = { fetchedAt: at || null, runs: runs.length, checkpoints: checkpoints.length };
    return {
      name,
      url,
      id,
      addedAt,
      push: choice,
      bytesPerSecond,
      isSealed: key !== null,
      ...counts,
      ...this.state(name),
    };
  }

  /** State of automatic pushes to a remote. */
  state(name: string): RemoteState {
    return this.#automatic?.state(name) ?? { waiting: 0, sending: null, failing: null };
  }

  /** States of all remotes, by name. */
  states(): (RemoteState & { name: string })[] {
    return this.#configs.list().map(({ name }) => ({ name, ...this.state(name) }));
  }
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
