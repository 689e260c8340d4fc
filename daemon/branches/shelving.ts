/** Stashes the files of a branch when HEAD leaves it, and restores them when HEAD comes back. */
import type { InPlace, KnownFile, WorktreeRecord } from './in-place.ts';
import type { Intake } from './intake.ts';
import type { KnownBranches } from './known-branches.ts';
import { bring, type FileStore, offerStored, shelve, shelvedOf, storedOf } from './moving.ts';
import { type LeavingSet, matching, type Ownership, type RunsHere } from './ownership.ts';
import { type RawPath, shown } from './paths.ts';
import { ShelfEntry } from './shelf.ts';
import { listed, type Tell } from './words.ts';
import { type FoundFile, findFile } from './working-set.ts';

export interface ShelvingSetup {
  /** git's name for the worktree. */
  name: string;
  root: string;
  storePath: string;
  store: FileStore;
  record: WorktreeRecord;
  intake: Intake;
  known: KnownBranches;
  runs: Pick<RunsHere, 'live'>;
  ownership: Pick<Ownership, 'linksOf'>;
  tell: Tell;
}

export class Shelving {
  readonly #setup: ShelvingSetup;
  /** Stashes that the user was told about. */
  readonly #offered = new Set<string>();

  constructor(setup: ShelvingSetup) {
    this.#setup = setup;
  }

  /** Moves the files that leave with the branch in place. Resolves with their number. */
  async shelve(inPlace: InPlace, tip: string | null, set: LeavingSet): Promise<number> {
    const { root, store } = this.#setup;
    if (set.leaving.length + set.gone.length === 0) return 0;
    const shelved = this.#settleHalf(inPlace.id, set);
    const gone = set.gone.filter(([path]) => !shelved.has(path));
    const entry = () => this.#createEntry(inPlace, tip, 'switch', set.leaving, gone);
    const links = await this.#setup.ownership.linksOf(inPlace);
    return this.#setup.intake.pausedFor(() => shelve(entry(), store, { root, links }));
  }

  /**
   * Settles a stash of this branch that a crash, or HEAD going back, left half filled or half emptied: it keeps what is
   * in its folder, and the files in place get a new stash. Returns the paths that are stashed already.
   */
  #settleHalf(branchId: string, { leaving }: LeavingSet): Set<RawPath> {
    const inTree = new Set(leaving.map(({ path }) => path));
    const shelved = new Set<RawPath>();
    for (const entry of this.stashesOf(branchId)) {
      const files = entry.owner.files.filter((file) => entry.has(file) || !inTree.has(file.path));
      for (const file of files) if (entry.has(file)) shelved.add(file.path);
      if (files.length < entry.owner.files.length) entry.update({ files });
    }
    return shelved;
  }

  /** Saves the old branch's state into the store, so that it can come back; the new branch keeps the files. */
  async keepCopies(inPlace: InPlace, tip: string | null, set: LeavingSet, to: string): Promise<void> {
    const missing = await this.#setup.intake.takeNow(set.leaving, this.#nameOf(inPlace));
    if (missing.length > 0) {
      const names = listed(missing.map(({ path }) => shown(path)));
      throw new Error(`${names} could not be taken in, and a copy is needed before ${to} changes them`);
    }
    // Copies: the files themselves stay in the tree, so only the store has this branch's versions.
    const known = this.#setup.record.files();
    const copied = set.leaving.flatMap((file): [RawPath, KnownFile][] => {
      const entry = matching(known, file);
      return entry ? [[file.path, entry]] : [];
    });
    if (copied.length + set.gone.length > 0) this.#createEntry(inPlace, tip, 'branched', [], [...copied, ...set.gone]);
  }

  #createEntry(
    inPlace: InPlace,
    tipNow: string | null,
    reason: 'switch' | 'branched',
    present: readonly FoundFile[],
    stored: readonly [RawPath, KnownFile][],
  ): ShelfEntry {
    const known = this.#setup.record.files();
    return ShelfEntry.create(
      this.#setup.storePath,
      { ...this.#factsOf(inPlace), tip: tipNow ?? inPlace.tip, state: 'stashed', reason },
      present.map((file) => shelvedOf(file, matching(known, file))),
      stored.map(storedOf),
    );
  }

  /** Restores every stash of the branch in place. */
  async bringBack(inPlace: InPlace): Promise<{ movedIn: number; conflicts: string[] }> {
    const { root, store, intake, tell } = this.#setup;
    const branch = this.#nameOf(inPlace);
    this.#offerOthers(inPlace.id, branch);
    // Newest first: where two stashes have the same path, the newer one was in place last.
    const entries = this.stashesOf(inPlace.id).reverse();
    let movedIn = 0;
    const conflicts: string[] = [];
    if (entries.length > 0) {
      const links = await this.#setup.ownership.linksOf(inPlace);
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

  /**
   * Lists the stashes that are restored automatically when this branch is entered in this worktree, the oldest first.
   */
  stashesOf(branchId: string): ShelfEntry[] {
    return this.#away().filter(({ owner }) => owner.branchId === branchId);
  }

  /** Offers stashes of other branches that had this name, or that may have been this branch: the user decides. */
  #offerOthers(id: string, branch: string): void {
    const { known, tell } = this.#setup;
    for (const entry of this.#away()) {
      const { name, state } = known.find(entry.owner.branchId);
      if (entry.owner.branchId === id || name !== branch || state === 'there') continue;
      if (this.#offered.has(entry.owner.id)) continue;
      this.#offered.add(entry.owner.id);
      const whose =
        state === 'gone' ? `another branch that was called ${branch}` : `a branch that was called ${branch}`;
      const why = state === 'gone' ? '' : ', and whether it is this one cannot be told, since git’s log of it is gone';
      tell(
        'stashOffered',
        `Stash ${entry.owner.id} has files of ${whose}${why}. They were not put here by themselves; \`trainstash stash restore ${entry.owner.id}\` does it.`,
      );
    }
  }

  /** Lists the stashes of all branches that are restored automatically. */
  #away(): ShelfEntry[] {
    const { storePath, name } = this.#setup;
    return ShelfEntry.all(storePath).filter(
      ({ owner }) => owner.worktree === name && owner.droppedAt === null && owner.state !== 'kept',
    );
  }

  #nameOf({ id, branch }: InPlace): string {
    return this.#setup.known.find(id).name || branch;
  }

  #factsOf(inPlace: InPlace) {
    const { id, tip } = inPlace;
    return { branch: this.#nameOf(inPlace), branchId: id, tip, worktree: this.#setup.name };
  }

  /** Offers known files that are gone, and that Trainstash did not move, for restoring. */
  keepVanished(files: [RawPath, KnownFile][]): void {
    const { storePath, runs, tell } = this.#setup;
    const inPlace = this.#setup.record.inPlace();
    // A run that writes also prunes: its deletions are intended.
    if (!inPlace || files.length === 0 || runs.live().some(({ writesFiles }) => writesFiles)) return;
    const entry = offerStored(storePath, { ...this.#factsOf(inPlace), reason: 'vanished' }, files);
    tell(
      'vanished',
      `${listed(files.map(([path]) => shown(path)))} vanished (deleted, or by git). Stash ${entry.owner.id} has what the store kept.`,
    );
  }

  /** Offers the earlier content of files that changed while HEAD was elsewhere and the daemon was not running. */
  keepReplaced(files: [RawPath, KnownFile][]): void {
    const inPlace = this.#setup.record.inPlace();
    if (!inPlace || files.length === 0) return;
    const entry = offerStored(this.#setup.storePath, { ...this.#factsOf(inPlace), reason: 'replaced' }, files);
    this.#setup.tell(
      'replaced',
      `${listed(files.map(([path]) => shown(path)))} changed while HEAD was on another branch and nobody looked. Stash ${entry.owner.id} has what ${this.#nameOf(inPlace)} had before.`,
    );
  }

  /** Records restored files as known, with their present stat. */
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
