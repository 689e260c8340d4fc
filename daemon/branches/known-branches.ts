/**
 * Branches that have files or runs here. Each has an id of its own that survives a rename, since git reuses names. They
 * are in one file of the store, `branch-ids.json`; records refer to a branch by its id.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { readJson, syncDirectory, writeJson } from '../../base/files.ts';
import { Mutex } from '../../base/mutex.ts';
import { randomId } from '../../protocol/ids.ts';
import { isAncestor } from '../code/history.ts';
import type { GitDirectories } from '../code/reflog.ts';
import { BranchReader } from './branch-reader.ts';
import { matchBranches, type Ref } from './match-branches.ts';
import { isFresh, marksOf, nameAt, namesOf } from './same-branch.ts';

const entrySchema = v.object({
  id: v.string(),
  name: v.string(),
  tip: v.nullable(v.string()),
  marks: v.array(v.object({ entry: v.string(), name: v.string(), at: v.number() })),
  /** Identity of the reflog's file, which git renames with the branch. An expiry (`git gc`) writes a new file. */
  logFile: v.string(),
  /** Identity of the reference's file, which git rewrites with every change; empty: packed. */
  refFile: v.string(),
  seenAt: v.number(),
});
type Entry = v.InferOutput<typeof entrySchema>;
const fileSchema = v.object({ format: v.literal(1), branches: v.array(entrySchema) });

/** Refresh interval of marks: they need not be the newest, they must only not have expired. */
const REFRESH_MS = 86_400_000;
/** Refresh interval until the marks distinguish this branch from every branch that is created later. */
const FRESH_MS = 2_000;
const FORGET_MS = 3_600_000;
const RENAME_DELAY_MS = 100;
const MAX_LOOKS = 5;
const RECENT_RENAME_MS = 2_000;
/** Placeholder for a gone branch whose commit is unknown: null would match any branch that gets its first commit. */
const NO_COMMIT = 'none';

export interface KnownBranch {
  id: string;
  /** Current name; of a branch that is gone, its last name. */
  name: string;
  /** `unsure`: a branch of that name exists, and nothing proves that it is the same one. */
  state: 'there' | 'gone' | 'unsure';
}

export interface KnownBranchesSetup extends GitDirectories {
  /** Worktree that serves to explain an error. */
  root: string;
  storePath: string;
  /** Receives every changed name, before the look that found the change ends. */
  renamed(names: ReadonlyMap<string, string>): Promise<void>;
  /** False while the store must not be written; ids then stay in memory. */
  mayWrite(): boolean;
}

export class KnownBranches {
  readonly #setup: KnownBranchesSetup;
  readonly #reader: BranchReader;
  #entries: Entry[];
  /** Current reference of each entry, as of the last look. */
  #refOf = new Map<string, Ref>();
  #unsure = new Set<string>();
  #refs: Ref[] = [];
  #lastRefs: string | null = null;
  readonly #mutex = new Mutex();

  constructor(setup: KnownBranchesSetup) {
    this.#setup = setup;
    this.#reader = new BranchReader(setup.root, setup);
    const parsed = v.safeParse(fileSchema, readJson(this.#file));
    this.#entries = parsed.success ? parsed.output.branches : [];
  }

  get directories(): GitDirectories {
    const { gitDirectory, common } = this.#setup;
    return { gitDirectory, common };
  }

  /** Finds the current name of each branch. With `all` it also looks for branches that have no entry. */
  look(all = false): Promise<void> {
    return this.#mutex.run(() => this.#look(all));
  }

  find(id: string): KnownBranch {
    const entry = this.#entries.find((one) => one.id === id);
    const ref = this.#refOf.get(id);
    const state = ref ? 'there' : this.#unsure.has(id) ? 'unsure' : 'gone';
    return { id, name: ref?.name ?? entry?.name ?? '', state };
  }

  /** Lists the names of all local branches, as of the last look. */
  names(): string[] {
    return this.#refs.map(({ name }) => name);
  }

  /**
   * Returns a sign for each branch that differs from the sign of a later branch of the same name: its id, or the name
   * where it has no id.
   */
  signs(): string[] {
    return this.names().map((name) => signOf(this.#idNow(name)) ?? name);
  }

  /**
   * Tells whether git is renaming HEAD's branch right now: no branch has HEAD's name, and the one that had it just got
   * another. If so, resolves after a short delay.
   */
  async isRenaming(name: string): Promise<boolean> {
    if (this.names().includes(name)) return false;
    const since = (Date.now() - RECENT_RENAME_MS) / 1000;
    const wasJustRenamed = ({ name: now, life }: Ref) =>
      (life.marks[0]?.at ?? 0) >= since && namesOf(now, life).includes(name);
    const isRenaming = this.#refs.some(wasJustRenamed);
    if (isRenaming) await delay(RENAME_DELAY_MS);
    return isRenaming;
  }

  /** Returns every sign that this branch may have had. */
  signsOf(name: string): string[] {
    const sign = signOf(this.#idNow(name));
    return [...(sign ? [sign] : []), ...this.namesOf(name)];
  }

  all(): KnownBranch[] {
    return this.#entries.map(({ id }) => this.find(id));
  }

  /** Returns the id of HEAD's branch, which need not have a commit yet. A branch without an id gets one. */
  idOf(name: string): Promise<string> {
    return this.#mutex.run(async () => {
      const known = this.#idNow(name);
      if (known) return known;
      if (!this.#refs.some((ref) => ref.name === name)) await this.#look(true);
      return this.#idNow(name) ?? (await this.#add(name)).id;
    });
  }

  /** Returns the id of the branch of that name, if it is certain which one that is. */
  knownId(name: string): string | null {
    return this.#idNow(name);
  }

  /**
   * Confirms that the branch is the known one: HEAD has been on it ever since it was seen, whatever its reflog says.
   */
  confirm(id: string, name: string): Promise<void> {
    return this.#mutex.run(async () => {
      await this.#look(false);
      const ref = this.#refs.find((one) => one.name === name);
      const entry = this.#entries.find((one) => one.id === id);
      if (!entry || !ref || this.#refOf.has(id) || this.#idNow(name)) return;
      this.#refOf.set(id, ref);
      this.#unsure.delete(id);
      this.#refresh(entry, ref);
      this.#write();
    });
  }

  /** Returns the id like `idOf`, or null while a branch of that name is unsure and a user has to settle it. */
  async certainId(name: string): Promise<string | null> {
    const isUnsure = !this.knownId(name) && this.all().some((one) => one.state === 'unsure' && one.name === name);
    return isUnsure ? null : this.idOf(name);
  }

  /** Returns the id of the branch that had this name at a time; null when no existing branch had it. */
  idAt(name: string, at: number): Promise<string | null> {
    return this.#mutex.run(async () => {
      const fits: Ref[] = [];
      for (const ref of this.#refs) if (nameAt(ref.life, Math.floor(at / 1000)) === name) fits.push(ref);
      const found = fits.length === 1 ? fits[0] : fits.find((ref) => ref.name === name);
      if (!found) return null;
      return this.#idNow(found.name) ?? (await this.#add(found.name)).id;
    });
  }

  /** Adds a branch that is gone, but that still has files or runs here. */
  addGone(name: string, tip: string | null): string {
    const id = randomId();
    const entry = { id, name, tip, marks: [], logFile: '', refFile: '', seenAt: Date.now() };
    this.#entries.push({ ...entry, tip: tip ?? NO_COMMIT });
    this.#write();
    return id;
  }

  /** Lists the names that a branch has had since its reflog began, the newest first. */
  namesOf(name: string): string[] {
    const ref = this.#refs.find((one) => one.name === name);
    return ref ? namesOf(name, ref.life) : [name];
  }

  /** Forgets branches that are gone and that nothing refers to any more. */
  forget(needed: ReadonlySet<string>): void {
    const old = Date.now() - FORGET_MS;
    const left = this.#entries.filter(({ id, seenAt }) => this.#refOf.has(id) || needed.has(id) || seenAt > old);
    if (left.length === this.#entries.length) return;
    this.#entries = left;
    this.#write();
  }

  // ---- looking ----

  async #look(all: boolean): Promise<void> {
    const there = this.#entries.filter(({ id }) => this.#refOf.has(id));
    // Costs only stats: each branch has its reflog and its reference as they were.
    const isUnchanged = this.#lastRefs !== null && there.every((entry) => this.#isUnchanged(entry));
    // Only the list of references tells whether a gone branch is back, under whatever name.
    if (!isUnchanged || all || there.length < this.#entries.length) {
      const text = await this.#reader.list();
      if (!isUnchanged || text !== this.#lastRefs) await this.#readAndMatch();
    }
    await this.#recordChanges();
  }

  /**
   * Reads all branches and matches them. A branch that seems gone may be in the middle of a rename: the next look then
   * finds it.
   */
  async #readAndMatch(): Promise<void> {
    const missing = () => this.#entries.flatMap(({ id }) => (this.#refOf.has(id) ? [] : [id]));
    const goneBefore = new Set(this.#lastRefs === null ? [] : missing());
    for (let looks = 1; looks <= MAX_LOOKS; looks++) {
      const before = missing().join();
      const { text, refs } = await this.#reader.readAll();
      this.#lastRefs = text;
      this.#refs = refs;
      await this.#match();
      if (missing().every((id) => goneBefore.has(id)) || (looks > 1 && missing().join() === before)) return;
      await delay(RENAME_DELAY_MS);
    }
  }

  #isUnchanged({ id }: Entry): boolean {
    const ref = this.#refOf.get(id);
    return ref !== undefined && ref.stamp === this.#reader.stampOf(ref.name);
  }

  /** Reports new names, and writes down whatever the written state would no longer match. */
  async #recordChanges(): Promise<void> {
    const there = this.#entries.flatMap((entry) => {
      const ref = this.#refOf.get(entry.id);
      return ref ? [{ entry, ref }] : [];
    });
    const renamed = there.filter(({ entry, ref }) => ref.name !== entry.name);
    // Reported before anything is written: if the report fails, the next look finds the same names to be new.
    if (renamed.length > 0) await this.#setup.renamed(new Map(renamed.map(({ entry, ref }) => [entry.id, ref.name])));
    const stale = there.filter(({ entry, ref }) => this.#isStale(entry, ref));
    for (const { entry, ref } of stale) this.#refresh(entry, ref);
    if (stale.length > 0) this.#write();
  }

  #isStale(entry: Entry, ref: Ref): boolean {
    if (ref.name !== entry.name || entry.marks.length === 0 || entry.logFile !== ref.logFile) return true;
    return Date.now() - entry.seenAt > (isFresh(entry) ? FRESH_MS : REFRESH_MS);
  }

  async #match(): Promise<void> {
    const { certain, unsure, open } = matchBranches(this.#entries, this.#refs);
    this.#refOf = new Map([...certain].map(([entry, ref]) => [entry.id, ref]));
    this.#unsure = new Set([...unsure].map(({ id }) => id));
    const matched = new Set(certain.values());
    for (const [entry, refs] of open) {
      const left = refs.filter((ref) => !matched.has(ref));
      const own = left.find(({ name }) => name === entry.name);
      if (!own) continue;
      if (await this.#isOnlyHeir(entry, own, left)) {
        this.#refOf.set(entry.id, own);
        matched.add(own);
      } else this.#unsure.add(entry.id);
    }
  }

  /**
   * Tells whether a branch with an emptied reflog is the known one: it has the known commit, and no other candidate has
   * it. Where git keeps no reflogs at all, that is no proof.
   */
  async #isOnlyHeir({ tip, marks }: Entry, own: Ref, possible: readonly Ref[]): Promise<boolean> {
    if (tip === null || marks.length === 0) return false;
    const has = (ref: Ref) => ref.tip === tip || isAncestor(this.#setup.root, tip, ref.tip);
    for (const ref of possible) if (ref !== own && (await has(ref))) return false;
    return has(own);
  }

  // ---- records ----

  #idNow(name: string): string | null {
    for (const [id, ref] of this.#refOf) if (ref.name === name) return id;
    // Before its first commit a branch exists only as a name in HEAD.
    if (this.#refs.some((ref) => ref.name === name)) return null;
    const unborn = this.#entries.find((entry) => entry.name === name && entry.tip === null && entry.marks.length === 0);
    return unborn?.id ?? null;
  }

  async #add(name: string): Promise<Entry> {
    const entry: Entry = { id: randomId(), name, tip: null, marks: [], logFile: '', refFile: '', seenAt: 0 };
    this.#entries.push(entry);
    const ref = this.#refs.find((one) => one.name === name);
    if (ref) {
      this.#refOf.set(entry.id, ref);
      this.#refresh(entry, ref);
    } else entry.seenAt = Date.now();
    this.#write();
    return entry;
  }

  /** Updates an entry from the state that was matched; the branch may have another name by now. */
  #refresh(entry: Entry, { name, tip, life, logFile, refFile }: Ref): void {
    Object.assign(entry, { name, tip, marks: marksOf(life), logFile, refFile, seenAt: Date.now() } satisfies Omit<
      Entry,
      'id'
    >);
  }

  /** Writes the ids kept in memory so far. */
  save(): void {
    if (this.#entries.length > 0) this.#write();
  }

  #write(): void {
    if (!this.#setup.mayWrite()) return;
    writeJson(this.#file, { format: 1, branches: this.#entries } satisfies v.InferOutput<typeof fileSchema>, true);
    syncDirectory(this.#setup.storePath);
  }

  get #file(): string {
    return join(this.#setup.storePath, 'branch-ids.json');
  }
}

/** Makes a sign from an id. No branch name begins with a dot, so signs and names cannot collide. */
function signOf(id: string | null): string | null {
  return id === null ? null : `.${id}`;
}
