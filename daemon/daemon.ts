/** State of the daemon: open projects, trust, revision, and when it may exit. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { StatePaths } from '../base/paths.ts';
import { isWholeFile } from '../inspector/inspect.ts';
import { InspectorPool, inspectorSetup } from '../inspector/pool.ts';
import type { Run } from '../protocol/domain.ts';
import type { DaemonState, DaemonStatus } from '../protocol/messages/daemon.ts';
import { projectChanged } from '../protocol/messages/project.ts';
import type { FsckReport } from '../protocol/messages/store.ts';
import type { Build } from '../protocol/version.ts';
import { announcerOf } from './announcer.ts';
import { type Backends, backendsOf } from './backend-selection/backends.ts';
import type { ClientInfo, Clients } from './clients.ts';
import { findProject, isStillAt, type Place } from './code/project.ts';
import { sweepExports } from './export/target.ts';
import { IdlePacking } from './idle-packing.ts';
import { isLink, KnownPlaces } from './known.ts';
import { type Entry, isBusy } from './open-entry.ts';
import { remotesOfProject } from './project-remotes.ts';
import { sweepsOfProject } from './project-sweeps.ts';
import { DeviceQueue } from './queue/device-queue.ts';
import { SettingsFile } from './queue/settings.ts';
import type { Remotes } from './remotes/remotes.ts';
import type { Announcer } from './runs/context.ts';
import { describeProject } from './runs/describe.ts';
import { madeElsewhere } from './runs/errors.ts';
import { ownEnvironment } from './runs/launch/environments.ts';
import { hasQueue } from './runs/launch/queue.ts';
import { canMoveStore, moveStore } from './runs/move-store.ts';
import { OpenProject } from './runs/project.ts';
import { lookAtStore } from './store/client.ts';
import { hasRunningSweep } from './sweeps/records.ts';
import type { Sweeps } from './sweeps/sweeps.ts';
import type { ContentWorkers } from './tensors/client.ts';
import { hasUnfinishedSession, hasWaitingPushes } from './unfinished.ts';

/**
 * Idle time after which a project is closed. An open project costs a worker thread; opening it again takes some ten
 * milliseconds.
 */
const PROJECT_IDLE_MS = 120_000;

export interface DaemonSetup {
  clients: Clients;
  paths: StatePaths;
  build: Build;
  /** Folder of the bundles. */
  runtime: string;
  log(text: string): void;
  stop(reason: string): void;
  quotaBytes?: number;
}

export class Daemon {
  readonly build: Build;
  readonly startedAt = Date.now();
  readonly backends: Backends;
  /** Bundle of the importer's process. */
  get importer(): string {
    return join(this.#setup.runtime, 'importer.js');
  }

  readonly inspectors: InspectorPool;
  /** Queue of runs that wait for the device. */
  readonly device: DeviceQueue;
  revision = 0;
  readonly #setup: DaemonSetup;
  readonly #projects = new Map<string, Entry>();
  readonly #places = new Map<string, Place>();
  /** Stores whose projects a client wants to stay open. */
  readonly #watched = new Map<ClientInfo, Set<string>>();
  readonly #known: KnownPlaces;

  constructor(setup: DaemonSetup) {
    this.#setup = setup;
    this.build = setup.build;
    this.backends = backendsOf(setup.paths, setup.runtime, setup.build);
    this.inspectors = new InspectorPool(inspectorSetup(setup.runtime));
    this.device = new DeviceQueue(() => this.#open(), new SettingsFile(setup.paths.projects), setup.log);
    this.#known = new KnownPlaces(setup.paths.projects);
  }

  get contentWorkers(): ContentWorkers {
    return { thread: pathToFileURL(join(this.#setup.runtime, 'content-thread.js')), looking: this.inspectors };
  }

  /** Paths that a scrub needs: the daemon's own logs, and the bundle that searches files. */
  get scrubPaths(): { ownLogs: string[]; searchEntry: string } {
    const { paths, runtime } = this.#setup;
    return { ownLogs: [paths.log, `${paths.log}.1`], searchEntry: join(runtime, 'search-files.js') };
  }

  /**
   * Opens the project of a folder, or returns the open one. `accept`: the user has said that its store may be used,
   * wherever it was made. Rejects with `storeElsewhere` for a store that is a link: not even viewing it is safe.
   */
  async project(folder: string, { create = false, accept = false } = {}): Promise<OpenProject> {
    const place = await this.#movedFromTree(await this.#place(folder, create), folder);
    if (isLink(place.store)) {
      if (accept) this.#known.follow(place.store);
      if (!this.#known.mayFollow(place.store)) throw madeElsewhere(place);
    }
    const opened = await this.#opened(place);
    if (accept && !opened.isOurs) {
      await opened.accept();
      this.sweepsOf(opened).begin();
      this.#settleHead(opened, place);
      void this.#announceProject(opened, place.root);
    }
    return opened;
  }

  async #opened(place: Place): Promise<OpenProject> {
    const entry = this.#projects.get(place.store);
    if (entry) {
      entry.usedAt = Date.now();
      const opened = await entry.opening;
      // Another worktree of the project is trusted and remembered separately.
      this.#known.remember(place.root, place.store);
      if (opened.exists) return opened;
      this.#setup.log(`${place.store} was deleted`);
      await this.forget(opened);
    }
    // After a move of the repository its store is still open under the old name, and it can have only one owner.
    for (const { opened } of [...this.#projects.values()]) if (opened && !opened.exists) await this.forget(opened);
    const opening = OpenProject.open(place, {
      storeWorker: this.#storeWorker,
      trainer: join(this.#setup.runtime, 'trainer.js'),
      runner: join(this.#setup.runtime, 'runner.js'),
      backends: this.backends,
      isWhole: (path, name, bytes) => isWholeFile(this.inspectors, { path, name, bytes }),
      announce: (where) => this.#announcer(where),
      log: this.#setup.log,
      device: this.device.forProjects,
      ownEnvironment: { environment: ownEnvironment() },
      quotaBytes: this.#setup.quotaBytes,
      isTrusted: (root) => this.isTrusted(root),
      made: this.#known,
      sweep: sweepExports,
    });
    const packing = new IdlePacking();
    const created: Entry = {
      opening,
      opened: null,
      usedAt: Date.now(),
      packing,
      remotes: null,
      transfers: 0,
      sweeps: null,
    };
    this.#projects.set(place.store, created);
    try {
      created.opened = await opening;
    } catch (error) {
      this.#projects.delete(place.store);
      throw error;
    }
    this.#known.remember(place.root, place.store);
    // What an earlier daemon has not sent goes on.
    if (created.opened.isOurs && hasWaitingPushes(place.store)) this.#remotesOf(created, created.opened);
    created.sweeps = sweepsOfProject(created.opened, {
      runtime: this.#setup.runtime,
      isTrusted: (root) => this.isTrusted(root),
      width: () => this.device.settings.current.width,
      notify: (notification, params) => this.#setup.clients.notify(notification, params),
      log: this.#setup.log,
    });
    if (created.opened.runs.queued.size + created.opened.runs.moves.size > 0) void this.device.changed();
    this.#settleHead(created.opened, place);
    return created.opened;
  }

  /** Returns the sweeps of an open project. */
  sweepsOf(project: OpenProject): Sweeps {
    return this.#projects.get(project.place.store)!.sweeps!;
  }

  /** Settles the moves of HEAD that happened while the daemon was not running. */
  #settleHead(project: OpenProject, { git, root }: Place): void {
    if (git) void project.worktrees.at(root).catch((error: Error) => this.#setup.log(error.message));
  }

  /** Examines a store without opening it, since it contains entries that are not ours. */
  async look(folder: string): Promise<FsckReport> {
    const { store } = await this.#place(folder, false);
    return lookAtStore(this.#storeWorker, store);
  }

  get #storeWorker(): URL {
    return pathToFileURL(join(this.#setup.runtime, 'store-worker.js'));
  }

  /** Works with the remotes of a project, which stays open meanwhile. */
  async transferring<T>(project: OpenProject, work: (remotes: Remotes) => T | Promise<T>): Promise<T> {
    const entry = this.#projects.get(project.place.store)!;
    const remotes = this.#remotesOf(entry, project);
    entry.transfers++;
    try {
      return await work(remotes);
    } finally {
      entry.transfers--;
      entry.usedAt = Date.now();
    }
  }

  #remotesOf(entry: Entry, project: OpenProject): Remotes {
    entry.remotes ??= remotesOfProject(project, {
      variables: ownEnvironment(),
      notify: (notification, params) => this.#setup.clients.notify(notification, params),
      log: this.#setup.log,
    });
    return entry.remotes;
  }

  /** Notes what may have to be pushed. A store from elsewhere pushes nothing: its remotes are not ours. */
  #noticed({ store }: Place, run: string, session: string): void {
    const entry = this.#projects.get(store);
    if (entry?.opened?.isOurs) this.#remotesOf(entry, entry.opened).automatic?.noticed(run, session);
  }

  /** Closes a project; the next request opens it again. */
  async forget(project: OpenProject): Promise<void> {
    const { remotes = null, sweeps = null } = this.#projects.get(project.place.store) ?? {};
    sweeps?.close();
    await remotes?.close();
    this.#projects.delete(project.place.store);
    this.#places.clear();
    await project.close();
  }

  /** Keeps a project open, and reports moves of its HEAD, until the client leaves. */
  async watch(project: OpenProject, root: string, client: ClientInfo): Promise<void> {
    const stores = this.#watched.get(client) ?? new Set();
    this.#watched.set(client, stores.add(project.place.store));
    await project.worktrees.at(root);
  }

  /** Looks anew where projects have their stores. */
  forgetPlaces(): void {
    this.#places.clear();
  }

  /** Returns the root of a folder's worktree. */
  async rootOf(folder: string): Promise<string> {
    return (await this.#place(folder, false)).root;
  }

  clientLeft(client: ClientInfo): void {
    this.#watched.delete(client);
  }

  isTrusted(root: string): boolean {
    return this.#known.isTrusted(root);
  }

  trust(root: string): void {
    if (!this.#known.trust(root)) return;
    for (const project of this.#open()) if (project.place.root === root) void this.#announceProject(project, root);
  }

  liveRuns(): { project: OpenProject; run: Run }[] {
    return this.#open().flatMap((project) => project.runs.liveRuns().map((run) => ({ project, run })));
  }

  get busy(): boolean {
    return [...this.#projects.values()].some(isBusy);
  }

  async state(): Promise<DaemonState> {
    const projects = await Promise.all(
      this.#open().map((project) => describeProject(project, project.place.root, this.isTrusted(project.place.root))),
    );
    return { revision: this.revision, projects, live: this.liveRuns().map(({ run }) => run) };
  }

  async status(): Promise<DaemonStatus> {
    const drivers = await Promise.all(this.#open().map(async ({ store }) => (await store.info()).driver));
    return {
      pid: process.pid,
      build: this.build,
      node: `${process.version} (${process.execPath})`,
      sqlite: drivers[0] ?? 'no store open',
      startedAt: this.startedAt,
      clients: this.#setup.clients.count,
      residentBytes: process.memoryUsage.rss(),
      live: this.liveRuns().map(({ project, run }) => ({
        root: project.place.root,
        run: run.id,
        name: run.name,
        status: run.status,
      })),
      stateDirectory: this.#setup.paths.directory,
      log: this.#setup.paths.log,
    };
  }

  stopSoon(reason: string): void {
    // After the answer has been sent.
    setTimeout(() => this.#setup.stop(reason), 20);
  }

  /** Takes over sessions that ran without a daemon at once, not on the first request, and continues the queue. */
  async openUnfinished(): Promise<void> {
    for (const { root, store, trusted } of this.#known.projects) {
      const goesOn = trusted && (hasQueue(store) || hasRunningSweep(store));
      const isUnfinished = hasUnfinishedSession(store) || hasWaitingPushes(store) || goesOn;
      if (!isUnfinished || !existsSync(root)) continue;
      await this.project(root).catch((error: Error) => this.#setup.log(`${root}: ${error.message}`));
    }
  }

  /** Looks at runs that wait for their code or a branch's files, about which no event comes. */
  lookAtQueue(): void {
    if (this.#open().some(({ runs }) => runs.queued.size + runs.moves.size > 0)) void this.device.changed();
  }

  async closeIdleProjects(): Promise<void> {
    const limit = Date.now() - PROJECT_IDLE_MS;
    const watched = new Set([...this.#watched.values()].flatMap((stores) => [...stores]));
    for (const [store, entry] of [...this.#projects]) {
      const isIdle = entry.opened && !isBusy(entry);
      if (isIdle && entry.usedAt < limit && !watched.has(store)) await this.forget(entry.opened!);
    }
  }

  packWhileIdle(): void {
    for (const entry of this.#projects.values()) {
      if (!entry.opened?.isOurs) continue;
      const { store, place } = entry.opened;
      const log = (text: string) => this.#setup.log(`${place.store}: ${text}`);
      void entry.packing.run(
        store,
        () => entry.usedAt,
        () => this.liveRuns().length,
        log,
      );
    }
  }

  async close(): Promise<void> {
    this.inspectors.close();
    await Promise.all(this.#open().map((project) => this.forget(project)));
  }

  #open(): OpenProject[] {
    return [...this.#projects.values()].flatMap(({ opened }) => (opened ? [opened] : []));
  }

  async #place(folder: string, create: boolean): Promise<Place> {
    const known = this.#places.get(folder);
    if (known && known.moveTo === undefined && isStillAt(known, folder)) return known;
    const place = await findProject(folder, create);
    this.#places.set(folder, place);
    return place;
  }

  /** Moves a store that was made before `git init` into git's own folder, as soon as nobody writes into it. */
  async #movedFromTree(place: Place, folder: string): Promise<Place> {
    if (place.moveTo === undefined || isLink(place.store)) return place;
    const open = this.#projects.get(place.store)?.opened;
    if (open?.busy || !canMoveStore(place.store, place.moveTo)) return place;
    if (open) await this.forget(open);
    moveStore(place.store, place.moveTo);
    this.#setup.log(`${place.store}, made before \`git init\`, is now ${place.moveTo}`);
    this.#places.clear();
    return this.#place(folder, false);
  }

  async #announceProject(project: OpenProject, root: string): Promise<void> {
    const described = await describeProject(project, root, this.isTrusted(root));
    this.#setup.clients.notify(projectChanged, { revision: ++this.revision, project: described });
  }

  #announcer(place: Place): Announcer {
    return announcerOf(place.store, {
      notify: (notification, params) => this.#setup.clients.notify(notification, params),
      revision: () => ++this.revision,
      noticed: (run, session) => this.#noticed(place, run, session),
      projectChanged: (root) => {
        const opened = this.#projects.get(place.store)?.opened;
        if (opened) void this.#announceProject(opened, root);
      },
      runChanged: (run) => this.#projects.get(place.store)?.sweeps?.runChanged(run),
    });
  }
}
