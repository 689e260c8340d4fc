/**
 * Saves files of the working set into the store while they are in the tree: git destroys ignored files without asking,
 * before anyone sees HEAD move. A file is saved once it has not changed for two seconds and its structure is complete.
 */
import type { Store } from '../store/client.ts';
import { SourceChanged } from '../store/client.ts';
import type { KnownFile, WorktreeRecord } from './active-branch.ts';
import { FolderWatcher } from './folders.ts';
import { absolute, NO_LINKS, type RawPath, shown } from './paths.ts';
import { type FoundFile, findFile, isSame } from './working-set.ts';

const UNCHANGED_MS = 2_000;
const LOOK_MS = 500;
const WRITE_MS = 2_000;

export interface IngestionSetup {
  root: string;
  store: Pick<Store, 'saveFile'>;
  isWhole(path: string | Buffer, name: string, bytes: number): Promise<boolean>;
  record: WorktreeRecord;
  /** Finds all files of the set as they are now, and the folders where more may appear. */
  find(): Promise<{ files: FoundFile[]; folders: RawPath[]; runOf(path: RawPath): string | null }>;
  /** Finds the folders that are links and belong to the files of the branch in place. */
  links(): Promise<ReadonlySet<string>>;
  /**
   * Resolves with the branch that owns the files; null: nothing may be saved now, since HEAD has moved or the user does
   * not want it.
   */
  branch(): Promise<string | null>;
  /** Reports known files that are gone and that Trainstash did not move. */
  vanished(files: [RawPath, KnownFile][]): void;
  log(text: string): void;
}

export class Ingestion {
  readonly #setup: IngestionSetup;
  readonly #watcher: FolderWatcher;
  readonly #dirty = new Set<RawPath>();
  /** State of each changing file at the last look, until it stops changing. */
  readonly #changing = new Map<RawPath, FoundFile>();
  #everything = true;
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> = Promise.resolve();
  #paused = 0;
  #disposed = false;
  #reportedFull = false;

  constructor(setup: IngestionSetup) {
    this.#setup = setup;
    this.#watcher = new FolderWatcher(setup.root, (path) => {
      if (path === null) this.#everything = true;
      else this.#dirty.add(path);
      this.#schedule(LOOK_MS);
    });
  }

  /** Schedules a look at everything: at the start, and when the declaration has changed. */
  lookAgain(): void {
    this.#everything = true;
    this.#schedule(0);
  }

  /** Looks at everything at once. Missing files have been reported when this resolves; new files are saved later. */
  async lookNow(): Promise<void> {
    this.#everything = true;
    await this.#lookNext(false);
    this.#schedule(0);
  }

  /** Saves nothing while `work` moves files, and waits for a save that is under way. */
  async pausedFor<T>(work: () => Promise<T>): Promise<T> {
    this.#paused++;
    await this.#working;
    try {
      return await work();
    } finally {
      this.#paused--;
      this.lookAgain();
    }
  }

  /**
   * Saves these files now, without waiting until they stop changing: HEAD leaves their branch. Returns the files that
   * could not be saved.
   */
  saveNow(files: readonly FoundFile[], branch: string): Promise<FoundFile[]> {
    return this.pausedFor(() => this.#saveAll(files, branch, () => false));
  }

  async #saveAll(files: readonly FoundFile[], branch: string, stop: () => boolean): Promise<FoundFile[]> {
    const { record } = this.#setup;
    const missing: FoundFile[] = [];
    let batch = new Map<RawPath, KnownFile>();
    // Batched: the list is written whole, which would be most of the work for many small files.
    const write = () => {
      if (batch.size > 0) record.setFiles(new Map([...record.files(), ...batch]));
      batch = new Map();
    };
    let writeAt = Date.now() + WRITE_MS;
    try {
      for (const file of files) {
        if (stop()) break;
        const known = record.files().get(file.path);
        if (known?.saved && isSame(known, file)) continue;
        const saved = await this.#save(file, branch);
        // Also when it could not be saved: another try would fail the same way until the file changes.
        this.#changing.delete(file.path);
        const { ino, bytes, mtimeMs, mode } = file;
        if (saved) batch.set(file.path, { ino, bytes, mtimeMs, mode, run: known?.run ?? null, saved });
        else missing.push(file);
        if (Date.now() < writeAt) continue;
        write();
        writeAt = Date.now() + WRITE_MS;
      }
    } finally {
      write();
    }
    return missing;
  }

  dispose(): Promise<void> {
    this.#disposed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#watcher.dispose();
    return this.#working;
  }

  #schedule(ms: number): void {
    if (this.#disposed || this.#timer || this.#paused > 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#lookNext(true);
    }, ms);
    this.#timer.unref();
  }

  /** Runs looks one after another: each continues from what the one before has written. */
  #lookNext(save: boolean): Promise<void> {
    this.#working = this.#working
      .then(() => this.#look(save))
      .catch((error: Error) => this.#setup.log(`looking at files: ${error.stack}`));
    return this.#working;
  }

  async #look(save: boolean): Promise<void> {
    const { record, root } = this.#setup;
    const branch = await this.#setup.branch();
    if (branch === null || this.#paused > 0) return;
    const files = new Map(record.files());
    let candidates: FoundFile[];
    let runOf: (path: RawPath) => string | null = (path) => files.get(path)?.run ?? null;
    const gone: [RawPath, KnownFile][] = [];
    if (this.#everything) {
      this.#everything = false;
      this.#dirty.clear();
      let found = await this.#setup.find();
      const watchAll = () =>
        this.#watcher.follow(
          found.files.map(({ path }) => path),
          found.folders,
        );
      // Looks again after each new watch: a file that appears between the look and the watch would be missed by both.
      while (watchAll()) found = await this.#setup.find();
      runOf = found.runOf;
      candidates = found.files;
      const present = new Set(candidates.map(({ path }) => path));
      for (const entry of files) if (!present.has(entry[0])) gone.push(entry);
    } else {
      const paths = [...new Set([...this.#dirty, ...this.#changing.keys()])];
      this.#dirty.clear();
      // A name that is not in the set yet: only a look at everything tells whether it belongs there, and what is below
      // it.
      if (paths.some((path) => !files.has(path) && !this.#changing.has(path))) {
        this.#everything = true;
        return this.#look(save);
      }
      candidates = [];
      let links: ReadonlySet<string> | null = null;
      for (const path of paths) {
        let now = findFile(root, path, NO_LINKS);
        // This asks git, so only for a file that may be behind a link.
        if (!now) {
          links ??= await this.#setup.links();
          if (links.size > 0) now = findFile(root, path, links);
        }
        const known = files.get(path);
        if (now) candidates.push(now);
        else {
          this.#changing.delete(path);
          if (known) gone.push([path, known]);
        }
      }
    }
    for (const [path] of gone) files.delete(path);
    let changed = gone.length > 0;
    for (const file of candidates) {
      const known = files.get(file.path);
      if (known && isSame(known, file) && known.saved) {
        this.#changing.delete(file.path);
        continue;
      }
      if (!known || !isSame(known, file)) {
        const { ino, bytes, mtimeMs, mode } = file;
        files.set(file.path, { ino, bytes, mtimeMs, mode, run: runOf(file.path), saved: null });
        changed = true;
      }
    }
    // Once HEAD has moved, new files may belong to the new branch: the switch decides, and looks again after it.
    if ((await this.#setup.branch()) !== branch) return;
    if (changed) record.setFiles(files);
    if (gone.length > 0) this.#setup.vanished(gone.filter(([, { saved }]) => saved !== null));
    const still: FoundFile[] = [];
    for (const file of candidates) {
      const known = files.get(file.path)!;
      if (known.saved && isSame(known, file)) continue;
      const before = this.#changing.get(file.path);
      const isStill = before !== undefined && isSame(before, file) && Date.now() - file.mtimeMs >= UNCHANGED_MS;
      this.#changing.set(file.path, file);
      if (isStill) still.push(file);
    }
    await this.#saveAll(save ? still : [], branch, () => this.#paused > 0 || this.#disposed);
    if (this.#changing.size > 0) this.#schedule(UNCHANGED_MS);
  }

  /** Saves a file and returns its row in the store; null when it cannot be saved now. */
  async #save(file: FoundFile, branch: string): Promise<string | null> {
    const { root, store, isWhole, log } = this.#setup;
    if (!(await isWhole(absolute(root, file.path), shown(file.path), file.bytes))) return null;
    try {
      const saved = await store.saveFile({ root, branch, path: file.path, expected: file });
      if (!saved && !this.#reportedFull) log(`the store has no space for ${shown(file.path)}; it stays where it is`);
      this.#reportedFull = !saved;
      return saved?.id ?? null;
    } catch (error) {
      // Another process is writing the file: its next event leads to another look.
      if (!(error instanceof SourceChanged)) log(`${shown(file.path)} was not saved: ${(error as Error).message}`);
      return null;
    }
  }
}
