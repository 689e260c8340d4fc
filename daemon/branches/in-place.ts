/**
 * The durable facts of one worktree: whose files are in place, and which files those are. Plain files, each replaced
 * whole and fsynced: a catalog can be lost, and a switch is finished from these alone.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { inside } from '../../base/inside.ts';
import { idSchema, objectIdSchema } from '../../protocol/session.ts';
import { readJson, syncDirectory, writeJson } from '../store/files.ts';
import { durableStep } from './crash.ts';
import { type RawPath, rawPathSchema } from './paths.ts';

const inPlaceSchema = v.object({
  /** The branch whose files are in the tree, by the name that it had. */
  branch: v.string(),
  /** Its id, which it keeps when it is renamed. */
  id: v.string(),
  /** Its commit when it was last seen; null before the first one. */
  tip: v.nullable(objectIdSchema),
  /** When the daemon last looked and it was so. */
  seenAt: v.number(),
  /** Signs of the local branches there were: one that is not among them has been made since. */
  branches: v.array(v.string()),
  /** The file that HEAD was: git writes another whenever HEAD moves to a branch, or its branch is renamed. */
  head: v.string(),
});
export type InPlace = v.InferOutput<typeof inPlaceSchema>;

const knownFileSchema = v.object({
  ino: v.string(),
  bytes: v.number(),
  mtimeMs: v.number(),
  mode: v.number(),
  /** The run that wrote it; null: it is declared in trainstash.json. */
  run: v.nullable(idSchema),
  /** Its row in the store, once it is taken in. */
  saved: v.nullable(idSchema),
});
export type KnownFile = v.InferOutput<typeof knownFileSchema>;
const filesSchema = v.object({ id: v.string(), files: v.array(v.tuple([rawPathSchema, knownFileSchema])) });

/** By the branch's id: runs that were paused because HEAD left it. `left`: its files have left since, too. */
const pausedSchema = v.record(v.string(), v.object({ runs: v.array(idSchema), left: v.boolean() }));
export type PausedRuns = v.InferOutput<typeof pausedSchema>;

const consentSchema = v.object({ follow: v.boolean() });

export class WorktreeRecord {
  readonly #directory: string;
  #inPlace: InPlace | null = null;
  #files: { id: string; files: ReadonlyMap<RawPath, KnownFile> } | null = null;

  /** `name`: what git calls the worktree. */
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
   * The files of the branch in place, as they were when last looked at; none when the list is of another branch, as after
   * a switch. Change through `setFiles` only.
   */
  files(): ReadonlyMap<RawPath, KnownFile> {
    if (!this.#files) {
      const parsed = v.safeParse(filesSchema, readJson(join(this.#directory, 'files.json')));
      const { id, files } = parsed.success ? parsed.output : { id: '', files: [] };
      this.#files = { id, files: new Map(files) };
    }
    return this.#files.id === this.inPlace()?.id ? this.#files.files : new Map();
  }

  /** `id`: of the branch whose they are; before `setInPlace` for files that stay with a new branch. */
  setFiles(files: ReadonlyMap<RawPath, KnownFile>, id = this.inPlace()!.id): void {
    durableStep();
    writeJson(join(this.#directory, 'files.json'), { id, files: [...files] }, true);
    syncDirectory(this.#directory);
    this.#files = { id, files: new Map(files) };
  }
}

/** Whether files follow branches in this project; null: nobody was asked yet. */
export function readConsent(store: string): boolean | null {
  const parsed = v.safeParse(consentSchema, readJson(join(store, 'branches.json')));
  return parsed.success ? parsed.output.follow : null;
}

export function writeConsent(store: string, follow: boolean): void {
  writeJson(join(store, 'branches.json'), { follow } satisfies v.InferOutput<typeof consentSchema>, true);
  syncDirectory(store);
}
