/** Records of sweeps: one file each, replaced atomically. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../base/files.ts';
import { type SweepRecord, sweepRecordSchema } from '../../protocol/sweep.ts';

const FOLDER = 'sweeps';
const RECORD = 'sweep.json';
/** Journal of Optuna, beside the record. */
const JOURNAL = 'optuna.log';
const ID = /^[a-z0-9]{8,40}$/;

export class RecordFolder {
  readonly #path: string;

  constructor(store: string) {
    this.#path = join(store, FOLDER);
  }

  /** Reads all records, by number. One that cannot be read is left alone, and `log` hears of it. */
  read(log: (text: string) => void): SweepRecord[] {
    if (!existsSync(this.#path)) return [];
    const ids = readdirSync(this.#path, { withFileTypes: true }).filter(
      (one) => one.isDirectory() && ID.test(one.name),
    );
    return ids
      .flatMap(({ name }) => {
        const parsed = v.safeParse(sweepRecordSchema, readJson(this.#fileOf(name)));
        if (parsed.success && parsed.output.id === name) return [parsed.output];
        log(`${this.#fileOf(name)} is not the record of a sweep, and was left alone`);
        return [];
      })
      .sort((a, b) => a.number - b.number);
  }

  /** Writes a record. Durable before it returns. */
  write(record: SweepRecord): void {
    mkdirSync(join(this.#path, record.id), { recursive: true, mode: 0o700 });
    writeJson(this.#fileOf(record.id), record, true);
  }

  remove(id: string): void {
    rmSync(join(this.#path, id), { recursive: true, force: true });
  }

  journalOf(id: string): string {
    return join(this.#path, id, JOURNAL);
  }

  #fileOf(id: string): string {
    return join(this.#path, id, RECORD);
  }
}

/** Tells whether a store has a sweep that goes on by itself, without opening the store. */
export function hasRunningSweep(store: string): boolean {
  return new RecordFolder(store).read(() => {}).some(({ state }) => state === 'running');
}
