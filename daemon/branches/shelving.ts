/** What a branch leaves on the shelf when HEAD leaves it, and what comes back from there. */
import { earlierNames, hasHad, localBranches } from '../code/history.ts';
import type { Head } from '../code/project.ts';
import type { InPlace, KnownFile, WorktreeRecord } from './in-place.ts';
import type { Intake } from './intake.ts';
import { bring, type FileStore, shelve, shelvedOf, storedOf } from './moving.ts';
import { type LeavingSet, matching, type RunsHere } from './ownership.ts';
import { type RawPath, shown } from './paths.ts';
import { ShelfEntry } from './shelf.ts';
import { listed, type Tell } from './words.ts';
import { type FoundFile, findFile } from './working-set.ts';

export interface ShelvingSetup {
  /** What git calls the worktree. */
  name: string;
  root: string;
  storePath: string;
  store: FileStore;
  record: WorktreeRecord;
  intake: Intake;
  runs: Pick<RunsHere, 'live'>;
  head(): Head;
  /** The folders that are links and belong to the branch's files. */
  links(branch: Pick<InPlace, 'branch' | 'tip'>): Promise<ReadonlySet<string>>;
  tell: Tell;
}

export class Shelving {
  readonly #setup: ShelvingSetup;
  /** Stashes that git has said to be of the branch. */
  readonly #own = new Set<string>();

  constructor(setup: ShelvingSetup) {
    this.#setup = setup;
  }

  /** Moves what leaves with the branch in place; resolves with how many files. */
  async shelve(inPlace: InPlace, tip: string | null, set: LeavingSet): Promise<number> {
    const { root, store } = this.#setup;
    if (set.leaving.length + set.gone.length === 0) return 0;
    const shelved = this.#settleHalf(inPlace.branch, set);
    const gone = set.gone.filter(([path]) => !shelved.has(path));
    const entry = () => this.#createEntry(inPlace, tip, 'switch', set.leaving, gone);
    const links = await this.#setup.links(inPlace);
    return this.#setup.intake.pausedFor(() => shelve(entry(), store, { root, links }));
  }

  /**
   * A crash, or HEAD going back, left an entry of this branch half filled or half emptied: it keeps what is on its shelf,
   * and what is in place gets a new entry. Returns the paths that are on a shelf already.
   */
  #settleHalf(branch: string, { leaving }: LeavingSet): Set<RawPath> {
    const inTree = new Set(leaving.map(({ path }) => path));
    const shelved = new Set<RawPath>();
    for (const entry of this.entriesOf([branch])) {
      const files = entry.owner.files.filter((file) => entry.has(file) || !inTree.has(file.path));
      for (const file of files) if (entry.has(file)) shelved.add(file.path);
      if (files.length < entry.owner.files.length) entry.update({ files });
    }
    return shelved;
  }

  /** The new branch keeps the files; the old one's state goes into the store, so that it can come back. */
  async keepCopies(inPlace: InPlace, tip: string | null, set: LeavingSet, to: string): Promise<void> {
    const missing = await this.#setup.intake.takeNow(set.leaving, inPlace.branch);
    if (missing.length > 0) {
      const names = listed(missing.map(({ path }) => shown(path)));
      throw new Error(`${names} could not be taken in, and a copy is needed before ${to} changes them`);
    }
    // Copies: the files themselves stay where they are, so the store alone has this branch's.
    const known = this.#setup.record.files();
    const copied = set.leaving.flatMap((file): [RawPath, KnownFile][] => {
      const entry = matching(known, file);
      return entry ? [[file.path, entry]] : [];
    });
    if (copied.length + set.gone.length > 0) this.#createEntry(inPlace, tip, 'branched', [], [...copied, ...set.gone]);
  }

  #createEntry(
    { branch, tip }: InPlace,
    tipNow: string | null,
    reason: 'switch' | 'branched',
    present: readonly FoundFile[],
    stored: readonly [RawPath, KnownFile][],
  ): ShelfEntry {
    const known = this.#setup.record.files();
    return ShelfEntry.create(
      this.#setup.storePath,
      { branch, tip: tipNow ?? tip, worktree: this.#setup.name, state: 'stashed', reason },
      present.map((file) => shelvedOf(file, matching(known, file))),
      stored.map(storedOf),
    );
  }

  /** Whatever of a branch that is in place is still away comes back. */
  async bringBack(branch: string): Promise<{ movedIn: number; conflicts: string[] }> {
    const { root, store, intake, tell } = this.#setup;
    const away = this.entriesOf(null);
    const mayBeRenamed = away.some(({ owner }) => owner.branch !== branch);
    const names = mayBeRenamed ? await earlierNames(root, branch) : [];
    const entries = away.length > 0 ? await this.stashesOf(branch, names) : [];
    let movedIn = 0;
    const conflicts: string[] = [];
    if (entries.length > 0) {
      const links = await this.#setup.links({ branch, tip: null });
      await intake.pausedFor(async () => {
        for (const entry of entries) {
          const brought = await bring(entry, store, { root, links });
          movedIn += brought.placed.length;
          this.#learn(entry, brought.placed, links);
          if (brought.conflicts.length === 0) entry.remove();
          else {
            const left = new Set(brought.conflicts);
            conflicts.push(...brought.conflicts.map(shown));
            entry.update({
              state: 'kept',
              reason: 'conflict',
              files: entry.owner.files.filter(({ path }) => left.has(path)),
            });
            tell(
              'switched',
              `${listed([...left].map(shown))} of ${branch} did not come back: another file is in the way. Both are kept: stash ${entry.owner.id} has what did not come.`,
            );
          }
        }
      });
    }
    return { movedIn, conflicts };
  }

  /** What would come back by itself when this branch is entered, in this worktree. */
  async stashesOf(branch: string, names: readonly string[]): Promise<ShelfEntry[]> {
    const { root } = this.#setup;
    const branches = names.length > 0 ? await localBranches(root) : [];
    // A name that is another branch's by now has its own.
    const own = [branch, ...names.filter((name) => !branches.includes(name))];
    const entries: ShelfEntry[] = [];
    // The newest first: where two have the same path, its is the one that was in place last.
    for (const entry of this.entriesOf(own).reverse()) {
      const { tip } = entry.owner;
      if (tip === null || (await this.#isOwn(branch, tip))) entries.push(entry);
      else {
        // Another branch had this name: a person decides.
        entry.update({ state: 'kept' });
        this.#setup.tell(
          'stashOffered',
          `Stash ${entry.owner.id} has files of another branch that was called ${branch}. They were not put here by themselves.`,
        );
      }
    }
    return entries;
  }

  /** Asked of git once: a branch does not lose a commit that it has had, unless it becomes another branch. */
  async #isOwn(branch: string, tip: string): Promise<boolean> {
    const key = `${branch} ${tip} ${this.#setup.head().commit}`;
    if (this.#own.has(key)) return true;
    const own = await hasHad(this.#setup.root, branch, tip);
    if (own) this.#own.add(key);
    return own;
  }

  /** Of these branches, or of all, what comes back by itself. */
  entriesOf(branches: readonly string[] | null): ShelfEntry[] {
    const { storePath } = this.#setup;
    return ShelfEntry.all(storePath).filter(
      ({ owner }) =>
        owner.worktree === this.#setup.name &&
        owner.droppedAt === null &&
        owner.state !== 'kept' &&
        (branches === null || branches.includes(owner.branch)),
    );
  }

  /** Known files are gone and nobody of ours took them: they can be had back. */
  keepVanished(files: [RawPath, KnownFile][]): void {
    const { storePath, runs, tell } = this.#setup;
    const inPlace = this.#setup.record.inPlace();
    // While a run writes it also prunes: what it deletes is its own business.
    if (!inPlace || files.length === 0 || runs.live().some(({ writesFiles }) => writesFiles)) return;
    const { branch, tip } = inPlace;
    const facts = { branch, tip, worktree: this.#setup.name, state: 'kept', reason: 'vanished' } as const;
    const entry = ShelfEntry.create(storePath, facts, [], files.map(storedOf));
    tell(
      'vanished',
      `${listed(files.map(([path]) => shown(path)))} vanished (deleted, or by git). Stash ${entry.owner.id} has what the store kept.`,
    );
  }

  /** Files that are back are known again, with the stat they have now. */
  #learn(entry: ShelfEntry, placed: readonly RawPath[], links: ReadonlySet<string>): void {
    const { root } = this.#setup;
    const files = new Map(this.#setup.record.files());
    const back = new Set(placed);
    const seen = new Set<string>();
    for (const { path, run, saved } of entry.owner.files) {
      const file = back.has(path) ? findFile(root, path, links, seen) : null;
      if (file)
        files.set(path, { ino: file.ino, bytes: file.bytes, mtimeMs: file.mtimeMs, mode: file.mode, run, saved });
    }
    this.#setup.record.setFiles(files);
  }
}
