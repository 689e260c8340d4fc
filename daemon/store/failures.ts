/** Turns errors of SQLite and the file system into errors that others can act on. */
import { isError, TrainstashError } from '../../protocol/errors.ts';

type Kind = 'full' | 'busy' | 'unwritable' | 'damaged' | 'failing';

/** Primary codes of SQLite, as both drivers report them. */
const BY_NUMBER: Readonly<Record<number, Kind>> = {
  5: 'busy',
  6: 'busy',
  8: 'unwritable',
  10: 'failing',
  11: 'damaged',
  13: 'full',
  14: 'unwritable',
  23: 'unwritable',
  26: 'damaged',
};
const BY_NAME: readonly [RegExp, Kind][] = [
  [/^(ENOSPC|EDQUOT|SQLITE_FULL)/, 'full'],
  [/^SQLITE_(BUSY|LOCKED)/, 'busy'],
  [/^(EROFS|EACCES|EPERM|SQLITE_(READONLY|CANTOPEN|PERM|AUTH))/, 'unwritable'],
  [/^SQLITE_(CORRUPT|NOTADB)/, 'damaged'],
  [/^(EIO|ESTALE|ENODEV|SQLITE_IOERR)/, 'failing'],
];

const WORDS: Readonly<Record<Exclude<Kind, 'full'>, string>> = {
  busy: 'another program has it open; nothing was changed. Close that program (a database tool, a backup) and try again',
  unwritable: 'it is not writable; nothing was changed. Fix the permissions, or mount the disk for writing',
  damaged:
    'part of it is damaged; nothing was changed. `trainstash fsck` lists the intact checkpoints, which can still be restored',
  failing: 'its disk is failing; nothing was changed. Copy the folder while it is still readable',
};

/** Classifies an error; null when it is not a failure of the store. */
export function failureOf(error: unknown): Kind | null {
  const { code, errcode } = (error ?? {}) as { code?: string; errcode?: number };
  if (typeof errcode === 'number') return BY_NUMBER[errcode & 0xff] ?? null;
  return BY_NAME.find(([pattern]) => pattern.test(code ?? ''))?.[1] ?? null;
}

export function isDiskFull(error: unknown): boolean {
  return isError(error, 'storeFull') || failureOf(error) === 'full';
}

/** Converts an error to one with a code; leaves other errors as they are. */
export function asStoreError(error: unknown, path: string): unknown {
  if (error instanceof TrainstashError) return error;
  const kind = failureOf(error);
  const reason = (error as Error)?.message ?? String(error);
  if (kind === 'full')
    return new TrainstashError(
      'storeFull',
      `The disk is full (${reason}). The content of the store is intact. Free some space and try again.`,
      {
        neededBytes: 0,
        freeBytes: 0,
      },
    );
  // Node's own SQLite has no code for a number that is too large for JavaScript.
  if (error instanceof RangeError)
    return new TrainstashError(
      'storeUnusable',
      `${path} contains a number out of range (${reason}). \`trainstash fsck\` lists the intact checkpoints.`,
      {
        path,
        reason,
      },
    );
  if (kind === null) return error;
  return new TrainstashError('storeUnusable', `${path} cannot be used: ${WORDS[kind]} (${reason}).`, { path, reason });
}
