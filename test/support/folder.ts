/** Folders and processes of a test, removed after it. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterwards } from './cleanup.ts';

export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'trainstash-test-')));
  afterwards(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Time to wait for anything. It is long, since a machine that does much else is slow, and nobody waits for it when all is well. */
const WAIT_MS = 180_000;

/** Waits for a named condition, never for a fixed time. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = WAIT_MS,
): Promise<Exclude<NonNullable<T>, false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value) return value as Exclude<NonNullable<T>, false>;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Lists the files in these folders that contain one of the words. */
export function filesWith(folders: readonly string[], words: readonly string[]): string[] {
  const files = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  try {
    return files.filter((path) => {
      const text = readFileSync(path, 'latin1');
      return words.some((word) => text.includes(word));
    });
  } catch (error) {
    // A new version was renamed over the file in the meantime, or it is gone.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return filesWith(folders, words);
    throw error;
  }
}
