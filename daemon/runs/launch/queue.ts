/**
 * Queued runs of a project, on disk, so that they survive the daemon. Values of environment variables are not stored.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { namesIn, readJson, writeJson } from '../../../base/files.ts';
import { gpuDemandSchema } from '../../../protocol/devices.ts';
import { skipSchema } from '../../../protocol/rollback.ts';
import { byTurn } from '../../devices/turn.ts';

const FOLDER = 'queue';

const entrySchema = v.object({
  run: v.string(),
  /** Time of queueing: runs start in this order. */
  at: v.number(),
  /** Worktree to run in. */
  root: v.string(),
  /** Checkpoint to resume from; null: from the beginning. */
  checkpoint: v.nullable(v.string()),
  /** True if the user has accepted the differences from the checkpoint. */
  accept: v.boolean(),
  /** Identity to run. */
  identity: v.object({
    branch: v.nullable(v.string()),
    branchId: v.optional(v.nullable(v.string())),
    commit: v.nullable(v.string()),
    dirty: v.boolean(),
    code: v.nullable(v.string()),
  }),
  interpreter: v.nullable(v.string()),
  /** Absolute path of the program that the command meant; null: it has none. */
  program: v.nullable(v.string()),
  /** Names of the environment's variables; null: unknown. */
  variables: v.nullable(v.array(v.string())),
  /** True for a crashed run that waits out its delay, for which the daemon has a timer: it joins the queue if that daemon dies. */
  isRestart: v.optional(v.boolean(), false),
  /** Higher ones go first. */
  priority: v.optional(v.number(), 0),
  /** True for a run that goes before all others. */
  urgent: v.optional(v.boolean(), false),
  /** True if live runs are interrupted for it: those that save on request, and those in `accepted`. */
  interrupts: v.optional(v.boolean(), false),
  accepted: v.optional(v.array(v.string()), []),
  /** Live runs that `cuda-checkpoint` may move off their devices for it, instead. */
  movable: v.optional(v.array(v.string()), []),
  /** True while it is held back by request. */
  paused: v.optional(v.boolean(), false),
  /** Run of this project that must have completed first. */
  after: v.optional(v.nullable(v.string()), null),
  notBefore: v.optional(v.nullable(v.number()), null),
  gpu: v.optional(gpuDemandSchema),
  /** Urgent run that it is interrupted for. The entry is written before the run is asked to end. */
  interruptedFor: v.optional(v.nullable(v.string()), null),
  /** Facts about the interruption; `endedAt` null: the run is still live. */
  interruption: v.optional(
    v.nullable(
      v.object({
        session: v.nullable(v.string()),
        byName: v.string(),
        askedAt: v.number(),
        endedAt: v.nullable(v.number()),
        step: v.number(),
      }),
    ),
    null,
  ),
  /** Facts about the rollback that it waits for; null: it was not rolled back. */
  rollback: v.optional(v.nullable(v.object({ toStep: v.nullable(v.number()), skip: v.nullable(skipSchema) })), null),
});
export type QueueEntry = v.InferOutput<typeof entrySchema>;

export class Queue {
  readonly #folder: string;
  readonly #entries = new Map<string, QueueEntry>();

  constructor(store: string) {
    this.#folder = join(store, FOLDER);
    for (const name of entryNames(this.#folder)) {
      const entry = v.safeParse(entrySchema, readJson(join(this.#folder, name)));
      if (entry.success) this.#entries.set(entry.output.run, entry.output);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Entries in the order in which they start. */
  get entries(): QueueEntry[] {
    return [...this.#entries.values()].sort(byTurn);
  }

  has(run: string): boolean {
    return this.#entries.has(run);
  }

  get(run: string): QueueEntry | undefined {
    return this.#entries.get(run);
  }

  /** Changes an entry's place or conditions. Durable before it returns. */
  change(run: string, patch: Partial<QueueEntry>): void {
    const known = this.#entries.get(run);
    if (!known) return;
    const changed = { ...known, ...patch };
    writeJson(this.#path(run), changed, true);
    this.#entries.set(run, changed);
  }

  /** Adds or replaces an entry. An entry that is there already keeps its turn. Durable before it returns. */
  put(entry: QueueEntry): void {
    const kept = { ...entry, at: this.#entries.get(entry.run)?.at ?? entry.at };
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeJson(this.#path(entry.run), kept, true);
    this.#entries.set(entry.run, kept);
  }

  remove(run: string): void {
    if (this.#entries.delete(run)) rmSync(this.#path(run), { force: true });
  }

  /** Gives renamed branches their new names, by their ids. */
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
  return entryNames(join(store, FOLDER)).length > 0;
}

function entryNames(folder: string): string[] {
  return namesIn(folder).filter((name) => name.endsWith('.json'));
}
