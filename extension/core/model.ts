/** The editor's copy of the daemon's records, kept current by notifications. Does not use `vscode`. */

import type { Connection } from '../../pages/connection.ts';
import type { Checkpoint, Notice, Project, Run } from '../../protocol/domain.ts';
import { type BranchSummary, branchList } from '../../protocol/messages/branch.ts';
import { checkpointChanged, checkpointList } from '../../protocol/messages/checkpoint.ts';
import { projectChanged, projectOpen } from '../../protocol/messages/project.ts';
import { noticeRaised, runChanged, runList } from '../../protocol/messages/run.ts';
import { sweepChanged, sweepList, sweepShow } from '../../protocol/messages/sweep.ts';
import { INTERRUPTED_STATUSES, LIVE_STATUSES } from '../../protocol/status.ts';
import type { SweepSummary } from '../../protocol/sweep.ts';

/** Delay by which many runs that start or end together cause one request for the branches. */
const BRANCHES_DELAY_MS = 150;

export interface BranchView extends BranchSummary {
  current: boolean;
}

/** Events of the model. `null` as branch: detached HEAD, or no git. */
export interface ModelEvents {
  /** Anything in the project has changed; its tree is redrawn. */
  project(root: string): void;
  run(root: string, run: Run): void;
  checkpoints(root: string, run: string): void;
  notice(root: string, run: Run | null, notice: Notice): void;
}

interface LoadedBranch {
  ids: string[];
  next: string | null;
}

export class ProjectMirror {
  project: Project;
  branches: BranchSummary[] = [];
  readonly runs = new Map<string, Run>();
  readonly loaded = new Map<string | null, LoadedBranch>();
  readonly checkpoints = new Map<string, Checkpoint[]>();
  /** Sweeps by their ids. */
  readonly sweeps = new Map<string, SweepSummary>();
  /** Branches whose runs are all being loaded. */
  readonly loadingAll = new Map<string | null, Promise<void>>();

  constructor(project: Project) {
    this.project = project;
  }

  /** Lists the current branch, even if it has no runs, then the others, the newest first. */
  branchViews(): BranchView[] {
    const { branch } = this.project;
    const known = this.branches.find(({ name }) => name === branch);
    const current = known ?? { name: branch, runs: 0, drafts: 0, live: 0, newestAt: 0 };
    const others = this.branches.filter(({ name }) => name !== branch);
    const shown = current.runs === 0 && branch === null && others.length > 0 ? [] : [{ ...current, current: true }];
    return [...shown, ...others.map((summary) => ({ ...summary, current: false }))];
  }

  /** Returns the loaded runs of a branch, the newest first. */
  runsOf(branch: string | null): Run[] {
    return (this.loaded.get(branch)?.ids ?? []).flatMap((id) => this.runs.get(id) ?? []);
  }

  hasMore(branch: string | null): boolean {
    return this.loaded.get(branch)?.next != null;
  }

  liveRuns(): Run[] {
    return [...this.runs.values()].filter(({ status }) => LIVE_STATUSES.includes(status));
  }

  /** Returns the newest run of this branch that a resume without a name would continue: a stopped one last. */
  resumable(): Run | undefined {
    const runs = this.runsOf(this.project.branch).filter(
      ({ checkpoints, sweep }) => checkpoints > 0 && sweep?.mark === undefined,
    );
    return (
      runs.find(({ status }) => INTERRUPTED_STATUSES.includes(status)) ??
      runs.find(({ status }) => status === 'stopped')
    );
  }
}

export class Model {
  readonly #connection: Pick<Connection, 'poll' | 'request' | 'on'>;
  readonly #events: ModelEvents;
  readonly #mirrors = new Map<string, ProjectMirror>();
  /** Timers of the requests for branch lists, by project. */
  readonly #due = new Map<string, NodeJS.Timeout>();
  #revision: number | null = null;

  constructor(connection: Pick<Connection, 'poll' | 'request' | 'on'>, events: ModelEvents) {
    this.#connection = connection;
    this.#events = events;
    connection.on(projectChanged, ({ revision, project }) => this.#seen(revision) && this.#putProject(project));
    connection.on(
      runChanged,
      ({ revision, store, run }) => this.#seen(revision) && this.#each(store, (root) => this.#putRun(root, run)),
    );
    connection.on(
      checkpointChanged,
      ({ revision, store, checkpoint }) =>
        this.#seen(revision) && this.#each(store, (root) => this.#putCheckpoint(root, checkpoint)),
    );
    connection.on(sweepChanged, ({ store, sweep }) =>
      this.#each(store, (root) => {
        this.#mirrors.get(root)?.sweeps.set(sweep.id, sweep);
        this.#events.project(root);
      }),
    );
    connection.on(noticeRaised, ({ store, run, notice }) => {
      const mirror = this.projects.find(({ project }) => project.store === store);
      if (mirror) this.#events.notice(mirror.project.root, (run && mirror.runs.get(run)) || null, notice);
    });
  }

  get projects(): ProjectMirror[] {
    return [...this.#mirrors.values()];
  }

  /** Returns the root of a run's project; undefined where no project of this window has it. */
  rootOf(run: string): string | undefined {
    return this.projects.find(({ runs }) => runs.has(run))?.project.root;
  }

  project(root: string): ProjectMirror | undefined {
    return this.#mirrors.get(root);
  }

  /** Opens the project of a folder, and follows it. Throws `notFound` if the folder has none. */
  async open(folder: string, trusted: boolean, create = false): Promise<ProjectMirror> {
    const project = await this.#connection.request(projectOpen, { root: folder, trusted, create, watch: true });
    const mirror = this.#mirrors.get(project.root) ?? new ProjectMirror(project);
    mirror.project = project;
    this.#mirrors.set(project.root, mirror);
    await this.#fill(mirror);
    return mirror;
  }

  forget(root: string): void {
    if (this.#mirrors.delete(root)) this.#events.project(root);
  }

  forgetAll(): void {
    for (const root of [...this.#mirrors.keys()]) this.forget(root);
  }

  /** Adds a run of any branch that was found elsewhere, so that commands find it. */
  know(root: string, run: Run): void {
    const runs = this.#mirrors.get(root)?.runs;
    if (runs && !runs.has(run.id)) runs.set(run.id, run);
  }

  /** Loads the next page of a branch's runs, or the first. Drawing is no reason to start a daemon. */
  async loadMore(root: string, branch: string | null): Promise<void> {
    const mirror = this.#mirrors.get(root);
    if (!mirror) return;
    await this.#loadPage(mirror, branch);
    this.#events.project(root);
  }

  /** Loads all pages of a branch, for a filter: what is not loaded would not be found. One caller loads for all. */
  async loadAll(root: string, branch: string | null): Promise<void> {
    const mirror = this.#mirrors.get(root);
    if (!mirror) return;
    const known = mirror.loadingAll.get(branch);
    if (known) return known;
    if (mirror.loaded.has(branch) && !mirror.hasMore(branch)) return;
    const loading = (async () => {
      do await this.#loadPage(mirror, branch);
      while (mirror.hasMore(branch) && this.#mirrors.get(root) === mirror);
    })().finally(() => mirror.loadingAll.delete(branch));
    mirror.loadingAll.set(branch, loading);
    await loading;
  }

  async #loadPage(mirror: ProjectMirror, branch: string | null): Promise<void> {
    const known = mirror.loaded.get(branch);
    const { root } = mirror.project;
    const page = await this.#connection.poll(runList, { root, branch, drafts: true, cursor: known?.next ?? null });
    for (const run of page.runs) mirror.runs.set(run.id, run);
    const ids = new Set(page.runs.map(({ id }) => id));
    const before = (known?.ids ?? []).filter((id) => !ids.has(id));
    mirror.loaded.set(branch, { ids: [...before, ...ids], next: page.next });
  }

  /** Loads all runs of a sweep. Drawing is no reason to start a daemon. */
  async loadSweep(root: string, sweep: string): Promise<void> {
    const { runs } = await this.#connection.poll(sweepShow, { root, sweep });
    for (const run of runs) if (run.trashedAt === null) this.know(root, run);
  }

  /** Lists the runs of all branches, the newest first, page by page. */
  async *everyRun(root: string): AsyncGenerator<Run[]> {
    let cursor: string | null = null;
    do {
      const page: { runs: Run[]; next: string | null } = await this.#connection.poll(runList, {
        root,
        drafts: true,
        cursor,
      });
      for (const run of page.runs) this.know(root, run);
      yield page.runs;
      cursor = page.next;
    } while (cursor !== null);
  }

  /** Loads the checkpoints of a run. `start`: a person waits for them, so a daemon is started if there is none. */
  async loadCheckpoints(root: string, run: string, start = false): Promise<Checkpoint[]> {
    const mirror = this.#mirrors.get(root);
    const known = mirror?.checkpoints.get(run);
    if (known) return known;
    const connection = this.#connection;
    const params = { root, run };
    const { checkpoints } = await (start
      ? connection.request(checkpointList, params)
      : connection.poll(checkpointList, params));
    mirror?.checkpoints.set(run, checkpoints);
    return checkpoints;
  }

  // ---- notifications ----

  /** Checks the revision. A gap means that a notification was missed: everything is requested again. */
  #seen(revision: number): boolean {
    const gap = this.#revision !== null && revision !== this.#revision + 1;
    this.#revision = revision;
    if (!gap) return true;
    for (const mirror of this.#mirrors.values()) void this.#fill(mirror).catch(() => {});
    return false;
  }

  /** Resets the revision after a new connection. */
  restart(): void {
    this.#revision = null;
  }

  /** Calls `change` for each open worktree of a store: one window may have several. */
  #each(store: string, change: (root: string) => void): void {
    for (const { project } of this.projects) if (project.store === store) change(project.root);
  }

  async #fill(mirror: ProjectMirror): Promise<void> {
    const { root, branch } = mirror.project;
    mirror.checkpoints.clear();
    mirror.loaded.clear();
    // The daemon answers in this order, and rows need the runs.
    await Promise.all([this.loadMore(root, branch), this.#loadBranches(mirror), this.#loadSweeps(mirror)]);
  }

  async #loadSweeps(mirror: ProjectMirror): Promise<void> {
    const { sweeps } = await this.#connection.poll(sweepList, { root: mirror.project.root });
    mirror.sweeps.clear();
    for (const sweep of sweeps) mirror.sweeps.set(sweep.id, sweep);
  }

  async #loadBranches(mirror: ProjectMirror): Promise<void> {
    const { branches } = await this.#connection.poll(branchList, { root: mirror.project.root });
    mirror.branches = branches;
    this.#events.project(mirror.project.root);
  }

  #putProject(project: Project): void {
    const mirror = this.#mirrors.get(project.root);
    if (!mirror) return;
    const moved = mirror.project.branch !== project.branch;
    mirror.project = project;
    this.#events.project(project.root);
    if (moved && !mirror.loaded.has(project.branch)) void this.loadMore(project.root, project.branch).catch(() => {});
  }

  #putRun(root: string, run: Run): void {
    const mirror = this.#mirrors.get(root);
    if (!mirror) return;
    const before = mirror.runs.get(run.id);
    if (run.trashedAt !== null) mirror.runs.delete(run.id);
    else mirror.runs.set(run.id, run);
    const page = mirror.loaded.get(run.branch);
    if (page && run.trashedAt === null && !page.ids.includes(run.id)) {
      // Sorted by number, the newest first; a run older than the loaded ones comes with its page.
      const at = page.ids.findIndex((id) => (mirror.runs.get(id)?.number ?? 0) < run.number);
      if (at >= 0) page.ids.splice(at, 0, run.id);
      else if (page.next === null) page.ids.push(run.id);
    }
    const isNews =
      before === undefined ||
      run.trashedAt !== null ||
      before.draft !== run.draft ||
      LIVE_STATUSES.includes(before.status) !== LIVE_STATUSES.includes(run.status);
    if (isNews) {
      this.#branchesLater(mirror);
      this.#events.project(root);
    }
    this.#events.run(root, run);
  }

  #branchesLater(mirror: ProjectMirror): void {
    const { root } = mirror.project;
    if (this.#due.has(root)) return;
    this.#due.set(
      root,
      setTimeout(() => {
        this.#due.delete(root);
        // If the connection is lost, the next one loads everything.
        void this.#loadBranches(mirror).catch(() => {});
      }, BRANCHES_DELAY_MS),
    );
  }

  #putCheckpoint(root: string, checkpoint: Checkpoint): void {
    const known = this.#mirrors.get(root)?.checkpoints.get(checkpoint.run);
    if (!known) return;
    const at = known.findIndex(({ id }) => id === checkpoint.id);
    if (checkpoint.trashedAt !== null) {
      if (at >= 0) known.splice(at, 1);
    } else if (at >= 0) known[at] = checkpoint;
    else known.unshift(checkpoint);
    this.#events.checkpoints(root, checkpoint.run);
  }
}
