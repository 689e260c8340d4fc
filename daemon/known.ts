/**
 * Records the user's decisions about folders and stores on this machine: which folders may run code, and which stores
 * were made here. A store identifies itself by an id in its database; it was made here if that id is known for this
 * very file. A renamed folder keeps the file; a copy, an unpacked archive, or another user's folder has another file.
 */
import { type BigIntStats, existsSync, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../base/files.ts';
import { idSchema, processSchema, SESSION_FILES } from '../protocol/session.ts';

const projectSchema = v.object({ root: v.string(), store: v.string(), trusted: v.boolean() });
type KnownProject = v.InferOutput<typeof projectSchema>;

const storeSchema = v.object({
  /** Null: a version without ids made the store. */
  id: v.nullable(idSchema),
  /**
   * Identity of its content's file. Some file systems change inode numbers at each boot, and some have no birth time.
   */
  ino: v.string(),
  born: v.string(),
});
type KnownStore = v.InferOutput<typeof storeSchema>;

/** Links in place of a store that the user allows to follow. */
const linkSchema = v.object({ link: v.string(), target: v.string() });
const storesSchema = v.object({ stores: v.array(storeSchema), links: v.array(linkSchema) });

/** Limit beyond any real number of stores; for older ones the user is asked again. */
const MAX_STORES = 10_000;
const CONTENT = 'objects.db';

export class KnownPlaces {
  readonly #projectsFile: string;
  readonly #storesFile: string;
  #projects: KnownProject[];
  #stores: v.InferOutput<typeof storesSchema>;

  /** Loads the records. `projects` is their file in the state directory; that of the stores is next to it. */
  constructor(projects: string) {
    this.#projectsFile = projects;
    this.#storesFile = join(dirname(projects), 'stores.json');
    const known = readJson(projects);
    this.#projects = Array.isArray(known) ? known.filter((project) => v.is(projectSchema, project)) : [];
    const stores = v.safeParse(storesSchema, readJson(this.#storesFile));
    this.#stores = stores.success ? stores.output : this.#storesInUse();
  }

  // ---- folders ----

  get projects(): readonly KnownProject[] {
    return this.#projects;
  }

  isTrusted(root: string): boolean {
    return this.#projects.some((known) => known.root === root && known.trusted);
  }

  /** Trusts a folder. Returns false if it was trusted before. */
  trust(root: string): boolean {
    if (this.isTrusted(root)) return false;
    this.#projects = this.#projects.map((known) => (known.root === root ? { ...known, trusted: true } : known));
    writeJson(this.#projectsFile, this.#projects);
    return true;
  }

  remember(root: string, store: string): void {
    if (this.#projects.some((known) => known.root === root && known.store === store)) return;
    const trusted = this.isTrusted(root);
    this.#projects = [...this.#projects.filter((known) => known.root !== root), { root, store, trusted }];
    writeJson(this.#projectsFile, this.#projects);
  }

  // ---- stores ----

  /**
   * Tells whether a store is about to be made: its folder has no content that could identify it. Scripts that were
   * started by hand make sessions before any daemon has looked; their records say that they ran on this machine.
   */
  isNew(store: string): boolean {
    if (!existsSync(store)) return true;
    const names = readdirSync(store).filter((name) => name !== '.gitignore');
    if (names.some((name) => !['sessions', 'files', 'asked'].includes(name))) return false;
    const sessions = join(store, 'sessions');
    return namesIn(sessions).every((id) => {
      // A session without a launch file is ignored.
      if (readJson(join(sessions, id, SESSION_FILES.launch)) === null) return true;
      const ran = v.safeParse(processSchema, readJson(join(sessions, id, SESSION_FILES.process)));
      return ran.success && ran.output.host === hostname();
    });
  }

  isOurs(store: string, id: string | null): boolean {
    const file = fileOf(store);
    return file !== null && this.#stores.stores.some((known) => known.id === id && isSame(known, file));
  }

  /** Records that a store was made here. */
  bind(store: string, id: string): void {
    const file = fileOf(store);
    if (!file || this.isOurs(store, id)) return;
    const others = this.#stores.stores.filter((known) => known.id !== null || !isSame(known, file));
    this.#putStores({ ...this.#stores, stores: [...others, { id, ...file }].slice(-MAX_STORES) });
  }

  /** Tells whether a store that is a link may be followed to its present target. */
  mayFollow(store: string): boolean {
    return this.#stores.links.some(({ link, target }) => link === store && target === targetOf(store));
  }

  follow(store: string): void {
    const target = targetOf(store);
    if (target === null || this.mayFollow(store)) return;
    const others = this.#stores.links.filter(({ link }) => link !== store);
    this.#putStores({ ...this.#stores, links: [...others, { link: store, target }] });
  }

  #putStores(stores: v.InferOutput<typeof storesSchema>): void {
    this.#stores = stores;
    writeJson(this.#storesFile, stores);
  }

  /** Runs once after an update: all stores in use so far count as made here. */
  #storesInUse(): v.InferOutput<typeof storesSchema> {
    const paths = [...new Set(this.#projects.map(({ store }) => store))];
    const stores = paths.flatMap((store) => fileOf(store) ?? []).map((file) => ({ id: null, ...file }));
    const links = paths.filter(isLink).flatMap((link) => {
      const target = targetOf(link);
      return target === null ? [] : [{ link, target }];
    });
    return { stores, links };
  }
}

export function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

function targetOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

/** Identifies a store's file; null also for a file of another user. */
function fileOf(store: string): Omit<KnownStore, 'id'> | null {
  const stat: BigIntStats | undefined = statSync(join(store, CONTENT), { bigint: true, throwIfNoEntry: false });
  if (!stat || (process.getuid && Number(stat.uid) !== process.getuid())) return null;
  return { ino: String(stat.ino), born: String(stat.birthtimeNs) };
}

/**
 * Compares identities. Birth times have nanoseconds. Where there are none, they are zero or the time of the last
 * change.
 */
function isSame(known: KnownStore, file: Omit<KnownStore, 'id'>): boolean {
  return known.born === file.born && known.born !== '0' ? true : known.ino === file.ino;
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
