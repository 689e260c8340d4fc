/**
 * Durable facts of one worktree: the branch in place, and the files that belong to it. Plain files, each replaced whole
 * and fsynced: the catalog can be lost, and these alone suffice to finish a switch.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, syncDirectory, writeJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { namedRecord } from '../../protocol/any-names.ts';
import { idSchema, objectIdSchema } from '../../protocol/session.ts';
import { durableStep } from './crash.ts';
import { type RawPath, rawPathSchema } from './paths.ts';

const inPlaceSchema = v.object({
  /** Name that the branch in place (the one whose files are in the tree) had then. */
  branch: v.string(),
  /** Branch id, which survives a rename. */
  id: v.string(),
  /** Commit of the branch when last seen; null before the first one. */
  tip: v.nullable(objectIdSchema),
  /** Time of the daemon's last look that found this state. */
  seenAt: v.number(),
  /** Signs of the local branches that existed then: a branch that is not among them was created later. */
  branches: v.array(v.string()),
  /** Identity of the file HEAD: git writes a new file whenever HEAD moves to a branch or its branch is renamed. */
  head: v.string(),
});
export type InPlace = v.InferOutput<typeof inPlaceSchema>;

const knownFileSchema = v.object({
  ino: v.string(),
  bytes: v.number(),
  mtimeMs: v.number(),
  mode: v.number(),
  /** Run that wrote the file; null: trainstash.json declares it. */
  run: v.nullable(idSchema),
  /** Row in the store, once the file is saved there. */
  saved: v.nullable(idSchema),
});
export type KnownFile = v.InferOutput<typeof knownFileSchema>;
const filesSchema = v.object({ id: v.string(), files: v.array(v.tuple([rawPathSchema, knownFileSchema])) });

/**
 * Runs that were paused because HEAD left their branch, by branch id. `left`: the branch's files have left since, too.
 */
const pausedSchema = namedRecord(v.string(), v.object({ runs: v.array(idSchema), left: v.boolean() }));
export type PausedRuns = v.InferOutput<typeof pausedSchema>;

const consentSchema = v.object({ follow: v.boolean() });

export class WorktreeRecord {
  readonly #directory: string;
  #inPlace: InPlace | null = null;
  #files: { id: string; files: ReadonlyMap<RawPath, KnownFile> } | null = null;

  /** Takes git's name for the worktree as `name`. */
  constructor(store: string, name: string) {
    this.#directory = inside(store, `worktrees/${name}`);
    mkdirSync(this.#directory, { recursive: true });
  }

  inPlace(): InPlace | null {
    if (this.#inPlace) return this.#inPlace;
    const parsed = v.safeParse(inPlaceSchema, readJson(join(this.#directory, 'in-place.json')));
    this.#inPlace = parsed.success ? parsed.output : null;
    return this.#inPlace;
  }

  setInPlace(inPlace: InPlace): void {
    durableStep();
    writeJson(join(this.#directory, 'in-place.json'), inPlace, true);
    syncDirectory(this.#directory);
    this.#inPlace = inPlace;
  }

  paused(): PausedRuns {
    const parsed = v.safeParse(pausedSchema, readJson(join(this.#directory, 'paused.json')));
    return parsed.success ? parsed.output : {};
  }

  setPaused(paused: PausedRuns): void {
    writeJson(join(this.#directory, 'paused.json'), paused, true);
  }

  /**
   * Returns the files of the branch in place as of the last look. Empty when the list belongs to another branch, as
   * after a switch. Change them through `setFiles` only.
   */
  files(): ReadonlyMap<RawPath, KnownFile> {
    if (!this.#files) {
      const parsed = v.safeParse(filesSchema, readJson(join(this.#directory, 'files.json')));
      const { id, files } = parsed.success ? parsed.output : { id: '', files: [] };
      this.#files = { id, files: new Map(files) };
    }
    return this.#files.id === this.inPlace()?.id ? this.#files.files : new Map();
  }

  /**
   * Writes the list of files. `id` is the branch that owns them; it comes before `setInPlace` when files stay with a
   * new branch.
   */
  setFiles(files: ReadonlyMap<RawPath, KnownFile>, id = this.inPlace()!.id): void {
    durableStep();
    writeJson(join(this.#directory, 'files.json'), { id, files: [...files] }, true);
    syncDirectory(this.#directory);
    this.#files = { id, files: new Map(files) };
  }
}

/** Reads whether files follow branches in this project; null: the user was not asked yet. */
export function readConsent(store: string): boolean | null {
  const parsed = v.safeParse(consentSchema, readJson(join(store, 'branches.json')));
  return parsed.success ? parsed.output.follow : null;
}

export function writeConsent(store: string, follow: boolean): void {
  writeJson(join(store, 'branches.json'), { follow } satisfies v.InferOutput<typeof consentSchema>, true);
  syncDirectory(store);
}
