/** The samples of a session: their form, and the file that holds them. A long session has fewer per hour, never more in all. */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';
import { TEMPORARY_PREFIX } from '../../base/files.ts';
import type { SessionDirectory } from '../directory.ts';

/** Most samples of a session. Beyond it every second one is dropped, and the interval doubles. */
export const MOST_SAMPLES = 4_000;
const MAX_FILE_BYTES = 8 << 20;

const known = v.nullable(v.number());
const sampleSchema = v.object({
  /** Time of the sample. */
  t: v.number(),
  /** Processors that the session's processes kept busy since the sample before: 1.5 are one and a half. */
  cpu: known,
  /** Resident memory of those processes. */
  memory: known,
  /** Share of the machine's processors that was busy, by anybody. */
  machineCpu: known,
  machineMemory: known,
  /** Free bytes on the disk of the project. */
  diskFree: known,
  gpus: v.array(
    v.object({
      index: v.number(),
      busy: known,
      memoryBytes: known,
      totalBytes: known,
      watts: known,
      celsius: known,
    }),
  ),
});
export type Sample = v.InferOutput<typeof sampleSchema>;

export class SampleFile {
  readonly #path: string;
  readonly #directory: string;
  #count = 0;

  constructor(directory: SessionDirectory) {
    this.#path = directory.file('usage');
    this.#directory = directory.path;
  }

  /** Appends a sample. Returns true if every second one was dropped, so that the interval has to double. */
  add(sample: Sample): boolean {
    appendFileSync(this.#path, `${JSON.stringify(sample)}\n`);
    if (++this.#count < MOST_SAMPLES) return false;
    const lines = readFileSync(this.#path, 'utf8').split('\n').filter(Boolean);
    const kept = lines.filter((_, i) => i % 2 === 0);
    const temporary = `${this.#directory}/${TEMPORARY_PREFIX}usage`;
    writeFileSync(temporary, `${kept.join('\n')}\n`);
    renameSync(temporary, this.#path);
    this.#count = kept.length;
    return true;
  }
}

const waitSchema = v.object({
  /** Time of the sample. */
  t: v.number(),
  /** Length of the time that it is for, and how long of it the loop waited for data. */
  seconds: v.pipe(v.number(), v.gtValue(0)),
  waited: v.pipe(v.number(), v.minValue(0)),
});
export type WaitSample = v.InferOutput<typeof waitSchema>;

/** Reads the samples of a session; lines that are of another form are left out. */
export function readSamples(directory: SessionDirectory): Sample[] {
  return readLines(directory.file('usage'), sampleSchema);
}

/** Reads how long a session's loop waited for data. Empty where no package told it. */
export function readWaits(directory: SessionDirectory): WaitSample[] {
  return readLines(directory.file('waits'), waitSchema);
}

function readLines<T>(path: string, schema: v.GenericSchema<unknown, T>): T[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').slice(-MAX_FILE_BYTES);
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    if (line === '') return [];
    try {
      const parsed = v.safeParse(schema, JSON.parse(line));
      return parsed.success ? [parsed.output] : [];
    } catch {
      // Half a line of a writer that was killed.
      return [];
    }
  });
}
