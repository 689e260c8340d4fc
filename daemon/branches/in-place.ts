/**
 * The durable facts of one worktree: whose files are in place, and which files those are. Plain files, each replaced
 * whole and fsynced: a catalog can be lost, and a switch is finished from these alone.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, syncDirectory, writeJson } from '../store/files.ts';
import { durableStep } from './crash.ts';
import type { RawPath } from './paths.ts';

const inPlaceSchema = v.object({
  /** The branch whose files are in the tree; null: nothing is known yet. */
  branch: v.string(),
  /** Its commit when it was last seen; null before the first one. */
  tip: v.nullable(v.string()),
  /** When the daemon last looked and it was so. */
  seenAt: v.number(),
  /** The local branches there were: one that is not among them has been made since. */
  branches: v.array(v.string()),
});
export type InPlace = v.InferOutput<typeof inPlaceSchema>;

const knownFileSchema = v.object({
  ino: v.string(),
  bytes: v.number(),
  mtimeMs: v.number(),
  /** The run that wrote it; null: it is declared in trainstash.json. */
  run: v.nullable(v.string()),
  /** Its row in the store, once it is taken in. */
  saved: v.nullable(v.string()),
});
export type KnownFile = v.InferOutput<typeof knownFileSchema>;

/** Runs that were paused because HEAD left their branch. `left`: its files have left since, too. */
const pausedSchema = v.record(v.string(), v.object({ runs: v.array(v.string()), left: v.boolean() }));
export type PausedRuns = v.InferOutput<typeof pausedSchema>;

const consentSchema = v.object({ follow: v.boolean() });

export class WorktreeRecord {
  readonly #directory: string;
  #files: Map<RawPath, KnownFile> | null = null;

  /** `name`: what git calls the worktree. */
  constructor(store: string, name: string) {
    this.#directory = join(store, 'worktrees', name);
    mkdirSync(this.#directory, { recursive: true });
  }

  inPlace(): InPlace | null {
    const parsed = v.safeParse(inPlaceSchema, readJson(join(this.#directory, 'in-place.json')));
    return parsed.success ? parsed.output : null;
  }

  setInPlace(inPlace: InPlace): void {
    durableStep();
    writeJson(join(this.#directory, 'in-place.json'), inPlace, true);
    syncDirectory(this.#directory);
  }

  /** By branch. */
  paused(): PausedRuns {
    const parsed = v.safeParse(pausedSchema, readJson(join(this.#directory, 'paused.json')));
    return parsed.success ? parsed.output : {};
  }

  setPaused(paused: PausedRuns): void {
    writeJson(join(this.#directory, 'paused.json'), paused, true);
  }

  /** The files that follow, as they were when last looked at. Change through `setFiles` only. */
  files(): ReadonlyMap<RawPath, KnownFile> {
    if (this.#files) return this.#files;
    const schema = v.array(v.tuple([v.string(), knownFileSchema]));
    const parsed = v.safeParse(schema, readJson(join(this.#directory, 'files.json')));
    this.#files = new Map(parsed.success ? (parsed.output as [RawPath, KnownFile][]) : []);
    return this.#files;
  }

  setFiles(files: ReadonlyMap<RawPath, KnownFile>): void {
    durableStep();
    writeJson(join(this.#directory, 'files.json'), [...files], true);
    syncDirectory(this.#directory);
    this.#files = new Map(files);
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
