/** The last step before a file is opened whose name somebody else has written down. */
import { lstatSync, type Stats } from 'node:fs';
import { join, sep } from 'node:path';
import { TrainstashError } from '../protocol/errors.ts';
import { nameProblem } from '../protocol/names.ts';

/** Names that Windows takes for a device, whatever ending follows. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;
const FORBIDDEN_ON_WINDOWS = /[<>:"|?*\\\p{Cc}]/u;
const SHOWN_CHARACTERS = 200;

export interface InsideOptions {
  /** Folders below, by their names from there, that are links and may be followed: whoever owns the folder has said so. */
  links?: ReadonlySet<string>;
  /** A link where the file is to be: refused unless the caller never opens what is there without a look. */
  atEnd?: 'link';
  /** For many names below one folder: what was looked at on their ways, which is not looked at again. */
  seen?: Set<string>;
  platform?: NodeJS.Platform;
}

/**
 * Gives the path of `name` below `folder`. Throws `unsafeName` for a name that leads out of it, by itself or through a link, and for
 * one that this system takes for something else. Bytes are taken as they are, with `/`, for names that are no UTF-8.
 *
 * It says what is so now: call it right before the file is opened, made or removed. Whoever can change the folder
 * meanwhile is the user, who can write anywhere.
 */
export function inside<T extends string | Buffer>(folder: string, name: T, options: InsideOptions = {}): T {
  const text = typeof name === 'string' ? name : name.toString('latin1');
  const problem = problemOf(name, text, options) ?? pathProblem(folder, name, text, options);
  if (problem !== null) throw refused(folder, typeof name === 'string' ? name : name.toString(), problem);
  return below(folder, name);
}

function problemOf(name: string | Buffer, text: string, { platform = process.platform }: InsideOptions): string | null {
  // Names of git hide behind code points of several bytes.
  const problem = nameProblem(text) ?? (typeof name === 'string' ? null : nameProblem(name.toString()));
  if (problem !== null || platform !== 'win32') return problem;
  for (const part of text.split('/')) {
    if (FORBIDDEN_ON_WINDOWS.test(part)) return 'it has a character that Windows does not allow';
    if (/[. ]$/.test(part)) return 'a part of it ends in a dot or a blank, which Windows leaves out';
    if (DEVICE.test(part.split('.')[0]!.trimEnd())) return 'it is the name of a device';
  }
  return null;
}

/** Looks at what lies on the way. A part that is not there yet leads nowhere. */
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
    } else if (!isLast && !stat.isDirectory()) return `"${part}" is a file and no folder`;
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
    `${shown} was not touched below ${folder}: ${problem}. Nothing outside of that folder was read or written. A store that holds such a name was damaged, or made to do harm: \`trainstash fsck\` lists what is wrong with it.`,
    { name, folder, problem },
  );
}
