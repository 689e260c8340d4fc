/** Looks into the files of a checkpoint: what they can give back, and when they were made. Parses, so that only the looker's thread may use it. */
import { closeSync } from 'node:fs';
import { Budget } from '../formats/budget.ts';
import { UnknownFormat } from '../formats/format-error.ts';
import { inBlocks } from '../inspector/blocks.ts';
import { failureOf } from '../inspector/failure.ts';
import { openRegular, readerOf } from '../inspector/regular-file.ts';
import { factsOfTrainerState, factsOfValues, tellingValues, type Value } from './content-facts.ts';
import { type KnownFiles, knownBy } from './grade.ts';

/** Of a structure that is looked into for its names alone. */
const NAMES_BYTES = 256 << 20;
/** Larger ones are no state of a trainer. */
const JSON_BYTES = 64 << 20;

/** `paths`: absolute, of the files of one checkpoint. */
export async function know(paths: readonly string[]): Promise<KnownFiles> {
  const known = knownBy(
    paths.map((path) => path.slice(path.lastIndexOf('/') + 1)),
    null,
  );
  const values: Value[] = [];
  for (const path of paths) {
    const { names, telling, problem } = await contentsOf(path);
    const more = knownBy(names, problem);
    known.optimizer ||= more.optimizer;
    known.random ||= more.random;
    known.problem ??= more.problem;
    values.push(...telling);
  }
  const trainer = paths.find((path) => path.endsWith('/trainer_state.json'));
  return { ...known, facts: (trainer && factsOfTrainerState(jsonIn(trainer))) || factsOfValues(values) };
}

interface FileContents {
  /** Of tensors and values. */
  names: string[];
  /** Those that say when it was made. */
  telling: Value[];
  problem: string | null;
}

async function contentsOf(path: string): Promise<FileContents> {
  try {
    const { file, stat } = openRegular(path);
    try {
      const bytes = Number(stat.size);
      // The script waits for the first look: what that does not need comes later.
      const { openFile } = await import('../formats/inspect.ts');
      const { inspection, close } = await openFile(inBlocks(readerOf(file), bytes), bytes, new Budget(NAMES_BYTES));
      close();
      const { tensors, values, isComplete } = inspection;
      const problem = isComplete ? null : 'its structure is too deep or too large';
      return { names: [...tensors, ...values].map(({ name }) => name), telling: tellingValues(values), problem };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    // Files of other formats belong to a checkpoint as well, and tell what their names tell.
    return { names: [], telling: [], problem: error instanceof UnknownFormat ? null : failureOf(error).problem };
  }
}

/** Null: it is too large, or no JSON. */
function jsonIn(path: string): unknown {
  try {
    const { file, stat } = openRegular(path);
    try {
      const bytes = Number(stat.size);
      return bytes > JSON_BYTES ? null : JSON.parse(Buffer.from(readerOf(file)(0, bytes)).toString('utf8'));
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}
