/** Turns errors during an inspection into sentences. */
import { FormatError } from '../formats/format-error.ts';
import { FileChanged } from './regular-file.ts';
import type { Failure } from './wire.ts';

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'there is no permission to read it',
  EPERM: 'there is no permission to read it',
  ELOOP: 'its links form a loop',
  EIO: 'the disk reports a read error',
  ENOSPC: 'there is no space to unpack it',
  EMFILE: 'too many files are open',
};

/** Turns any error into a sentence. */
export function failureOf(error: unknown): Failure {
  if (error instanceof FileChanged) return { kind: 'changed', problem: error.message };
  if (error instanceof FormatError) return { kind: 'unreadable', problem: error.message };
  const { code } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : PROBLEMS[code];
  if (known !== undefined) return { kind: 'unreadable', problem: known };
  // From the engine: nesting too deep, an array too long.
  if (error instanceof RangeError) return { kind: 'unreadable', problem: 'its structure is too deep or too large' };
  return { kind: 'unreadable', problem: 'it is damaged in an unknown way' };
}
