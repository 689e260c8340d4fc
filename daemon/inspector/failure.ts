/** Errors that come up while a file is looked into, as sentences of ours. */
import { FormatError } from '../formats/format-error.ts';
import { FileChanged } from './regular-file.ts';
import type { Failure } from './wire.ts';

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'there is no permission to read it',
  EPERM: 'there is no permission to read it',
  ELOOP: 'its links lead in a circle',
  EIO: 'the disk fails to read it',
  ENOSPC: 'there is no room to unpack it',
  EMFILE: 'too many files are open',
};

/** Whatever goes wrong inside becomes a sentence of ours. */
export function failureOf(error: unknown): Failure {
  if (error instanceof FileChanged) return { kind: 'changed', problem: error.message };
  if (error instanceof FormatError) return { kind: 'unreadable', problem: error.message };
  const { code } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : PROBLEMS[code];
  if (known !== undefined) return { kind: 'unreadable', problem: known };
  // Of the engine: too deep a nesting, too long an array.
  if (error instanceof RangeError) return { kind: 'unreadable', problem: 'its structure is too deep or too large' };
  return { kind: 'unreadable', problem: 'it is damaged in a way that is not understood here' };
}
