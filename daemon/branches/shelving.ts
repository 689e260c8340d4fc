/** What a branch leaves on the shelf when HEAD leaves it, and what comes back from there. */
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
  /** What git calls the worktree. */
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
  /** Stashes of which a person was told. */
  readonly #offered = new Set<string>();

  constructor(setup: ShelvingSetup) {
    this.#setup = setup;
  }

  /** Moves what leaves with the branch in place; resolves with how many files. */
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
   * A crash, or HEAD going back, left an entry of this branch half filled or half emptied: it keeps what is on its shelf,
   * and what is in place gets a new entry. Returns the paths that are on a shelf already.
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

  /** The new branch keeps the files; the old one's state goes into the store, so that it can come back. */
  async keepCopies(inPlace: InPlace, tip: string | null, set: LeavingSet, to: string): Promise<void> {
    const missing = await this.#setup.intake.takeNow(set.leaving, this.#nameOf(inPlace));
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

  /** Whatever of a branch that is in place is still away comes back. */
  async bringBack(inPlace: InPlace): Promise<{ movedIn: number; conflicts: string[] }> {
    const { root, store, intake, tell } = this.#setup;
    const branch = this.#nameOf(inPlace);
    this.#offerOthers(inPlace.id, branch);
    // The newest first: where two have the same path, its is the one that was in place last.
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

  /** What would come back by itself when this branch is entered, in this worktree; the oldest first. */
  stashesOf(branchId: string): ShelfEntry[] {
    return this.#away().filter(({ owner }) => owner.branchId === branchId);
  }

  /** Another branch had this name, or may have been this one: a person decides. */
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

  /** What comes back by itself, of all branches. */
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

  /** Known files are gone and nobody of ours took them: they can be had back. */
  keepVanished(files: [RawPath, KnownFile][]): void {
    const { storePath, runs, tell } = this.#setup;
    const inPlace = this.#setup.record.inPlace();
    // While a run writes it also prunes: what it deletes is its own business.
    if (!inPlace || files.length === 0 || runs.live().some(({ writesFiles }) => writesFiles)) return;
    const entry = offerStored(storePath, { ...this.#factsOf(inPlace), reason: 'vanished' }, files);
    tell(
      'vanished',
      `${listed(files.map(([path]) => shown(path)))} vanished (deleted, or by git). Stash ${entry.owner.id} has what the store kept.`,
    );
  }

  /** Files were changed while HEAD was elsewhere and nobody looked: what they were can be had back. */
  keepReplaced(files: [RawPath, KnownFile][]): void {
    const inPlace = this.#setup.record.inPlace();
    if (!inPlace || files.length === 0) return;
    const entry = offerStored(this.#setup.storePath, { ...this.#factsOf(inPlace), reason: 'replaced' }, files);
    this.#setup.tell(
      'replaced',
      `${listed(files.map(([path]) => shown(path)))} changed while HEAD was on another branch and nobody looked. Stash ${entry.owner.id} has what ${this.#nameOf(inPlace)} had before.`,
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
