/** Durable facts about runs on engines: one file each in the store, for as long as the engine may still start them. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../../base/files.ts';
import { inside } from '../../../base/inside.ts';
import { engineSchema } from '../../../protocol/engines.ts';
import { idSchema } from '../../../protocol/session.ts';

const FOLDER = 'engines';

const recordSchema = v.object({
  run: idSchema,
  /** Name of the engine, and its settings when the run was submitted: the file that they are in may change. */
  engine: v.string(),
  config: engineSchema,
  /** Id of its job; empty while the engine's answer to the submission is not known. */
  job: v.string(),
  /** Word by which the job is found, and its number in an array. */
  key: v.optional(v.string(), ''),
  task: v.optional(v.nullable(v.number()), null),
  place: v.string(),
  root: v.string(),
  nodes: v.number(),
  /** True if the engine starts it again by itself after a preemption. */
  startsAgain: v.boolean(),
  submittedAt: v.number(),
  /** Session that is followed; null: none lives. */
  session: v.nullable(idSchema),
  /** Sessions of the place that were followed, this one included. */
  seen: v.array(idSchema),
  /** True if its command or params have secrets, which the record does not. Absent: an earlier version has submitted it. */
  hasSecrets: v.optional(v.boolean(), false),
  /** True once a person has asked for its end, and the status that it then gets if no life of it tells another. */
  isUnwanted: v.boolean(),
  endsAs: v.optional(v.picklist(['paused', 'stopped']), 'stopped'),
  /** True once the run is over here while its job is not: the record stays until the engine says that it has ended. */
  isClosing: v.optional(v.boolean(), false),
  /** Number of submissions since the last life, and the time of the next one. */
  fruitless: v.optional(v.number(), 0),
  againAt: v.optional(v.number(), 0),
});
export type EngineRecord = v.InferOutput<typeof recordSchema>;

export class EngineRecords {
  readonly #store: string;
  readonly #known = new Map<string, EngineRecord>();
  readonly #secrets = new Map<string, Readonly<Record<string, string>>>();

  constructor(store: string) {
    this.#store = store;
  }

  /** Reads what an earlier daemon has left. */
  load(): void {
    const folder = inside(this.#store, FOLDER);
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const parsed = v.safeParse(recordSchema, readJson(join(folder, name)));
      if (parsed.success && name === `${parsed.output.run}.json`) this.#known.set(parsed.output.run, parsed.output);
    }
  }

  get all(): EngineRecord[] {
    return [...this.#known.values()];
  }

  get(run: string): EngineRecord | undefined {
    return this.#known.get(run);
  }

  put(record: EngineRecord): EngineRecord {
    mkdirSync(inside(this.#store, FOLDER), { recursive: true, mode: 0o700 });
    writeJson(inside(this.#store, `${FOLDER}/${record.run}.json`), record, true);
    this.#known.set(record.run, record);
    return record;
  }

  /** Changes a record that is still there: others may have removed it meanwhile. */
  change(run: string, patch: Partial<EngineRecord>): EngineRecord | null {
    const known = this.#known.get(run);
    return known ? this.put({ ...known, ...patch }) : null;
  }

  /** Keeps variables with the secrets of a run, in memory, for as long as its record. */
  keep(run: string, secrets: Readonly<Record<string, string>>): void {
    this.#secrets.set(run, secrets);
  }

  /** Returns them; null: an earlier daemon had them. */
  secretsOf({ run, hasSecrets }: EngineRecord): Readonly<Record<string, string>> | null {
    return hasSecrets ? (this.#secrets.get(run) ?? null) : {};
  }

  remove(run: string): void {
    this.#secrets.delete(run);
    rmSync(inside(this.#store, `${FOLDER}/${run}.json`), { force: true });
    this.#known.delete(run);
  }
}
