/** One open project: its store, its runs, and what is done with them that is not a run's life. */
import { existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LIVE_STATUSES, type Project, type Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { KeptRun } from '../../protocol/messages.ts';
import { type Place, readHead } from '../code/project.ts';
import { sweepSession } from '../sessions/sweep.ts';
import { startStore } from '../store/client.ts';
import { Pending } from '../store/pending.ts';
import { networkFileSystem } from '../store/place.ts';
import type { KeepPolicy } from '../store/retention.ts';
import { adoptSessions, adoptStrays, soundSessions } from './adopt.ts';
import { answerScripts } from './asked.ts';
import { type Announcer, type ProjectContext, sessionOf, storeExists } from './context.ts';
import { writeEverything } from './everything.ts';
import { keepPolicy } from './live.ts';
import { type Device, Runs } from './runs.ts';
import { Verifier } from './verify.ts';
import { Worktrees } from './worktrees.ts';

const DRAFT_LIFE_MS = 86_400_000;
/** How late a script that was started by hand is seen. */
const STRAYS_MS = 2_000;
/** Runs that a cleaning up is about. */
const LARGEST = 50;
const LISTED_OF_MANY = 100;
const LISTED_OF_ONE = 5_000;
const LOG_PAGE_BYTES = 128 << 10;

export interface ProjectSetup {
  /** Bundles: the store worker's, the trainer's and the runner's. */
  storeWorker: URL;
  trainer: string;
  runner: string;
  backends: ProjectContext['backends'];
  announce(place: Place): Announcer;
  log(text: string): void;
  device: Device;
  quotaBytes?: number;
  made: MadeHere;
  /** Takes away what is left over outside of a store by those who wrote there when they were killed. */
  sweep(store: string): void;
}

/** What is known of who has made a store. */
export interface MadeHere {
  /** Nothing is there that could tell anything. */
  isYetToBeMade(store: string): boolean;
  isOurs(store: string, id: string | null): boolean;
  bind(store: string, id: string): void;
}

export class OpenProject {
  readonly place: Place;
  readonly runs: Runs;
  readonly verifier: Verifier;
  readonly worktrees: Worktrees;
  readonly context: ProjectContext;
  readonly #seen = new Set<string>();
  #answering: Promise<void> | null = null;
  #strays: NodeJS.Timeout | null = null;
  #closed = false;
  readonly #made: MadeHere;
  readonly #sweep: ProjectSetup['sweep'];
  #isOurs = false;

  private constructor(
    context: ProjectContext,
    { device, made, sweep }: Pick<ProjectSetup, 'device' | 'made' | 'sweep'>,
  ) {
    this.context = context;
    this.place = context.place;
    this.#made = made;
    this.#sweep = sweep;
    this.runs = new Runs(context, device);
    this.verifier = new Verifier(context);
    this.worktrees = new Worktrees(context, this.runs);
    this.runs.useBarrier(this.worktrees);
  }

  static async open(place: Place, setup: ProjectSetup): Promise<OpenProject> {
    const network = networkFileSystem(existingFolder(place.store));
    if (network) {
      throw new TrainstashError(
        'storeUnusable',
        `${place.store} is on a network or pass-through file system (${network}), where database locks do not hold. Nothing was written. Move the project to a local disk.`,
        { path: place.store, reason: network },
      );
    }
    const isNew = setup.made.isYetToBeMade(place.store);
    mkdirSync(place.store, { recursive: true, mode: 0o700 });
    if (!place.git) ignoreInGit(place.store);
    const store = await startStore(setup.storeWorker, { path: place.store, quotaBytes: setup.quotaBytes });
    let project: OpenProject;
    const context: ProjectContext = {
      place,
      store,
      trainer: setup.trainer,
      runner: setup.runner,
      backends: setup.backends,
      announce: setup.announce(place),
      log: setup.log,
      isOurs: () => project.isOurs,
    };
    project = new OpenProject(context, setup);
    const { rebuiltAtOpen, id } = await store.info();
    if (rebuiltAtOpen) setup.log(`${place.store}: the catalog was missing or damaged and has been rebuilt`);
    const isOurs = isNew || setup.made.isOurs(place.store, id);
    await adoptSessions(context, project.runs);
    // Those that ended meanwhile are settled before anyone asks.
    await project.runs.settle();
    if (isOurs) await project.accept();
    project.#lookForStrays();
    return project;
  }

  /** Whether the store was made here. One that was not is looked at, and nothing that it says is done. */
  get isOurs(): boolean {
    return this.#isOurs;
  }

  /** It was made here, or a person has said that it may be used. */
  async accept(): Promise<void> {
    if (this.#isOurs) return;
    const { store, place, worktrees } = this;
    this.#made.bind(place.store, await store.giveId());
    this.#isOurs = true;
    // With the store open it is ours alone.
    this.#sweep(place.store);
    await store.sweepStore();
    for (const directory of soundSessions(this.context)) sweepSession(directory, this.context.log);
    for (const draft of await store.draftsEndedBefore(Date.now() - DRAFT_LIFE_MS)) await store.purgeRun(draft);
    await worktrees.tidy(false);
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

  /** `root`: one of its worktrees. */
  async describe(root: string, trusted: boolean): Promise<Project> {
    const { branch } = this.place.git ? await readHead(root) : { branch: null };
    const { store, git } = this.place;
    const switchWaits = await this.worktrees.waitsFor(root);
    return {
      root,
      store,
      git,
      branch,
      trusted,
      madeElsewhere: !this.isOurs,
      switchWaits,
      live: this.runs.liveRuns().length,
      runs: await this.store.countRuns(),
    };
  }

  /** A run or a checkpoint into the trash, or out of it. */
  async remove(target: string, undo: boolean): Promise<{ removed: string[]; bytes: number }> {
    const run = await this.store.findRun(target).catch((error) => {
      if (error instanceof TrainstashError && error.code === 'notFound') return null;
      throw error;
    });
    return run ? this.#removeRun(run, undo) : this.#removeCheckpoint(target, undo);
  }

  /** The next part of a run's output from `offset` on, over its sessions one after the other. */
  async readLog(
    run: Run,
    sessionId: string | undefined,
    offset: number,
  ): Promise<{ text: string; offset: number; ended: boolean }> {
    const sessions = (await this.store.sessions(run.id)).filter(
      ({ id, purpose }) => purpose === 'train' && (!sessionId || id === sessionId),
    );
    let start = 0;
    for (const session of sessions) {
      const path = sessionOf(this.context, session.id).file('output');
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (offset < start + size) {
        const file = await open(path, 'r');
        try {
          const buffer = Buffer.alloc(Math.min(LOG_PAGE_BYTES, start + size - offset));
          const { bytesRead } = await file.read(buffer, 0, buffer.length, offset - start);
          const whole = wholeCharacters(buffer.subarray(0, bytesRead));
          return { text: whole.toString('utf8'), offset: offset + whole.length, ended: false };
        } finally {
          await file.close();
        }
      }
      start += size;
    }
    return { text: '', offset, ended: !LIVE_STATUSES.includes(run.status) };
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
    const pending = new Pending(this.place.store, directory);
    try {
      const written = await writeEverything(this.store, pending.path);
      renameSync(pending.path, directory);
      await this.close();
      rmSync(this.place.store, { recursive: true, force: true });
      return { directory, ...written };
    } finally {
      pending.close();
    }
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
      if (this.isOurs)
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

  async #removeRun(run: Run, undo: boolean): Promise<{ removed: string[]; bytes: number }> {
    if (LIVE_STATUSES.includes(run.status))
      throw new TrainstashError('wrongStatus', `${run.name} is ${run.status}; stop it first. Nothing was changed.`, {
        run: run.id,
        status: run.status,
        allowed: [],
      });
    const forks = undo
      ? []
      : (await this.store.runs({ drafts: true, trashed: false, before: null, limit: 10_000 })).runs.filter(
          ({ parent }) => parent?.run === run.id,
        );
    if (forks.length > 0)
      throw new TrainstashError(
        'protectedBy',
        `${forks.map(({ name }) => name).join(', ')} started from ${run.name}; remove those first. Nothing was changed.`,
        { what: run.name, reasons: forks.map(({ name }) => name) },
      );
    const at = undo ? null : Date.now();
    const checkpoints = (await this.store.checkpoints(run.id, true)).filter(({ trashedAt }) =>
      undo ? trashedAt === run.trashedAt : trashedAt === null,
    );
    for (const { id } of checkpoints) this.context.announce.checkpoint(await this.store.setTrash(id, at));
    const changed: Run = { ...run, trashedAt: at, checkpoints: undo ? checkpoints.length : 0 };
    await this.store.putRun(changed);
    this.context.announce.run(changed);
    return {
      removed: [run.name, ...checkpoints.map(({ id }) => id)],
      bytes: checkpoints.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  async #removeCheckpoint(query: string, undo: boolean): Promise<{ removed: string[]; bytes: number }> {
    const checkpoint = await this.findCheckpoint(query);
    const run = await this.store.requireRun(checkpoint.run);
    if (!undo) {
      const reasons = new Map(await this.store.reasonsToKeep(run.id, this.#policyOf(run))).get(checkpoint.id) ?? [];
      const strong = reasons.filter((reason) => /tagged|fork|newest/.test(reason));
      if (strong.length > 0 && LIVE_STATUSES.includes(run.status)) throw protectedBy(checkpoint.id, strong);
      if (reasons.some((reason) => /tagged|fork/.test(reason))) throw protectedBy(checkpoint.id, reasons);
    }
    const changed = await this.store.setTrash(checkpoint.id, undo ? null : Date.now());
    const newest = (await this.store.checkpoints(run.id)).at(-1);
    const count = (await this.store.checkpoints(run.id)).length;
    await this.store.putRun({
      ...run,
      checkpoints: count,
      lastCheckpoint: newest ? { id: newest.id, step: newest.step, grade: newest.grade } : null,
    });
    this.context.announce.checkpoint(changed);
    return { removed: [checkpoint.id], bytes: checkpoint.bytes };
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
    const own = run ?? (await this.store.requireRun(checkpoint!.run));
    const code = checkpoint ? (await this.store.requireFacts(checkpoint.id)).run.code : own.code;
    if (code === null)
      throw new TrainstashError('notFound', `${own.name} has no code snapshot: its folder was no git repository.`, {
        what: 'file',
        query: source,
      });
    return { code, leftOut: own.codeLeftOut };
  }

  /** As its newest session was told. */
  #policyOf(run: Run): KeepPolicy {
    const session = run.session && sessionOf(this.context, run.session);
    return keepPolicy(run, session ? session.launch() : null);
  }

  /** `14@1200`, `14@best`, or an id. */
  async findCheckpoint(query: string) {
    const at = query.lastIndexOf('@');
    if (at < 0) return this.store.findCheckpoint(query, null);
    return this.store.findCheckpoint(query.slice(at + 1), await this.store.findRun(query.slice(0, at)));
  }
}

/** The folder itself, or the nearest above it that is there. */
function existingFolder(path: string): string {
  return existsSync(path) ? path : existingFolder(dirname(path));
}

/** Somebody may make a repository of the project later. What is there already may be a link. */
function ignoreInGit(store: string): void {
  try {
    writeFileSync(join(store, '.gitignore'), '*\n', { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function protectedBy(id: string, reasons: string[]): TrainstashError {
  return new TrainstashError('protectedBy', `Checkpoint ${id} is needed: ${reasons.join(', ')}. Nothing was changed.`, {
    what: id,
    reasons,
  });
}

/** Cuts off the beginning of a character at the end. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}
