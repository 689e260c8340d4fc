/** Chooses the driver for a URL. */
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TrainstashError } from '../../../protocol/errors.ts';
import type { Driver } from './driver.ts';
import { FolderDriver } from './folder.ts';

/** Place of a remote, as the user has given it. */
export interface Place {
  url: string;
}

const KNOWN = 'file:///folder';

/** Opens a driver; nothing is contacted yet. Throws `remoteInvalid`. */
export function openDriver(name: string, { url }: Place): Driver {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!parsed) throw invalid(url, `it is not a URL. These are known: ${KNOWN}`);
  if (parsed.protocol === 'file:') return new FolderDriver(name, folderOf(url, parsed));
  throw invalid(url, `"${parsed.protocol}" is not supported. These are known: ${KNOWN}`);
}

function folderOf(url: string, parsed: URL): string {
  if (parsed.search || parsed.hash) throw invalid(url, 'a folder has no "?" or "#"; write %3F or %23');
  let path: string;
  try {
    path = fileURLToPath(parsed);
  } catch {
    throw invalid(url, 'a folder on this machine has three slashes: file:///folder');
  }
  if (!isAbsolute(path) || path.includes('\0')) throw invalid(url, 'the folder must be an absolute path');
  return path;
}

export function invalid(url: string, problem: string): TrainstashError<'remoteInvalid'> {
  return new TrainstashError('remoteInvalid', `${url} cannot be a remote: ${problem}. Nothing was changed.`, {
    url,
    problem,
  });
}
