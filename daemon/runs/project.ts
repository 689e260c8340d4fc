/** An open project: its store, its runs, and the operations on them that do not belong to a run's life. */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { networkFileSystem } from '../../base/network-file-systems.ts';
import { Pending } from '../../base/pending.ts';
import type { Run } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import type { KeptRun } from '../../protocol/messages/store.ts';
import { isModelName } from '../../protocol/model-names.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { sweepSession } from '../../session/sweep.ts';
import type { Place } from '../code/project.ts';
import { startStore } from '../store/client.ts';
import type { KeepPolicy } from '../store/maintenance/retention.ts';
import { AlertWatch } from './alerts/alerts.ts';
import { Teller } from './alerts/tell.ts';
import { type Announcer, type ProjectContext, sessionOf, storeExists } from './context.ts';
import { onNetwork } from './errors.ts';
import { writePlainFiles } from './everything.ts';
import type { Environment } from './launch/environments.ts';
import type { Device } from './launch/launching.ts';
import { SecretParams } from './launch/secret-params.ts';
import { keepPolicy } from './live/keep-policy.ts';
import { branchesOf, nameRuns } from './name-runs.ts';
import { Rehearsals } from './rehearsals.ts';
import { Runs } from './runs.ts';
import { Trash } from './trash.ts';
import { adoptSessions, adoptUnmanaged, intactSessions } from './unmanaged/attach.ts';
import { answerScripts } from './unmanaged/resume-requests.ts';
import { storeSetAside } from './unmanaged/set-aside.ts';
import { Verifier } from './verify.ts';
import { Worktrees } from './worktrees.ts';
import { requireWritable } from './writable.ts';

const DRAFT_LIFE_MS = 86_400_000;
/** Interval of looks for scripts that were started by hand. */
const UNMANAGED_LOOK_MS = 2_000;
/** Limits of the lists for a clean-up. */
const LARGEST = 50;
const LISTED_OF_MANY = 100;
const LISTED_OF_ONE = 5_000;

export interface ProjectSetup {
  /** Bundles of the store worker, the trainer and the runner. */
  storeWorker: URL;
  trainer: string;
  runner: string;
  backends: ProjectContext['backends'];
  isWhole: ProjectContext['isWhole'];
  announce(place: Place): Announcer;
  log(text: string): void;
  device: Device;
  ownEnvironment: Environment;
  quotaBytes?: number;
  /** Tells whether code in a worktree may run. */
  isTrusted(root: string): boolean;
  made: MadeHere;
  /** Removes files outside of a store that processes left there when they were killed. */
  sweep(store: string): void;
}

/** Record of the stores that were made on this machine. */
export interface MadeHere {
  /** Returns true if no store is there yet. */
  isNew(store: string): boolean;
  isOurs(store: string, id: string | null): boolean;
  bind(store: string, id: string): void;
}

export class OpenProject {
  readonly place: Place;
  readonly runs: Runs;
  readonly verifier: Verifier;
  readonly worktrees: Worktrees;
  readonly trash: Trash;
  readonly context: ProjectContext;
  readonly #seen = new Set<string>();
  #answering: Promise<void> | null = null;
  #unmanagedTimer: NodeJS.Timeout | null = null;
  #closed = false;
  readonly #rehearsals: Rehearsals;
  readonly #alerts: AlertWatch;
  readonly #teller: Teller;
  readonly #made: MadeHere;
  readonly #sweep: ProjectSetup['sweep'];
  #isOurs = false;

  private constructor(
    context: ProjectContext,
    { device, ownEnvironment, made, sweep }: Pick<ProjectSetup, 'device' | 'ownEnvironment' | 'made' | 'sweep'>,
    teller: Teller,
  ) {
    this.#teller = teller;
    this.context = context;
    this.place = context.place;
    this.#made = made;
    this.#sweep = sweep;
    this.worktrees = new Worktrees(context, () => this.runs);
    this.verifier = new Verifier(context);
    this.runs = new Runs(context, device, this.worktrees, ownEnvironment, (run, root) => {
      void this.#logFailure(this.#rehearsals.ended(run, root), 'rehearsal');
    });
    this.#rehearsals = new Rehearsals({
      context,
      verifier: this.verifier,
      device,
      environmentOf: (run) => this.runs.environmentOf(run),
      change: (run, change) => this.runs.change(run, change),
    });
    this.#alerts = new AlertWatch(() => this.runs.requests.live, context.log);
    this.trash = new Trash(
      context,
      (query) => this.findCheckpoint(query),
      (run) => this.#policyOf(run),
    );
  }

  static async open(place: Place, setup: ProjectSetup): Promise<OpenProject> {
    const network = networkFileSystem(existingFolder(place.store));
    if (network) throw onNetwork(place.store, network);
    const isNew = setup.made.isNew(place.store);
    requireWritable(place.store);
    if (!place.git) ignoreInGit(place.store);
    let project: OpenProject | undefined;
    const branches = await branchesOf(place, {
      renamed: async (names) => project?.branchesRenamed(names),
      mayWrite: () => project?.isOurs ?? false,
    });
    const store = await startStore(setup.storeWorker, { path: place.store, quotaBytes: setup.quotaBytes });
    const teller = new Teller({
      rootOf: (run) => rootOfRun(place, run),
      isTrusted: (root) => (project?.isOurs ?? false) && setup.isTrusted(root),
      log: setup.log,
    });
    const context: ProjectContext = {
      place,
      store,
      branches,
      trainer: setup.trainer,
      runner: setup.runner,
      backends: setup.backends,
      secrets: new SecretParams(),
      isWhole: setup.isWhole,
      announce: teller.around(setup.announce(place)),
      log: setup.log,
      isOurs: () => project?.isOurs ?? false,
    };
    const opened = new OpenProject(context, setup, teller);
    project = opened;
    try {
      await opened.#begin(isNew);
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  async #begin(isNew: boolean): Promise<void> {
    const { store, place, log } = this.context;
    const { rebuiltAtOpen, id } = await store.info();
    if (rebuiltAtOpen) log(`${place.store}: the catalog was missing or damaged and has been rebuilt`);
    if (isNew || this.#made.isOurs(place.store, id)) await this.accept();
  }

  /**
   * True if the store was made here. One that was made elsewhere can be viewed, but nothing that it says is executed, and its
   * records stay as they are.
   */
  get isOurs(): boolean {
    return this.#isOurs;
  }

  /** Accepts the store: it was made here, or the user has said that it may be used. */
  async accept(): Promise<void> {
    if (this.#isOurs) return;
    const { store, place, worktrees } = this;
    this.#made.bind(place.store, await store.giveId());
    this.#isOurs = true;
    const { branches } = this.context;
    branches?.save();
    if (branches) await nameRuns(store, branches, place);
    this.#teller.expect(await store.runsWithStatus(LIVE_STATUSES));
    await adoptSessions(this.context, this.runs);
    // Runs that ended meanwhile are settled before any request.
    await this.runs.settle();
    this.#lookForUnmanaged();
    await storeSetAside(this.context, (id) => this.runs.liveRuns().some((run) => run.id === id));
    // Only this process has the store open.
    this.#sweep(place.store);
    await store.sweepStore();
    for (const directory of intactSessions(this.context)) sweepSession(directory, this.context.log);
    for (const draft of await store.draftsEndedBefore(Date.now() - DRAFT_LIFE_MS)) await store.purgeRun(draft);
    await worktrees.tidy(false);
  }

  get store(): ProjectContext['store'] {
    return this.context.store;
  }

  get busy(): boolean {
    return this.runs.busy || this.verifier.busy || this.#rehearsals.busy;
  }

  /** False once somebody has deleted the store. */
  get exists(): boolean {
    return storeExists(this.context);
  }

  /** Gives the runs of renamed branches their new names, by the branches' ids. */
  async branchesRenamed(names: ReadonlyMap<string, string>): Promise<void> {
    if (!this.#isOurs) return;
    this.runs.branchesRenamed(names);
    for (const run of await this.store.nameBranches([...names])) this.context.announce.run(run);
  }

  /**
   * Looks for renamed branches. Where git fails the names stay unchanged: the description of the project reports it.
   */
  async lookAtBranches(): Promise<void> {
    await this.context.branches?.look().catch((error) => {
      if (!isError(error, 'gitUnusable')) throw error;
    });
  }

  /** Writes all checkpoints as plain files and metrics as CSV, then deletes the store. */
  async eject(directory: string): Promise<{ directory: string; checkpoints: number; bytes: number }> {
    if (this.busy)
      throw new TrainstashError('wrongStatus', 'Runs are live; pause or stop them first. Nothing was changed.', {
        run: '',
        status: 'running',
        allowed: [],
      });
    if (existsSync(directory))
      throw new TrainstashError(
        'paramInvalid',
        `${directory} exists already. Nothing was changed; name a new folder with --to.`,
        { param: 'to', expected: 'a folder that does not exist' },
      );
    const pending = new Pending(this.place.store, directory);
    try {
      const written = await writePlainFiles(this.store, pending.path);
      renameSync(pending.path, directory);
      await this.close();
      rmSync(this.place.store, { recursive: true, force: true });
      return { directory, ...written };
    } finally {
      pending.close();
    }
  }

  /** Closes the store; sessions continue. */
  async close(): Promise<void> {
    if (this.#unmanagedTimer) clearTimeout(this.#unmanagedTimer);
    this.#closed = true;
    this.#alerts.dispose();
    this.#teller.dispose();
    await this.worktrees.dispose();
    await this.runs.settle();
    this.runs.dispose();
    this.#rehearsals.dispose();
    this.verifier.dispose();
    await this.store.close().catch(() => {});
  }

  #lookForUnmanaged(): void {
    this.#unmanagedTimer = setTimeout(async () => {
      // Not awaited: a large checkpoint takes long, and other scripts start meanwhile.
      this.#answering ??= this.#logFailure(answerScripts(this.context)).then(() => {
        this.#answering = null;
      });
      await this.#logFailure(adoptUnmanaged(this.context, this.runs, this.#seen));
      if (!this.#closed) this.#lookForUnmanaged();
    }, UNMANAGED_LOOK_MS);
    this.#unmanagedTimer.unref();
  }

  async #logFailure(work: Promise<void>, what = 'looking for scripts that were started by hand'): Promise<void> {
    await work.catch((error: Error) => {
      if (!this.#closed) this.context.log(`${what}: ${error.message}`);
    });
  }

  /** Lists the kept checkpoints and the reasons, for the largest runs or for one run. */
  async kept(query: string | undefined): Promise<KeptRun[]> {
    const ids = query === undefined ? await this.store.largestRuns(LARGEST) : [(await this.store.findRun(query)).id];
    const kept: KeptRun[] = [];
    for (const id of ids) {
      const run = await this.store.run(id);
      if (!run) continue;
      const reasons = new Map(await this.store.reasonsToKeep(id, this.#policyOf(run)));
      const all = await this.store.checkpoints(id);
      const checkpoints = all
        .slice(query === undefined ? -LISTED_OF_MANY : -LISTED_OF_ONE)
        .map((checkpoint) => ({ checkpoint, reasons: (reasons.get(checkpoint.id) ?? []).map(({ text }) => text) }));
      const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
      const more = all.length - checkpoints.length;
      kept.push({ run: id, name: run.name, branch: run.branch, bytes, checkpoints, more });
    }
    return kept;
  }

  /** Finds the code that a run was started with, or that a checkpoint was made with. */
  async codeOf(source: string): Promise<{ code: string; leftOut: string[] }> {
    const run = await this.store.findRun(source).catch(() => null);
    const checkpoint = run ? null : await this.findCheckpoint(source);
    const own = run ?? (await this.store.requireRun(checkpoint!.run));
    const code = checkpoint ? (await this.store.requireFacts(checkpoint.id)).run.code : own.code;
    if (code === null)
      throw new TrainstashError('notFound', `${own.name} has no code snapshot: its folder was not a git repository.`, {
        what: 'file',
        query: source,
      });
    return { code, leftOut: own.codeLeftOut };
  }

  /** Returns the retention policy that the run's newest session was launched with. */
  #policyOf(run: Run): KeepPolicy {
    const session = run.session && sessionOf(this.context, run.session);
    return keepPolicy(run, session ? session.launch() : null);
  }

  /** Finds the checkpoint to replay from: one that is named, or the newest that can be verified of a run's number. */
  async findVerifiable(query: string) {
    const [number] = /^#?\d{1,9}$/.exec(query) ?? [];
    if (number === undefined) return this.findCheckpoint(query);
    const run = await this.store.findRun(number);
    const newest = await this.verifier.newestOf(run.id);
    if (newest) return newest;
    throw new TrainstashError(
      'notFound',
      `${run.name} has no two checkpoints to verify: a replay begins at one and is compared with a later one.`,
      { what: 'checkpoint', query },
    );
  }

  /** Finds a checkpoint: `14@1200`, `14@best`, `models/digits@2`, or an id. */
  async findCheckpoint(query: string) {
    const named = isModelName(query) ? await this.store.checkpointWithTag(query) : null;
    if (named) return named;
    const at = query.lastIndexOf('@');
    if (at < 0) return this.store.findCheckpoint(query, null);
    return this.store.findCheckpoint(query.slice(at + 1), await this.store.findRun(query.slice(0, at)));
  }
}

/** Returns the folder itself, or its nearest existing parent. */
function existingFolder(path: string): string {
  return existsSync(path) ? path : existingFolder(dirname(path));
}

/**
 * Writes a .gitignore, since the user may make a repository of the project later. An existing entry may be a link, so
 * it stays.
 */
function ignoreInGit(store: string): void {
  try {
    writeFileSync(join(store, '.gitignore'), '*\n', { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Finds the worktree that a run's newest session was started in. */
function rootOfRun(place: Place, { session }: Run): string {
  return (session === null ? null : sessionOf({ place }, session).launch()?.root) ?? place.root;
}
