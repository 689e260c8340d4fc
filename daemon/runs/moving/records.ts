/** Runs that are moved off their GPUs, on disk: a daemon that dies meanwhile is followed by one that moves them back. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { namesIn, readJson, writeJson } from '../../../base/files.ts';
import { idSchema } from '../../../protocol/session.ts';

const FOLDER = 'moved';

const recordSchema = v.object({
  run: idSchema,
  session: v.nullable(v.string()),
  processes: v.array(v.object({ pid: v.pipe(v.number(), v.integer(), v.minValue(2)), started: v.string() })),
  /** Urgent run that it makes way for. */
  by: v.string(),
  byName: v.string(),
  /** `away`: it holds no device. `leaving` and `returning`: it is being moved. `stuck`: it did not come back, and is tried again. */
  phase: v.picklist(['leaving', 'away', 'returning', 'stuck']),
  /** Time at which it was asked for. */
  at: v.number(),
  /** Milliseconds that the way off took. */
  tookMs: v.number(),
  /** Request of a person that waits for its return. */
  wish: v.nullable(v.picklist(['pause', 'stop'])),
  /** Why it did not come back; null: nobody has failed to move it back. */
  problem: v.nullable(v.string()),
});
export type MoveRecord = v.InferOutput<typeof recordSchema>;

export class MoveRecords {
  readonly #folder: string;
  readonly #records = new Map<string, MoveRecord>();

  constructor(store: string) {
    this.#folder = join(store, FOLDER);
    for (const name of recordNames(this.#folder)) {
      const record = v.safeParse(recordSchema, readJson(join(this.#folder, name)));
      if (record.success) this.#records.set(record.output.run, record.output);
    }
  }

  get all(): MoveRecord[] {
    return [...this.#records.values()];
  }

  get(run: string): MoveRecord | undefined {
    return this.#records.get(run);
  }

  /** Adds or changes a record. Durable before it returns. */
  put(record: MoveRecord): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeJson(this.#path(record.run), record, true);
    this.#records.set(record.run, record);
  }

  change(run: string, patch: Partial<MoveRecord>): void {
    const known = this.#records.get(run);
    if (known) this.put({ ...known, ...patch });
  }

  remove(run: string): void {
    if (this.#records.delete(run)) rmSync(this.#path(run), { force: true });
  }

  #path(run: string): string {
    return join(this.#folder, `${run}.json`);
  }
}

function recordNames(folder: string): string[] {
  return namesIn(folder).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
}
