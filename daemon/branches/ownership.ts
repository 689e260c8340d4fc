/**
 * Determines the branch that owns a file of the worktree, and the processes that prevent moving it. Reads only, changes
 * nothing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONFIG_FILES } from '../../protocol/config-file.ts';
import { Committed } from '../code/committed.ts';
import { switchedWithoutMoving } from '../code/history.ts';
import type { Head } from '../code/project.ts';
import type { GitDirectories } from '../code/reflog.ts';
import { askGit } from '../code/repository.ts';
import type { InPlace, KnownFile, WorktreeRecord } from './active-branch.ts';
import type { KnownBranches } from './known-branches.ts';
import { declaredLinks } from './links.ts';
import { absoluteText, NO_LINKS, type RawPath } from './paths.ts';
import type { Written } from './turns.ts';
import { type FoundFile, findDeclared, findFile, isSame, type Patterns, trackedPaths } from './working-set.ts';
import { processesWriting } from './writers.ts';

export interface WorktreeRun {
  id: string;
  name: string;
  /** Id of the run's branch; null on a detached HEAD. */
  branchId: string | null;
  startedAt: number;
  /** True if the run may write into the working set by path. */
  writesFiles: boolean;
}

/** Operations on the runs of a worktree. */
export interface WorktreeRuns {
  live(): WorktreeRun[];
  /** Asks the run to save a checkpoint and exit. Resolves once it has been asked. */
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  /** Returns when a run of that branch that writes by path was last live here; 0: never since the daemon started. */
  wroteUntil(branchId: string): number;
  /** Reports that HEAD left the branch of a run that continues. */
  codeMoved(id: string, to: string): Promise<void>;
}

export interface BranchPolicy {
  files: Patterns;
  onBranchSwitch: 'continue' | 'pause' | 'ask';
}

export interface LeavingSet {
  leaving: FoundFile[];
  /** Made or changed after HEAD moved. */
  late: FoundFile[];
  /** Changed after the last look and before HEAD moved. */
  unknown: FoundFile[];
  /** No longer in place, but in the store. */
  gone: [RawPath, KnownFile][];
}

export interface OwnershipSetup {
  root: string;
  directories: GitDirectories;
  known: KnownBranches;
  record: WorktreeRecord;
  runs: Pick<WorktreeRuns, 'live' | 'wroteUntil'>;
  /** Parses the branch policy of a trainstash.json; null: there is none. */
  policy(text: string | null): BranchPolicy;
  headMovedAt(): number;
}

/** Resolution of file times on Linux. */
const CLOCK_TICK_MS = 10;

export class Ownership {
  readonly #setup: OwnershipSetup;
  readonly #committed: Committed;

  constructor(setup: OwnershipSetup) {
    this.#setup = setup;
    this.#committed = new Committed(setup.root, setup.directories);
  }

  /**
   * Finds the files of the branch in place: those that it declares and those that its runs wrote, except for those that
   * git tracks.
   */
  async find(): Promise<{ files: FoundFile[]; folders: RawPath[]; runOf(path: RawPath): string | null }> {
    const { root } = this.#setup;
    const inPlace = this.#setup.record.inPlace();
    const declared = inPlace ? (await this.policyOf(inPlace)).files : [];
    const { files, folders } = await findDeclared(root, declared);
    const links = await declaredLinks(root, declared);
    const tracked = await trackedPaths(root, this.#committed, []);
    const known = this.#setup.record.files();
    const byPath = new Map(files.map((file) => [file.path, file]));
    for (const [path, { run }] of known) {
      const file = run !== null && !byPath.has(path) ? findFile(root, path, links) : null;
      if (file) byPath.set(path, file);
    }
    return {
      files: [...byPath.values()].filter(({ path }) => !tracked.has(path)),
      folders,
      runOf: (path) => known.get(path)?.run ?? null,
    };
  }

  /**
   * Determines the files that leave with the branch in place. `claimed` are paths that were recognised as its own while
   * the switch waited. With `everything` the user has said that all changed files belong to it.
   */
  async leaving(inPlace: InPlace, claimed: ReadonlySet<RawPath>, everything: boolean): Promise<LeavingSet> {
    const { root, runs, record } = this.#setup;
    const known = record.files();
    const headMoved = this.#setup.headMovedAt();
    const [found, tracked] = await Promise.all([
      this.policyOf(inPlace).then(({ files }) => findDeclared(root, files)),
      trackedPaths(root, this.#committed, this.#revisionsOf(inPlace)),
    ]);
    const links = await this.linksOf(inPlace);
    const byPath = new Map(found.files.map((file) => [file.path, file]));
    for (const [path, { run }] of known) {
      const file = run !== null && !byPath.has(path) ? findFile(root, path, links) : null;
      if (file) byPath.set(path, file);
    }
    const files = [...byPath.values()].filter(({ path }) => !tracked.has(path));
    const writing = runs.live().some(({ writesFiles, branchId }) => writesFiles && branchId === inPlace.id);
    // Files that a run of that branch wrote belong to it, however late.
    const lateFrom =
      writing || everything ? Number.POSITIVE_INFINITY : Math.max(headMoved, runs.wroteUntil(inPlace.id));
    const isOwn = (file: FoundFile) => matching(known, file) !== undefined || claimed.has(file.path);
    // Within the clock tick of HEAD's move a file may belong to either branch: it stays, and is reported.
    const late = files.filter((file) => !isOwn(file) && file.mtimeMs >= lateFrom);
    const leaving = files.filter((file) => !late.includes(file));
    const unknown = files.filter(
      (file) => !isOwn(file) && file.mtimeMs > inPlace.seenAt && file.mtimeMs <= headMoved + CLOCK_TICK_MS,
    );
    const present = new Set(leaving.map(({ path }) => path));
    // git, or a late writer, replaced or removed them when HEAD moved: the store has the earlier content.
    const gone = [...known].filter(([path, { saved }]) => saved !== null && !present.has(path));
    return { leaving, late, unknown, gone };
  }

  /**
   * Reduces a set to the files that certainly belong to the branch; a file that changed since goes in its last known
   * state.
   */
  withoutUnknown({ leaving, late, unknown, gone }: LeavingSet): LeavingSet {
    const known = this.#setup.record.files();
    const paths = new Set(unknown.map(({ path }) => path));
    const before = [...known].filter(([path, { saved }]) => saved !== null && paths.has(path));
    return { leaving: leaving.filter(({ path }) => !paths.has(path)), late, unknown: [], gone: [...gone, ...before] };
  }

  /** Finds files in place whose content differs from the last known one, with the store's copy of that. */
  async replaced(): Promise<[RawPath, KnownFile][]> {
    const links = await this.linksInPlace();
    return [...this.#setup.record.files()].filter(([path, known]) => {
      const file = known.saved === null ? null : findFile(this.#setup.root, path, links);
      return file !== null && !isSame(known, file);
    });
  }

  /** Reads the branch's policy for files and switches. */
  async policyOf(branch: Pick<InPlace, 'id' | 'tip'>): Promise<BranchPolicy> {
    return this.#setup.policy(await this.#configOf(branch));
  }

  /** Finds the folders that are links and belong to the branch's files. */
  async linksOf(branch: Pick<InPlace, 'id' | 'tip'>): Promise<ReadonlySet<string>> {
    return declaredLinks(this.#setup.root, (await this.policyOf(branch)).files);
  }

  async linksInPlace(): Promise<ReadonlySet<string>> {
    const inPlace = this.#setup.record.inPlace();
    return inPlace ? this.linksOf(inPlace) : NO_LINKS;
  }

  /** Lists the branch as it is now and as last seen, in case it is gone. */
  #revisionsOf({ id, tip }: Pick<InPlace, 'id' | 'tip'>): string[] {
    const { name, state } = this.#setup.known.find(id);
    return [...(state === 'there' ? [`refs/heads/${name}`] : []), ...(tip ? [tip] : [])];
  }

  /**
   * Reads the configuration as committed on that branch. A file that was never committed is the same on every branch.
   */
  async #configOf(branch: Pick<InPlace, 'id' | 'tip'>): Promise<string | null> {
    const { root } = this.#setup;
    for (const revision of this.#revisionsOf(branch)) {
      for (const name of CONFIG_FILES) {
        const committed = await this.#committed.text(revision, name);
        if (committed !== null) return committed;
      }
    }
    if (await askGit(['ls-files', '--', ...CONFIG_FILES], { cwd: root })) return null;
    for (const name of CONFIG_FILES) {
      const text = await readFile(join(root, name), 'utf8').catch(() => null);
      if (text !== null) return text;
    }
    return null;
  }

  /** Tells whether HEAD's branch was created since the last look, from the position of the branch in place. */
  async isMadeHere(inPlace: InPlace, head: Head): Promise<boolean> {
    if (head.branch === null || head.commit === null) return false;
    const { known, directories } = this.#setup;
    const { name, state } = known.find(inPlace.id);
    // The branch in place was deleted, and this one was created under its name.
    if (state !== 'there' && head.branch === inPlace.branch) return false;
    const signs = known.signsOf(head.branch);
    // A name that the branch in place had then may belong to another branch by now.
    if (signs.some((one) => one !== inPlace.branch && inPlace.branches.includes(one))) return false;
    const straight = await switchedWithoutMoving(directories, [inPlace.branch, name], head.branch);
    // Without a reflog the same commit is the best evidence.
    return straight ?? head.commit === inPlace.tip;
  }

  /** Records that runs wrote these files: they follow the branch in place, declared or not. */
  async recordWritten(written: readonly Written[]): Promise<void> {
    const { root, record } = this.#setup;
    if (!record.inPlace()) return;
    const links = await this.linksInPlace();
    const known = record.files();
    const files = new Map(known);
    for (const { run, paths } of written)
      for (const path of paths) {
        const file = findFile(root, path, links);
        if (!file) continue;
        const { ino, bytes, mtimeMs, mode } = file;
        files.set(path, { ino, bytes, mtimeMs, mode, run, saved: matching(known, file)?.saved ?? null });
      }
    record.setFiles(files);
  }

  async writers(branchId: string, files: readonly FoundFile[]): Promise<string[]> {
    const { root, runs } = this.#setup;
    const live = runs.live().filter((run) => run.writesFiles && run.branchId === branchId);
    const paths = new Set(files.flatMap(({ path }) => absoluteText(root, path) ?? []));
    return [...live.map(({ name }) => name), ...(live.length > 0 ? [] : await processesWriting(paths))];
  }
}

export function matching(known: ReadonlyMap<RawPath, KnownFile>, file: FoundFile): KnownFile | undefined {
  const entry = known.get(file.path);
  return entry && isSame(entry, file) ? entry : undefined;
}
