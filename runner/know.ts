/**
 * Inspects the files of a checkpoint: what they can restore, and when they were made. It parses files, so only the
 * looker's thread may use it.
 */
import { closeSync } from 'node:fs';
import { Budget } from '../formats/budget.ts';
import { UnknownFormat } from '../formats/format-error.ts';
import { inBlocks } from '../inspector/blocks.ts';
import { failureOf } from '../inspector/failure.ts';
import { openRegular, readerOf } from '../inspector/regular-file.ts';
import { factsOfNames, type KnownFiles } from './classify.ts';
import { factsOfTrainerState, factsOfValues, momentValues, type Value } from './content-facts.ts';

/** The limit for a structure of which only the names are needed. */
const NAMES_BYTES = 256 << 20;
/** Larger files are not a trainer's state. */
const JSON_BYTES = 64 << 20;

/** `paths`: absolute, the files of one checkpoint. */
export async function inspectFiles(paths: readonly string[]): Promise<KnownFiles> {
  const known = factsOfNames(
    paths.map((path) => path.slice(path.lastIndexOf('/') + 1)),
    null,
  );
  const values: Value[] = [];
  for (const path of paths) {
    const { names, telling, problem } = await contentsOf(path);
    const more = factsOfNames(names, problem);
    known.optimizer ||= more.optimizer;
    known.random ||= more.random;
    known.problem ??= more.problem;
    values.push(...telling);
  }
  const trainer = paths.find((path) => path.endsWith('/trainer_state.json'));
  return { ...known, facts: (trainer && factsOfTrainerState(jsonIn(trainer))) || factsOfValues(values) };
}

interface FileContents {
  /** The names of tensors and values. */
  names: string[];
  /** The values that state when the checkpoint was made. */
  telling: Value[];
  problem: string | null;
}

async function contentsOf(path: string): Promise<FileContents> {
  try {
    const { file, stat } = openRegular(path);
    try {
      const bytes = Number(stat.size);
      // Loads the formats late because the script waits for the first scan, which does not need them.
      const { openFile } = await import('../formats/inspect.ts');
      const { inspection, close } = await openFile(inBlocks(readerOf(file), bytes), bytes, new Budget(NAMES_BYTES));
      close();
      const { tensors, values, isComplete } = inspection;
      const problem = isComplete ? null : 'its structure is too deep or too large';
      return { names: [...tensors, ...values].map(({ name }) => name), telling: momentValues(values), problem };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    // Files of other formats also belong to a checkpoint; only their file names count.
    return { names: [], telling: [], problem: error instanceof UnknownFormat ? null : failureOf(error).problem };
  }
}

/** Returns null if the file is too large or is not JSON. */
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
