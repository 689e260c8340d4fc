/** Runs that were imported, so that a later import adds only what is new. */
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../base/files.ts';
import { namedRecord } from '../../protocol/any-names.ts';
import type { FoundCheckpoint } from '../../protocol/imports.ts';

const FILE = 'imports.json';

const knownSchema = v.object({
  run: v.string(),
  stamp: v.string(),
  /** True if it was imported without its checkpoints. */
  metricsOnly: v.boolean(),
  /** Checkpoints that were taken. */
  checkpoints: v.array(v.string()),
});
export type KnownImport = v.InferOutput<typeof knownSchema>;

export class KnownImports {
  readonly #path: string;
  readonly #known: Map<string, KnownImport>;

  constructor(store: string) {
    this.#path = join(store, FILE);
    const read = v.safeParse(namedRecord(v.string(), knownSchema), readJson(this.#path));
    this.#known = new Map(Object.entries(read.success ? read.output : {}));
  }

  get(key: string): KnownImport | undefined {
    return this.#known.get(key);
  }

  /** Remembers an import; `save` makes it durable. */
  set(key: string, known: KnownImport): void {
    this.#known.set(key, known);
  }

  save(): void {
    writeJson(this.#path, Object.fromEntries(this.#known), true);
  }
}

/** Identifies a checkpoint by its files as they are. */
export function nameOfCheckpoint({ place, files }: FoundCheckpoint): string {
  return `${place}:${files.map(({ name, bytes, mtimeMs }) => `${name}/${bytes}/${mtimeMs}`).join()}`;
}
