/** What a script's own files can give back, and when they were made: read from their structure, never by loading them. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { inspectFile } from '../formats/inspect.ts';
import { readJson } from '../store/files.ts';
import { isWholeFile } from '../store/whole-file.ts';

/** When a checkpoint was made, as its content says; null where that says nothing. */
export interface ContentFacts {
  step: number | null;
  epoch: number | null;
  /** Of the whole training. */
  totalSteps: number | null;
}

export interface FileGrade extends ContentFacts {
  grade: 'partial' | 'weights only';
  missing: string[];
}

const OPTIMIZER = /(^|[^a-z])(optim(izer)?s?(_states?)?|opt|exp_avg|momentum_buffer|pdopt)([^a-z]|$)/i;
const RANDOM = /(^|[^a-z])(rng|random)(_states?)?([^a-z]|$)/i;
/** Keys at the top of a checkpoint that say when it was made; the first that there is counts. */
const STEP_KEYS = ['global_step', 'meta.iter', 'step', 'iteration', 'iter', 'iter_num'];
const EPOCH_KEYS = ['epoch', 'meta.epoch'];
/** Larger ones are data, or the pickle of a whole program. */
const MAX_BYTES_READ = 64 << 20;

/** `paths`: absolute, of the files of one checkpoint. */
export async function gradeOf(paths: readonly string[]): Promise<FileGrade> {
  const contents = paths.map(contentIn);
  const names = paths.flatMap((path, i) => [path.slice(path.lastIndexOf('/') + 1), ...contents[i]!.names]);
  const optimizer = names.some((name) => OPTIMIZER.test(name));
  const random = names.some((name) => RANDOM.test(name));
  const missing = [
    ...(optimizer ? [] : ['the optimizer’s state']),
    ...(random ? [] : ['random numbers']),
    'the place in the data',
  ];
  return { grade: optimizer ? 'partial' : 'weights only', missing, ...factsOf(paths, contents) };
}

/** The first of the files that is not whole, as far as its structure tells; null: all are. */
export async function brokenFile(files: readonly { path: string; bytes: number }[]): Promise<string | null> {
  return files.find(({ path, bytes }) => !isWholeFile(path, path, bytes))?.path ?? null;
}

function factsOf(paths: readonly string[], contents: readonly Content[]): ContentFacts {
  // What Hugging Face's trainer writes beside its files tells of all of them.
  const path = paths.find((one) => one.endsWith('/trainer_state.json'));
  const trainer = (path ? readJson(path) : null) as Record<string, unknown> | null;
  if (typeof trainer?.global_step === 'number')
    return {
      step: countOf(trainer.global_step),
      epoch: countOf(trainer.epoch),
      totalSteps: countOf(trainer.max_steps) || null,
    };
  const values = contents.flatMap((content) => content.values);
  const first = (keys: readonly string[]) => {
    const found = keys.map((key) => countOf(values.find(({ name }) => name === key)?.value));
    return found.find((count) => count !== null) ?? null;
  };
  return { step: first(STEP_KEYS), epoch: first(EPOCH_KEYS), totalSteps: null };
}

/** Trainers that have finished, and those that have not begun, may say −1. The metadata of safetensors are texts. */
function countOf(value: unknown): number | null {
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && count >= 0 && count < Number.MAX_SAFE_INTEGER ? Math.floor(count) : null;
}

interface Content {
  names: string[];
  values: { name: string; value: unknown }[];
}

/** Places of tensors and values in it; nothing when it is of a format that is not known. */
function contentIn(path: string): Content {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return { names: [], values: [] };
  }
  try {
    let left = MAX_BYTES_READ;
    const read = (offset: number, length: number) => {
      left -= length;
      if (left < 0) throw new RangeError('more than is worth reading');
      const buffer = Buffer.allocUnsafe(length);
      return buffer.subarray(0, readSync(file, buffer, 0, length, offset));
    };
    const { tensors, values } = inspectFile(read, fstatSync(file).size);
    return { names: [...tensors, ...values].map(({ name }) => name), values };
  } catch {
    return { names: [], values: [] };
  } finally {
    closeSync(file);
  }
}
