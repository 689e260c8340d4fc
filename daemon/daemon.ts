/** State of the daemon: open projects, trust, revision, and when it may exit. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { StatePaths } from '../base/paths.ts';
import { isWholeFile } from '../inspector/inspect.ts';
import { InspectorPool, inspectorSetup } from '../inspector/pool.ts';
import type { Checkpoint, Run } from '../protocol/domain.ts';
import { checkpointChanged } from '../protocol/messages/checkpoint.ts';
import type { DaemonState, DaemonStatus } from '../protocol/messages/daemon.ts';
import { metricsAppended } from '../protocol/messages/metrics.ts';
import { projectChanged } from '../protocol/messages/project.ts';
import type { Notification } from '../protocol/messages/request.ts';
import { noticeRaised, runChanged } from '../protocol/messages/run.ts';
import type { FsckReport } from '../protocol/messages/store.ts';
import { toWireNumber } from '../protocol/numbers.ts';
import { SESSION_FILES } from '../protocol/session.ts';
import type { Build } from '../protocol/version.ts';
import { type Backends, backendsOf } from './backend-selection/backends.ts';
import { locateRepository } from './code/locate.ts';
import { findProject, type Place } from './code/project.ts';
import { sweepExports } from './export/target.ts';
import { IdlePacking } from './idle-packing.ts';
import { isLink, KnownPlaces } from './known.ts';
import { DeviceQueue } from './queue/device-queue.ts';
import { SettingsFile } from './queue/settings.ts';
import { Remotes } from './remotes/remotes.ts';
import type { Announcer } from './runs/context.ts';
import { describeProject } from './runs/describe.ts';
import { madeElsewhere } from './runs/errors.ts';
import { hasQueue } from './runs/launch/queue.ts';
import { canMoveStore, moveStore } from './runs/move-store.ts';
import { OpenProject } from './runs/project.ts';
import type { ClientInfo } from './server.ts';
import { lookAtStore } from './store/client.ts';
import type { ContentWorkers } from './tensors/client.ts';

/**
 * Idle time after which a project is closed. An open project costs a worker thread; opening it again takes some ten
 * milliseconds.
 */
const PROJECT_IDLE_MS = 120_000;

interface Entry {
  opening: Promise<OpenProject>;
  opened: OpenProject | null;
  usedAt: number;
  packing: IdlePacking;
  /** Remotes of the project, from their first use on. */
  remotes: Remotes | null;
  /** Number of transfers to and from them. */
  transfers: number;
}

export interface DaemonSetup {
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
  #notify: <P>(notification: Notification<P>, params: P) => void = () => {};
  #clients: () => number = () => 0;

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

  attach(notify: <P>(notification: Notification<P>, params: P) => void, clients: () => number): void {
    this.#notify = notify;
    this.#clients = clients;
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
      made: this.#known,
      sweep: sweepExports,
    });
    const packing = new IdlePacking();
    const created: Entry = { opening, opened: null, usedAt: Date.now(), packing, remotes: null, transfers: 0 };
    this.#projects.set(place.store, created);
    try {
      created.opened = await opening;
    } catch (error) {
      this.#projects.delete(place.store);
      throw error;
    }
    this.#known.remember(place.root, place.store);
    if (created.opened.runs.queued.size > 0) void this.device.changed();
    this.#settleHead(created.opened, place);
    return created.opened;
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
    entry.remotes ??= new Remotes({
      store: project.store,
      path: project.place.store,
      variables: ownEnvironment(),
      findCheckpoint: (query) => project.findCheckpoint(query),
      announce: project.context.announce,
    });
    entry.transfers++;
    try {
      return await work(entry.remotes);
    } finally {
      entry.transfers--;
      entry.usedAt = Date.now();
    }
  }

  /** Closes a project; the next request opens it again. */
  async forget(project: OpenProject): Promise<void> {
    this.#projects.get(project.place.store)?.remotes?.close();
    this.#projects.delete(project.place.store);
    this.#places.clear();
    await project.close();
  }

  /** Keeps a project open, and reports moves of its HEAD, until the client leaves. */
  async watch(project: OpenProject, root: string, client: ClientInfo): Promise<void> {
    const stores = this.#watched.get(client) ?? new Set();
    this.#watched.set(client, stores.add(project.place.store));
    project.worktrees.onHead = (moved) => void this.#announceProject(project, moved);
    project.worktrees.onWaits = (waiting) => void this.#announceProject(project, waiting);
    await project.worktrees.at(root);
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
    return [...this.#projects.values()].some(
      ({ opened, packing, transfers }) => packing.busy || transfers > 0 || opened?.busy,
    );
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
      clients: this.#clients(),
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
      const isUnfinished = hasUnfinishedSession(store) || (trusted && hasQueue(store));
      if (!isUnfinished || !existsSync(root)) continue;
      await this.project(root).catch((error: Error) => this.#setup.log(`${root}: ${error.message}`));
    }
  }

  /** Looks at runs that wait for their code or a branch's files, about which no event comes. */
  lookAtQueue(): void {
    if (this.#open().some(({ runs }) => runs.queued.size > 0)) void this.device.changed();
  }

  async closeIdleProjects(): Promise<void> {
    const limit = Date.now() - PROJECT_IDLE_MS;
    const watched = new Set([...this.#watched.values()].flatMap((stores) => [...stores]));
    for (const [store, { opened, usedAt, packing, transfers }] of [...this.#projects]) {
      const isIdle = opened && !opened.busy && !packing.busy && transfers === 0;
      if (isIdle && usedAt < limit && !watched.has(store)) await this.forget(opened);
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
    // `git init` makes another project of the folder, with its store in another place.
    const isAsKnown = known && existsSync(known.root) && (known.git || locateRepository(folder).kind === 'none');
    if (isAsKnown && known.moveTo === undefined) return known;
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
    this.#notify(projectChanged, { revision: ++this.revision, project: described });
  }

  #announcer({ store }: Place): Announcer {
    const send = <P extends { revision: number }>(notification: Notification<P>, params: Omit<P, 'revision'>) =>
      this.#notify(notification, { ...params, revision: ++this.revision } as P);
    return {
      run: (run: Run) => send(runChanged, { store, run }),
      checkpoint: (checkpoint: Checkpoint) => send(checkpointChanged, { store, checkpoint }),
      metrics: (run: Run, step: number, values: Record<string, number>) =>
        this.#notify(metricsAppended, {
          store,
          run: run.id,
          step,
          values: Object.entries(values).map(([name, value]) => ({
            name,
            steps: [step],
            values: [toWireNumber(value)],
            times: [0],
            total: 1,
          })),
        }),
      notice: (run: Run | null, notice: Run['notices'][number]) =>
        this.#notify(noticeRaised, { store, run: run?.id ?? null, notice }),
    };
  }
}

/** Returns the environment of the shell or editor that has started this daemon. */
function ownEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function hasUnfinishedSession(store: string): boolean {
  const sessions = join(store, 'sessions');
  if (!existsSync(sessions)) return false;
  return readdirSync(sessions).some((id) => {
    const inbox = join(sessions, id, SESSION_FILES.inbox);
    return !existsSync(join(sessions, id, SESSION_FILES.exit)) || (existsSync(inbox) && readdirSync(inbox).length > 0);
  });
}
