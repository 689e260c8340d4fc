/** Queued runs of a project, on disk: a daemon that dies takes none of them with it. Values of the environment are not there. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../store/files.ts';

const FOLDER = 'queue';

const entrySchema = v.object({
  run: v.string(),
  /** When it was queued: they start in this order. */
  at: v.number(),
  /** The worktree. */
  root: v.string(),
  /** What it goes on from; null: it starts from the beginning. */
  checkpoint: v.nullable(v.string()),
  /** Somebody has accepted what was not as at the checkpoint. */
  accept: v.boolean(),
  /** What it is to run. */
  identity: v.object({
    branch: v.nullable(v.string()),
    branchId: v.optional(v.nullable(v.string())),
    commit: v.nullable(v.string()),
    dirty: v.boolean(),
    code: v.nullable(v.string()),
  }),
  interpreter: v.nullable(v.string()),
  /** Absolute path of the program that its command meant; null: it has none. */
  program: v.nullable(v.string()),
  /** Names of the variables that its environment had; null: nobody knows. */
  variables: v.nullable(v.array(v.string())),
});
export type QueueEntry = v.InferOutput<typeof entrySchema>;

export class Queue {
  readonly #folder: string;
  readonly #entries = new Map<string, QueueEntry>();

  constructor(store: string) {
    this.#folder = join(store, FOLDER);
    for (const name of listed(this.#folder)) {
      const entry = v.safeParse(entrySchema, readJson(join(this.#folder, name)));
      if (entry.success) this.#entries.set(entry.output.run, entry.output);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  /** In the order in which they are to start. */
  get entries(): QueueEntry[] {
    return [...this.#entries.values()].sort((a, b) => a.at - b.at);
  }

  has(run: string): boolean {
    return this.#entries.has(run);
  }

  /** Also one that is there already: it keeps its turn. Durable before it returns. */
  put(entry: QueueEntry): void {
    const known = this.#entries.get(entry.run);
    const kept = { ...entry, at: known?.at ?? entry.at };
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeJson(this.#path(entry.run), kept, true);
    this.#entries.set(entry.run, kept);
  }

  remove(run: string): void {
    if (this.#entries.delete(run)) rmSync(this.#path(run), { force: true });
  }

  /** Gives branches that were renamed their new names, by their ids. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    for (const entry of this.entries) {
      const branch = names.get(entry.identity.branchId ?? '');
      if (branch !== undefined) this.put({ ...entry, identity: { ...entry.identity, branch } });
    }
  }

  #path(run: string): string {
    return join(this.#folder, `${run}.json`);
  }
}

export function hasQueue(store: string): boolean {
  return listed(join(store, FOLDER)).length > 0;
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
}
