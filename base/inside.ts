/** Resolves file names from outside, as the last step before the file is opened. */
import { lstatSync, type Stats } from 'node:fs';
import { join, sep } from 'node:path';
import { TrainstashError } from '../protocol/errors.ts';
import { nameProblem } from '../protocol/names.ts';

/** Names that Windows treats as devices, whatever extension follows. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;
const FORBIDDEN_ON_WINDOWS = /[<>:"|?*\\\p{Cc}]/u;
const SHOWN_CHARACTERS = 200;

export interface InsideOptions {
  /** Links to folders that may be followed, by their names relative to the folder: its owner has allowed them. */
  links?: ReadonlySet<string>;
  /** Allows a link in the place of the file itself; only for callers that never open it without checking. */
  atEnd?: 'link';
  /** Paths that were checked already and are not checked again; for many names below one folder. */
  seen?: Set<string>;
  platform?: NodeJS.Platform;
}

/**
 * Returns the path of `name` below `folder`. Throws `unsafeName` if the name leads out of the folder, by itself or through a link,
 * or if this system takes it for something else. Names that are not UTF-8 are passed as bytes, with `/`.
 *
 * The check holds for this moment: call it right before the file is opened, created or removed. Only the user, who can write
 * anywhere, can change the folder in between.
 */
export function inside<T extends string | Buffer>(folder: string, name: T, options: InsideOptions = {}): T {
  const text = typeof name === 'string' ? name : name.toString('latin1');
  const problem = problemOf(name, text, options) ?? pathProblem(folder, name, text, options);
  if (problem !== null) throw refused(folder, typeof name === 'string' ? name : name.toString(), problem);
  return below(folder, name);
}

function problemOf(name: string | Buffer, text: string, { platform = process.platform }: InsideOptions): string | null {
  // In a byte name, the code points that hide `.git` take several bytes.
  const problem = nameProblem(text) ?? (typeof name === 'string' ? null : nameProblem(name.toString()));
  if (problem !== null || platform !== 'win32') return problem;
  for (const part of text.split('/')) {
    if (FORBIDDEN_ON_WINDOWS.test(part)) return 'it contains a character that Windows does not allow';
    if (/[. ]$/.test(part)) return 'a part of it ends in a dot or a space, which Windows drops';
    if (DEVICE.test(part.split('.')[0]!.trimEnd())) return 'it is the name of a device';
  }
  return null;
}

/** Checks each part of the path. A part that does not exist yet leads nowhere. */
function pathProblem(folder: string, name: string | Buffer, text: string, options: InsideOptions): string | null {
  const parts = text.split('/');
  for (let i = 1; i <= parts.length; i++) {
    const isLast = i === parts.length;
    const part = parts.slice(0, i).join('/');
    if (isLast ? options.atEnd === 'link' : options.seen?.has(part)) continue;
    const stat = statOf(below(folder, typeof name === 'string' ? part : Buffer.from(part, 'latin1')));
    if (!stat) return null;
    if (stat.isSymbolicLink()) {
      if (isLast || !options.links?.has(part)) return `"${part}" is a link`;
    } else if (!isLast && !stat.isDirectory()) return `"${part}" is a file, not a folder`;
    options.seen?.add(part);
  }
  return null;
}

function statOf(path: string | Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function below<T extends string | Buffer>(folder: string, name: T): T {
  if (typeof name === 'string') return join(folder, name) as T;
  return Buffer.concat([Buffer.from(folder + sep), name]) as T;
}

function refused(folder: string, name: string, problem: string): TrainstashError<'unsafeName'> {
  const shown = JSON.stringify(name.slice(0, SHOWN_CHARACTERS)).replaceAll(/\p{C}/gu, '\ufffd');
  return new TrainstashError(
    'unsafeName',
    `${shown} is not a safe name in ${folder}: ${problem}. It was not touched, and nothing outside that folder was read or written. A store with such a name is damaged or malicious: \`trainstash fsck\` lists its problems.`,
    { name, folder, problem },
  );
}
