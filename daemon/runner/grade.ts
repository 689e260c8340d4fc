/** What a script's own files can give back: read from their structure, never by loading them. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { described, kept, lost } from '../../protocol/ingredients.ts';
import { inspectFile } from '../formats/inspect.ts';

export type FileGrade = ReturnType<typeof described>;

const OPTIMIZER = /(^|[^a-z])(optim(izer)?s?(_states?)?|opt|exp_avg|momentum_buffer|pdopt)([^a-z]|$)/i;
const RANDOM = /(^|[^a-z])(rng|random)(_states?)?([^a-z]|$)/i;
/** Larger ones are data, or the pickle of a whole program. */
const MAX_BYTES_READ = 64 << 20;

/** `paths`: absolute, of the files of one checkpoint. */
export function gradeOf(paths: readonly string[]): FileGrade {
  const names = paths.flatMap((path) => [path.slice(path.lastIndexOf('/') + 1), ...namesIn(path)]);
  const optimizer = names.some((name) => OPTIMIZER.test(name));
  const random = names.some((name) => RANDOM.test(name));
  return described([
    kept('weights', 'weights'),
    optimizer ? kept('optimizer', 'optimizer') : lost('optimizer', 'the optimizer’s state', null),
    // A name tells that they are there, and not that the script puts them back.
    ...(random ? [] : [lost('random', 'random numbers', null)]),
    lost('data', 'the place in the data', null),
  ]);
}

/** Places of tensors and values in it; none when it is of a format that is not known. */
function namesIn(path: string): string[] {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return [];
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
    return [...tensors, ...values].map(({ name }) => name);
  } catch {
    return [];
  } finally {
    closeSync(file);
  }
}
