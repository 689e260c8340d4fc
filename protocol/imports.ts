/** History of other tools, as the importer finds it. */
import * as v from 'valibot';
import { namedRecord } from './any-names.ts';
import { nameProblem } from './names.ts';
import { paramValue } from './params.ts';

export const TOOLS = [
  'Lightning',
  'Hugging Face',
  'TensorBoard',
  'W&B',
  'MLflow',
  'DVCLive',
  'Trackio',
  'Aim',
  'checkpoint files',
] as const;
export type ImportTool = (typeof TOOLS)[number];

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Longest name, note or key of a run. */
export const MOST_NAME_CHARACTERS = 1_000;
const shortText = v.pipe(v.string(), v.maxLength(MOST_NAME_CHARACTERS));
const time = v.pipe(v.number(), v.finite());

/** A checkpoint of a found run. `place` is an absolute folder, the names of its files are relative to it. */
export const foundCheckpointSchema = v.object({
  place: v.string(),
  files: v.array(
    v.object({
      name: v.pipe(
        v.string(),
        v.check((name) => nameProblem(name) === null),
      ),
      ino: v.string(),
      bytes: count,
      mtimeMs: v.number(),
    }),
  ),
  step: v.nullable(count),
  epoch: v.nullable(count),
  metrics: namedRecord(v.string(), v.number()),
  isBest: v.boolean(),
});
export type FoundCheckpoint = v.InferOutput<typeof foundCheckpointSchema>;

/** A run of another tool. */
export const foundRunSchema = v.object({
  /** Identifies it in later imports. */
  key: shortText,
  tool: v.picklist(TOOLS),
  /** Project or experiment, which becomes the job. */
  job: shortText,
  name: shortText,
  /** Absolute path of the file or folder that it was read from. */
  path: v.string(),
  /** Changes with its content. */
  stamp: v.string(),
  checkpoints: v.array(foundCheckpointSchema),
});
export type FoundRun = v.InferOutput<typeof foundRunSchema>;

/** Facts that reading a run gives beside its points. */
export const readRunSchema = v.object({
  params: namedRecord(v.string(), paramValue),
  note: shortText,
  startedAt: v.nullable(time),
  endedAt: v.nullable(time),
  outcome: v.picklist(['completed', 'failed', 'stopped', 'lost']),
  commit: v.nullable(v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/))),
  points: count,
  /** Points and values that could not be read. */
  leftOut: count,
  lastStep: count,
});
export type ReadRun = v.InferOutput<typeof readRunSchema>;

/** Something that could not be read, as a sentence for people. */
export interface ImportProblem {
  path: string;
  problem: string;
}

/** Lines that the importer prints. `read`: the points of run `run` are in `<out>/<run>.ndjson`. */
export const importerSaidSchema = v.variant('say', [
  v.object({ say: v.literal('found'), run: foundRunSchema }),
  v.object({ say: v.literal('problem'), path: v.string(), problem: v.string() }),
  v.object({ say: v.literal('read'), key: shortText, file: v.string(), facts: readRunSchema }),
  v.object({ say: v.literal('done'), files: count }),
]);
export type ImporterSaid = v.InferOutput<typeof importerSaidSchema>;

/** Request to the importer, one JSON text on its input. `keys`: runs to read; null: only find them. */
export const importerRequestSchema = v.object({
  paths: v.array(v.string()),
  keys: v.nullable(v.array(v.string())),
  out: v.string(),
  /** Pythons that may have the package of a tool whose store only that can read; the program that asks Aim; their variables. */
  python: v.object({
    programs: v.array(v.string()),
    aimReader: v.string(),
    environment: namedRecord(v.string(), v.string()),
  }),
});
export type ImporterRequest = v.InferOutput<typeof importerRequestSchema>;
