/** One open project: its store, its runs, and what is done with them that is not a run's life. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JobConfig } from '../../protocol/config.ts';
import type { Params, Run } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import type { KeptRun } from '../../protocol/messages.ts';
import { maskParams, maskText } from '../../protocol/secrets.ts';
import type { Place } from '../code/project.ts';
import { csvOfPoints } from '../formats/writers/csv.ts';
import { SessionDirectory } from '../sessions/directory.ts';
import { startStore } from '../store/client.ts';
import { networkFileSystem } from '../store/place.ts';
import type { KeepPolicy } from '../store/retention.ts';
import { adoptSessions, adoptStrays } from './adopt.ts';
import { answerScripts } from './asked.ts';
import { splitWords } from './command.ts';
import { readConfig } from './config.ts';
import { type Announcer, type ProjectContext, sessionsPath, storeExists } from './context.ts';
import type { Environment } from './environments.ts';
import { isPython } from './interpreter.ts';
import { keepPolicy } from './keep-policy.ts';
import type { Device } from './launcher.ts';
import { branchesOf, nameRuns } from './name-runs.ts';
import { Runs } from './runs.ts';
import { SecretParams } from './secret-params.ts';
import { takeInSetAside } from './set-aside.ts';
import { Trash } from './trash.ts';
import { Verifier } from './verify.ts';
import { Worktrees } from './worktrees.ts';
import { requireWritable } from './writable.ts';

const DRAFT_LIFE_MS = 86_400_000;
/** How late a script that was started by hand is seen. */
const STRAYS_MS = 2_000;
/** Runs that a cleaning up is about. */
const LARGEST = 50;
const LISTED_OF_MANY = 100;
const LISTED_OF_ONE = 5_000;

export interface ProjectSetup {
  /** Bundles: the store worker's, the trainer's and the runner's. */
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
  #strays: NodeJS.Timeout | null = null;
  #closed = false;

  private constructor(context: ProjectContext, { device, ownEnvironment }: ProjectSetup) {
    this.context = context;
    this.place = context.place;
    this.worktrees = new Worktrees(context, () => this.runs);
    this.runs = new Runs(context, device, this.worktrees, ownEnvironment);
    this.verifier = new Verifier(context);
    this.trash = new Trash(
      context,
      (query) => this.findCheckpoint(query),
      (run) => this.#policyOf(run),
    );
  }

  static async open(place: Place, setup: ProjectSetup): Promise<OpenProject> {
    requireWritable(place.store);
    if (!place.git) writeFileSync(join(place.store, '.gitignore'), '*\n');
    const network = networkFileSystem(place.store);
    if (network) {
      throw new TrainstashError(
        'storeUnusable',
        `${place.store} is on a network or pass-through file system (${network}), where database locks do not hold. Nothing was written. Move the project to a local disk.`,
        { path: place.store, reason: network },
      );
    }
    let project: OpenProject | undefined;
    const branches = await branchesOf(place, async (names) => project?.branchesRenamed(names));
    const store = await startStore(setup.storeWorker, { path: place.store, quotaBytes: setup.quotaBytes });
    const context: ProjectContext = {
      place,
      store,
      branches,
      trainer: setup.trainer,
      runner: setup.runner,
      backends: setup.backends,
      secrets: new SecretParams(),
      isWhole: setup.isWhole,
      announce: setup.announce(place),
      log: setup.log,
    };
    project = new OpenProject(context, setup);
    try {
      await project.#begin();
      return project;
    } catch (error) {
      await project.close();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { store, place, log, branches } = this.context;
    if ((await store.info()).rebuiltAtOpen)
      log(`${place.store}: the catalog was missing or damaged and has been rebuilt`);
    if (branches) await nameRuns(store, branches, place);
    await adoptSessions(this.context, this.runs);
    // Those that ended meanwhile are settled before anyone asks.
    await this.runs.settle();
    await takeInSetAside(this.context, (id) => this.runs.liveRuns().some((run) => run.id === id));
    for (const draft of await store.draftsEndedBefore(Date.now() - DRAFT_LIFE_MS)) await store.purgeRun(draft);
    await this.worktrees.tidy(false);
    this.#lookForStrays();
  }

  get store(): ProjectContext['store'] {
    return this.context.store;
  }

  get busy(): boolean {
    return this.runs.busy || this.verifier.busy;
  }

  /** False once the store was deleted under us. */
  get exists(): boolean {
    return storeExists(this.context);
  }

  /** Branches have other names than before, by their ids: so do their runs. */
  async branchesRenamed(names: ReadonlyMap<string, string>): Promise<void> {
    this.runs.branchesRenamed(names);
    for (const run of await this.store.nameBranches([...names])) this.context.announce.run(run);
  }

  /** Where git fails the names stay what they were: whoever describes the project says so. */
  async lookAtBranches(): Promise<void> {
    await this.context.branches?.look().catch((error) => {
      if (!isError(error, 'gitUnusable')) throw error;
    });
  }

  jobs(root: string) {
    const { file, jobs, warnings } = readConfig(root);
    return {
      file,
      warnings,
      jobs: [...jobs].map(([name, job]) => ({
        name,
        what: maskText(whatOf(job)),
        python: isPythonJob(job),
        params: maskParams(job.params as Params) as never,
      })),
    };
  }

  /** All checkpoints as plain files, metrics as CSV; then the store is gone. */
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
    let bytes = 0;
    let checkpoints = 0;
    for (let before: number | null = null; ; ) {
      const page: Run[] = (await this.store.runs({ drafts: true, trashed: false, before, limit: 100 })).runs;
      if (page.length === 0) break;
      for (const run of page) {
        const folder = join(directory, `${run.number}-${safeName(run.job)}`);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, 'run.json'), `${JSON.stringify(run, null, 2)}\n`);
        writeFileSync(join(folder, 'metrics.csv'), csvOfPoints(await this.store.queryMetrics(run.id, {})));
        for (const checkpoint of await this.store.checkpoints(run.id)) {
          const restored = await this.store.restoreCheckpoint(
            checkpoint.id,
            join(folder, `step-${checkpoint.step}-${checkpoint.id}`),
          );
          bytes += restored.bytes;
          checkpoints++;
        }
      }
      before = page.at(-1)!.number;
    }
    await this.close();
    rmSync(this.place.store, { recursive: true, force: true });
    return { directory, checkpoints, bytes };
  }

  /** Sessions go on; the store is handed back. */
  async close(): Promise<void> {
    if (this.#strays) clearTimeout(this.#strays);
    this.#closed = true;
    await this.worktrees.dispose();
    await this.runs.settle();
    this.runs.dispose();
    this.verifier.dispose();
    await this.store.close().catch(() => {});
  }

  #lookForStrays(): void {
    this.#strays = setTimeout(async () => {
      // Not waited for: a large checkpoint takes long, and other scripts start meanwhile.
      this.#answering ??= this.#quietly(answerScripts(this.context)).then(() => {
        this.#answering = null;
      });
      await this.#quietly(adoptStrays(this.context, this.runs, this.#seen));
      if (!this.#closed) this.#lookForStrays();
    }, STRAYS_MS);
    this.#strays.unref();
  }

  async #quietly(work: Promise<void>): Promise<void> {
    await work.catch((error: Error) => {
      if (!this.#closed) this.context.log(`looking for scripts that were started by hand: ${error.message}`);
    });
  }

  /** What is kept and why, of the runs that hold most or of one. */
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
        .map((checkpoint) => ({ checkpoint, reasons: reasons.get(checkpoint.id) ?? [] }));
      const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
      const more = all.length - checkpoints.length;
      kept.push({ run: id, name: run.name, branch: run.branch, bytes, checkpoints, more });
    }
    return kept;
  }

  /** The code that a run was started with, or a checkpoint made with. */
  async codeOf(source: string): Promise<{ code: string; leftOut: string[] }> {
    const run = await this.store.findRun(source).catch(() => null);
    const checkpoint = run ? null : await this.findCheckpoint(source);
    const own = run ?? (await this.store.run(checkpoint!.run))!;
    const code = checkpoint ? (await this.store.checkpointFacts(checkpoint.id))!.run.code : own.code;
    if (code === null)
      throw new TrainstashError('notFound', `${own.name} has no code snapshot: its folder was no git repository.`, {
        what: 'file',
        query: source,
      });
    return { code, leftOut: own.codeLeftOut };
  }

  /** As its newest session was told. */
  #policyOf(run: Run): KeepPolicy {
    const session = run.session && new SessionDirectory(join(sessionsPath(this.context), run.session));
    return keepPolicy(run, session ? session.launch() : null);
  }

  /** `14@1200`, `14@best`, or an id. */
  async findCheckpoint(query: string) {
    const at = query.lastIndexOf('@');
    if (at < 0) return this.store.findCheckpoint(query, null);
    return this.store.findCheckpoint(query.slice(at + 1), await this.store.findRun(query.slice(0, at)));
  }
}

function whatOf({ module, run }: JobConfig): string {
  return module ?? (typeof run === 'string' ? run : (run ?? []).join(' '));
}

function isPythonJob({ run }: JobConfig): boolean {
  const [program] = typeof run === 'string' ? (splitWords(run) ?? []) : (run ?? []);
  return program !== undefined && isPython(program);
}

function safeName(name: string): string {
  return name.replaceAll(/[^\w.-]+/g, '_');
}
