/** What is stashed, for people: list, show, put back, drop. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import type { StashSummary } from '../../protocol/messages.ts';
import { hasHad, localBranches } from '../code/history.ts';
import { worktreeNames } from '../code/project.ts';
import { WorktreeRecord } from './in-place.ts';
import { bring, type FileStore, storedOf } from './moving.ts';
import { NO_LINKS, shown } from './paths.ts';
import { ShelfEntry } from './shelf.ts';

const TRASH_MS = 7 * 86_400_000;

export class Stashes {
  readonly #storePath: string;
  readonly #store: FileStore;
  readonly #links: (root: string) => Promise<ReadonlySet<string>>;

  /** `links`: the folders of a worktree that are links and belong to its files. */
  constructor(storePath: string, store: FileStore, links: (root: string) => Promise<ReadonlySet<string>>) {
    this.#storePath = storePath;
    this.#store = store;
    this.#links = links;
  }

  /** The newest first, dropped ones last. */
  async list(root: string): Promise<StashSummary[]> {
    await this.#keepOfGoneWorktrees(root);
    const branches = await localBranches(root);
    const entries = ShelfEntry.all(this.#storePath).reverse();
    const summaries = await Promise.all(entries.map((entry) => summaryOf(entry, root, branches)));
    return summaries.sort((a, b) => Number(a.droppedAt !== null) - Number(b.droppedAt !== null));
  }

  async show(root: string, query: string) {
    const entry = this.#find(query);
    const files = entry.owner.files.map(({ path, bytes, saved }) => ({
      path: shown(path),
      bytes,
      stored: saved !== null,
    }));
    return { stash: await summaryOf(entry, root, await localBranches(root)), files };
  }

  /** Into this worktree, or below `directory`, which gets copies. */
  async restore(root: string, query: string, directory?: string): Promise<{ restored: string[]; conflicts: string[] }> {
    const entry = this.#find(query);
    const tree =
      directory === undefined ? { root, links: await this.#links(root) } : { root: directory, links: NO_LINKS };
    const { placed, conflicts } = await bring(entry, this.#store, tree, directory !== undefined);
    if (directory === undefined && conflicts.length === 0) entry.remove();
    else if (directory === undefined) {
      const left = new Set(conflicts);
      entry.update({ state: 'kept', files: entry.owner.files.filter(({ path }) => left.has(path)) });
    }
    return { restored: placed.map(shown), conflicts: conflicts.map(shown) };
  }

  async drop(root: string, query: string | undefined, undo: boolean): Promise<StashSummary> {
    const entry = query === undefined ? this.#newest(undo) : this.#find(query);
    entry.update({ droppedAt: undo ? null : Date.now() });
    return summaryOf(entry, root, await localBranches(root));
  }

  /** Empties the trash and forgets files that nobody needs any more. `needed`: what worktrees have in place. */
  async tidy(root: string, needed: readonly string[], emptyTrash = false): Promise<void> {
    await this.#keepOfGoneWorktrees(root);
    const limit = emptyTrash ? Number.POSITIVE_INFINITY : Date.now() - TRASH_MS;
    for (const entry of ShelfEntry.all(this.#storePath)) {
      const { droppedAt, reason, createdAt } = entry.owner;
      const since = droppedAt ?? (reason === 'vanished' && !emptyTrash ? createdAt : null);
      if (since !== null && since < limit) entry.remove();
    }
    // Which files they have, only they say.
    if (ShelfEntry.someAreUnreadable(this.#storePath)) return;
    const stashed = ShelfEntry.all(this.#storePath).flatMap(({ owner }) =>
      owner.files.flatMap(({ saved }) => saved ?? []),
    );
    await this.#store.keepOnlyFiles([...needed, ...recordedFiles(this.#storePath), ...stashed]);
  }

  /** `git worktree remove` takes ignored files with it, without a word: what the store has of them is offered. */
  async #keepOfGoneWorktrees(root: string): Promise<void> {
    const names = await worktreeNames(root);
    if (names === null) return;
    for (const name of listed(join(this.#storePath, 'worktrees'))) {
      if (names.includes(name)) continue;
      const record = new WorktreeRecord(this.#storePath, name);
      const inPlace = record.inPlace();
      const files = [...record.files()].filter(([, { saved }]) => saved !== null);
      if (inPlace && files.length > 0) {
        const { branch, tip } = inPlace;
        const facts = { branch, tip, worktree: name, state: 'kept', reason: 'vanished' } as const;
        ShelfEntry.create(this.#storePath, facts, [], files.map(storedOf));
      }
      rmSync(join(this.#storePath, 'worktrees', name), { recursive: true, force: true });
    }
  }

  /**
   * Removes shelf copies of files that the store has: they come back from there, at the disk's speed instead of at once.
   * Returns the bytes given back.
   */
  evict(): number {
    let bytes = 0;
    for (const entry of ShelfEntry.all(this.#storePath))
      for (const file of entry.owner.files) if (file.saved !== null && entry.has(file)) bytes += entry.evict(file);
    return bytes;
  }

  #find(query: string): ShelfEntry {
    const entries = ShelfEntry.all(this.#storePath);
    const byId = entries.filter(({ owner }) => owner.id.startsWith(query));
    const found = byId.length > 0 ? byId : entries.filter(({ owner }) => owner.branch === query && !owner.droppedAt);
    if (found.length === 1) return found[0]!;
    if (found.length === 0)
      throw new TrainstashError('notFound', `There is no stash "${query}". \`trainstash stash list\` shows all.`, {
        what: 'stash',
        query,
      });
    const matches = found.map(({ owner }) => owner.id);
    const text = `"${query}" fits ${found.length} stashes: ${matches.join(', ')}. Name one by its id.`;
    throw new TrainstashError('ambiguous', text, { what: 'stash', query, matches });
  }

  #newest(dropped: boolean): ShelfEntry {
    const fits = ShelfEntry.all(this.#storePath).filter(({ owner }) => (owner.droppedAt !== null) === dropped);
    const time = ({ owner }: ShelfEntry) => owner.droppedAt ?? owner.createdAt;
    const newest = fits.sort((a, b) => time(b) - time(a))[0];
    if (newest) return newest;
    const text = dropped ? 'Nothing was dropped that could come back.' : 'There is no stash.';
    throw new TrainstashError('notFound', text, { what: 'stash', query: '' });
  }
}

async function summaryOf({ owner }: ShelfEntry, root: string, branches: readonly string[]): Promise<StashSummary> {
  const { id, branch, tip, reason, state, files, createdAt, droppedAt } = owner;
  const branchExists = branches.includes(branch) && (tip === null || (await hasHad(root, branch, tip)));
  return {
    id,
    branch,
    branchExists,
    automatic: branchExists && state !== 'kept' && droppedAt === null,
    reason,
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    stored: files.filter(({ saved }) => saved !== null).length,
    createdAt,
    droppedAt,
  };
}

/** What other worktrees have in place, open or not. */
function recordedFiles(storePath: string): string[] {
  return listed(join(storePath, 'worktrees')).flatMap((name) =>
    [...new WorktreeRecord(storePath, name).files().values()].flatMap(({ saved }) => saved ?? []),
  );
}

function listed(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
}
