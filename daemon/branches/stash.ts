/** Stashes the files of a branch when HEAD leaves it, and restores them when HEAD comes back. */
import type { InPlace, KnownFile, WorktreeRecord } from './active-branch.ts';
import type { Ingestion } from './ingest.ts';
import type { KnownBranches } from './known-branches.ts';
import { describeFound, describeStored, type FileStore, offerStored, restoreFiles, stashFiles } from './move-files.ts';
import { type LeavingSet, matching, type Ownership, type WorktreeRuns } from './ownership.ts';
import { type RawPath, shown } from './paths.ts';
import { listed, type Notify } from './reasons.ts';
import { StashFolder } from './stash-folder.ts';
import { type FoundFile, findFile } from './working-set.ts';

export interface BranchStashesSetup {
  /** git's name for the worktree. */
  name: string;
  root: string;
  storePath: string;
  store: FileStore;
  record: WorktreeRecord;
  ingestion: Ingestion;
  known: KnownBranches;
  runs: Pick<WorktreeRuns, 'live'>;
  ownership: Pick<Ownership, 'linksOf'>;
  notify: Notify;
}

export class BranchStashes {
  readonly #setup: BranchStashesSetup;
  /** Stashes that the user was told about. */
  readonly #offered = new Set<string>();

  constructor(setup: BranchStashesSetup) {
    this.#setup = setup;
  }

  /** Moves the files that leave with the branch in place. Resolves with their number. */
  async stash(inPlace: InPlace, tip: string | null, set: LeavingSet): Promise<number> {
    const { root, store } = this.#setup;
    if (set.leaving.length + set.gone.length === 0) return 0;
    const stashed = this.#settleUnfinished(inPlace.id, set);
    const gone = set.gone.filter(([path]) => !stashed.has(path));
    const entry = () => this.#createEntry(inPlace, tip, 'switch', set.leaving, gone);
    const links = await this.#setup.ownership.linksOf(inPlace);
    return this.#setup.ingestion.pausedFor(() => stashFiles(entry(), store, { root, links }));
  }

  /**
   * Settles a stash of this branch that a crash, or HEAD going back, left half filled or half emptied: it keeps what is
   * in its folder, and the files in place get a new stash. Returns the paths that are stashed already.
   */
  #settleUnfinished(branchId: string, { leaving }: LeavingSet): Set<RawPath> {
    const inTree = new Set(leaving.map(({ path }) => path));
    const stashed = new Set<RawPath>();
    for (const entry of this.stashesOf(branchId)) {
      const files = entry.owner.files.filter((file) => entry.has(file) || !inTree.has(file.path));
      for (const file of files) if (entry.has(file)) stashed.add(file.path);
      if (files.length < entry.owner.files.length) entry.update({ files });
    }
    return stashed;
  }

  /** Saves the old branch's state into the store, so that it can come back; the new branch keeps the files. */
  async keepCopies(inPlace: InPlace, tip: string | null, set: LeavingSet, to: string): Promise<void> {
    const missing = await this.#setup.ingestion.saveNow(set.leaving, this.#nameOf(inPlace));
    if (missing.length > 0) {
      const names = listed(missing.map(({ path }) => shown(path)));
      throw new Error(`${names} could not be saved, and a copy is needed before ${to} changes them`);
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
  ): StashFolder {
    const known = this.#setup.record.files();
    return StashFolder.create(
      this.#setup.storePath,
      { ...this.#factsOf(inPlace), tip: tipNow ?? inPlace.tip, state: 'stashed', reason },
      present.map((file) => describeFound(file, matching(known, file))),
      stored.map(describeStored),
    );
  }

  /** Restores every stash of the branch in place. */
  async bringBack(inPlace: InPlace): Promise<{ movedIn: number; conflicts: string[] }> {
    const { root, store, ingestion, notify } = this.#setup;
    const branch = this.#nameOf(inPlace);
    this.#offerOthers(inPlace.id, branch);
    // Newest first: where two stashes have the same path, the newer one was in place last.
    const entries = this.stashesOf(inPlace.id).reverse();
    let movedIn = 0;
    const conflicts: string[] = [];
    if (entries.length > 0) {
      const links = await this.#setup.ownership.linksOf(inPlace);
      await ingestion.pausedFor(async () => {
        for (const entry of entries) {
          const result = await restoreFiles(entry, store, { root, links });
          movedIn += result.placed.length;
          this.#recordRestored(entry, result.placed, links);
          if (result.conflicts.length === 0) entry.remove();
          else {
            const left = new Set(result.conflicts);
            conflicts.push(...result.conflicts.map(shown));
            entry.update({
              state: 'kept',
              reason: 'conflict',
              files: entry.owner.files.filter(({ path }) => left.has(path)),
            });
            notify(
              'switched',
              `${listed([...left].map(shown))} of ${branch} did not come back, because another file is in the way. Nothing was overwritten: stash ${entry.owner.id} keeps the files of ${branch}.`,
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
  stashesOf(branchId: string): StashFolder[] {
    return this.#automaticStashes().filter(({ owner }) => owner.branchId === branchId);
  }

  /** Offers stashes of other branches that had this name, or that may have been this branch: the user decides. */
  #offerOthers(id: string, branch: string): void {
    const { known, notify } = this.#setup;
    for (const entry of this.#automaticStashes()) {
      const { name, state } = known.find(entry.owner.branchId);
      if (entry.owner.branchId === id || name !== branch || state === 'there') continue;
      if (this.#offered.has(entry.owner.id)) continue;
      this.#offered.add(entry.owner.id);
      const whose =
        state === 'gone' ? `another branch that was called ${branch}` : `a branch that was called ${branch}`;
      const why =
        state === 'gone' ? '' : '. git’s reflog of it is gone, so Trainstash cannot tell whether it is this one';
      notify(
        'stashOffered',
        `Stash ${entry.owner.id} has files of ${whose}${why}. They were not restored automatically; run \`trainstash stash restore ${entry.owner.id}\` to restore them.`,
      );
    }
  }

  /** Lists the stashes of all branches that are restored automatically. */
  #automaticStashes(): StashFolder[] {
    const { storePath, name } = this.#setup;
    return StashFolder.all(storePath).filter(
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
    const { storePath, runs, notify } = this.#setup;
    const inPlace = this.#setup.record.inPlace();
    // A run that writes also prunes: its deletions are intended.
    if (!inPlace || files.length === 0 || runs.live().some(({ writesFiles }) => writesFiles)) return;
    const entry = offerStored(storePath, { ...this.#factsOf(inPlace), reason: 'vanished' }, files);
    notify(
      'vanished',
      `${listed(files.map(([path]) => shown(path)))} vanished (deleted, or removed by git). Stash ${entry.owner.id} has the copies that the store kept.`,
    );
  }

  /** Offers the earlier content of files that changed while HEAD was elsewhere and the daemon was not running. */
  keepReplaced(files: [RawPath, KnownFile][]): void {
    const inPlace = this.#setup.record.inPlace();
    if (!inPlace || files.length === 0) return;
    const entry = offerStored(this.#setup.storePath, { ...this.#factsOf(inPlace), reason: 'replaced' }, files);
    this.#setup.notify(
      'replaced',
      `${listed(files.map(([path]) => shown(path)))} changed while HEAD was on another branch and the daemon was not running. Stash ${entry.owner.id} has the earlier content from ${this.#nameOf(inPlace)}.`,
    );
  }

  /** Records restored files as known, with their present stat. */
  #recordRestored(entry: StashFolder, placed: readonly RawPath[], links: ReadonlySet<string>): void {
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
