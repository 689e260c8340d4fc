/** Lists, shows, restores and drops stashes for the user. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import type { StashSummary } from '../../protocol/messages/branch.ts';
import { worktreeNames } from '../code/project.ts';
import { WorktreeRecord } from './active-branch.ts';
import type { KnownBranches } from './known-branches.ts';
import { type FileStore, offerStored, restoreFiles } from './move-files.ts';
import { NO_LINKS, shown } from './paths.ts';
import { type Owner, StashFolder, subfoldersOf } from './stash-folder.ts';

const TRASH_MS = 7 * 86_400_000;

export interface StashesSetup {
  storePath: string;
  store: FileStore;
  /** Null without git: files follow no branches then, and nothing is stashed. */
  git: { known: KnownBranches; common: string } | null;
  /** Finds the folders of a worktree that are links and belong to its files. */
  links(root: string): Promise<ReadonlySet<string>>;
}

export class Stashes {
  readonly #storePath: string;
  readonly #store: FileStore;
  readonly #git: StashesSetup['git'];
  readonly #links: StashesSetup['links'];

  constructor({ storePath, store, git, links }: StashesSetup) {
    this.#storePath = storePath;
    this.#store = store;
    this.#git = git;
    this.#links = links;
  }

  /** Lists stashes, the newest first, dropped ones last. */
  async list(): Promise<StashSummary[]> {
    this.#keepOfGoneWorktrees();
    await this.#git?.known.look();
    const summaries = StashFolder.all(this.#storePath)
      .reverse()
      .map((entry) => this.#summaryOf(entry));
    return summaries.sort((a, b) => Number(a.droppedAt !== null) - Number(b.droppedAt !== null));
  }

  async show(query: string) {
    await this.#git?.known.look();
    const entry = this.#find(query);
    const files = entry.owner.files.map(({ path, bytes, saved }) => ({
      path: shown(path),
      bytes,
      stored: saved !== null,
    }));
    return { stash: this.#summaryOf(entry), files };
  }

  /** Restores a stash into this worktree, or copies it below `directory`. */
  async restore(root: string, query: string, directory?: string): Promise<{ restored: string[]; conflicts: string[] }> {
    await this.#git?.known.look();
    const entry = this.#find(query);
    const tree =
      directory === undefined ? { root, links: await this.#links(root) } : { root: directory, links: NO_LINKS };
    const { placed, conflicts } = await restoreFiles(entry, this.#store, tree, directory !== undefined);
    if (directory === undefined && conflicts.length === 0) entry.remove();
    else if (directory === undefined) {
      const left = new Set(conflicts);
      entry.update({ state: 'kept', files: entry.owner.files.filter(({ path }) => left.has(path)) });
    }
    return { restored: placed.map(shown), conflicts: conflicts.map(shown) };
  }

  async drop(query: string | undefined, undo: boolean): Promise<StashSummary> {
    await this.#git?.known.look();
    const entry = query === undefined ? this.#newest(undo) : this.#find(query);
    entry.update({ droppedAt: undo ? null : Date.now() });
    return this.#summaryOf(entry);
  }

  /**
   * Empties the trash and forgets files that nothing needs any more. `needed`: store files that open worktrees have in
   * place.
   */
  async tidy(needed: readonly string[], emptyTrash = false): Promise<void> {
    this.#keepOfGoneWorktrees();
    const limit = emptyTrash ? Number.POSITIVE_INFINITY : Date.now() - TRASH_MS;
    for (const entry of StashFolder.all(this.#storePath)) {
      const { droppedAt, reason, createdAt } = entry.owner;
      const isCopy = reason === 'vanished' || reason === 'replaced';
      const since = droppedAt ?? (isCopy && !emptyTrash ? createdAt : null);
      if (since !== null && since < limit) entry.remove();
    }
    // Only these stashes know which files they refer to, so nothing is forgotten.
    if (StashFolder.someAreUnreadable(this.#storePath)) return;
    const stashed = StashFolder.all(this.#storePath).flatMap(({ owner }) =>
      owner.files.flatMap(({ saved }) => saved ?? []),
    );
    await this.#store.keepOnlyFiles([...needed, ...recordedFiles(this.#storePath), ...stashed]);
    this.#git?.known.forget(this.#branchesNeeded());
  }

  #branchesNeeded(): Set<string> {
    const stashed = StashFolder.all(this.#storePath).map(({ owner }) => owner.branchId);
    const records = subfoldersOf(join(this.#storePath, 'worktrees')).map(
      (name) => new WorktreeRecord(this.#storePath, name),
    );
    const inPlace = records.flatMap((record) => record.inPlace()?.id ?? []);
    return new Set([...stashed, ...inPlace, ...records.flatMap((record) => Object.keys(record.paused()))]);
  }

  /**
   * Offers the store's copies of files whose worktree is gone: `git worktree remove` deletes ignored files without
   * warning.
   */
  #keepOfGoneWorktrees(): void {
    if (!this.#git) return;
    const names = worktreeNames(this.#git.common);
    for (const name of subfoldersOf(join(this.#storePath, 'worktrees'))) {
      if (names.includes(name)) continue;
      const record = new WorktreeRecord(this.#storePath, name);
      const inPlace = record.inPlace();
      const files = [...record.files()].filter(([, { saved }]) => saved !== null);
      if (inPlace && files.length > 0) {
        const { branch, id, tip } = inPlace;
        const facts = { branch, branchId: id, tip, worktree: name, reason: 'vanished' } as const;
        offerStored(this.#storePath, facts, files);
      }
      rmSync(join(this.#storePath, 'worktrees', name), { recursive: true, force: true });
    }
  }

  /**
   * Removes stashed copies of files that the store has: they come back from there, at the disk's speed instead of at
   * once. Returns the bytes freed.
   */
  evict(): number {
    let bytes = 0;
    for (const entry of StashFolder.all(this.#storePath))
      for (const file of entry.owner.files) if (file.saved !== null && entry.has(file)) bytes += entry.evict(file);
    return bytes;
  }

  #branchOf({ branch, branchId }: Pick<Owner, 'branch' | 'branchId'>): { name: string; exists: boolean } {
    const known = this.#git?.known.find(branchId);
    return { name: known?.name || branch, exists: known?.state === 'there' };
  }

  #summaryOf({ owner }: StashFolder): StashSummary {
    const { id, reason, state, files, createdAt, droppedAt } = owner;
    const { name, exists } = this.#branchOf(owner);
    return {
      id,
      branch: name,
      branchExists: exists,
      automatic: exists && state !== 'kept' && droppedAt === null,
      reason,
      files: files.length,
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      stored: files.filter(({ saved }) => saved !== null).length,
      createdAt,
      droppedAt,
    };
  }

  #find(query: string): StashFolder {
    const entries = StashFolder.all(this.#storePath);
    const byId = entries.filter(({ owner }) => owner.id.startsWith(query));
    const found =
      byId.length > 0 ? byId : entries.filter(({ owner }) => this.#branchOf(owner).name === query && !owner.droppedAt);
    if (found.length === 1) return found[0]!;
    if (found.length === 0)
      throw new TrainstashError('notFound', `There is no stash "${query}". \`trainstash stash list\` shows all.`, {
        what: 'stash',
        query,
      });
    const matches = found.map(({ owner }) => owner.id);
    const text = `"${query}" matches ${found.length} stashes: ${matches.join(', ')}. Name one by its id.`;
    throw new TrainstashError('ambiguous', text, { what: 'stash', query, matches });
  }

  #newest(dropped: boolean): StashFolder {
    const fits = StashFolder.all(this.#storePath).filter(({ owner }) => (owner.droppedAt !== null) === dropped);
    const time = ({ owner }: StashFolder) => owner.droppedAt ?? owner.createdAt;
    const newest = fits.sort((a, b) => time(b) - time(a))[0];
    if (newest) return newest;
    const text = dropped ? 'No dropped stash is left to bring back.' : 'There is no stash.';
    throw new TrainstashError('notFound', text, { what: 'stash', query: '' });
  }
}

/** Lists the store files that all worktrees have in place, open or not. */
function recordedFiles(storePath: string): string[] {
  return subfoldersOf(join(storePath, 'worktrees')).flatMap((name) =>
    [...new WorktreeRecord(storePath, name).files().values()].flatMap(({ saved }) => saved ?? []),
  );
}
