/** Looks whether the code of a command mentions a param at all, before runs are started that would all fail by it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { JobConfig } from '../../protocol/config.ts';
import { placeOf, wordsOf } from '../runs/launch/queue-entries.ts';
import { scriptWord } from '../runs/launch/script-word.ts';

const READ = /\.(py|ya?ml|toml|cfg|ini|sh|jl|R)$/;
const LEFT_OUT = /^(\.|node_modules$|venv$|env$|__pycache__$|data$|site-packages$)/;
const MOST_FILES = 500;
const MOST_LEVELS = 3;
const MOST_BYTES = 1 << 20;

/**
 * Returns the first name that neither the script of a job nor a file of code or settings below its folder has. Null: there is none, or
 * nobody can know, as for a program without a script.
 */
export function unmentioned(root: string, job: JobConfig, names: readonly string[]): string | null {
  const words = wordsOf(job);
  const script = words && scriptWord(words);
  if (script?.kind !== 'file') return null;
  // A dotted name belongs to a framework of configurations.
  let missing = names.filter((name) => /^[A-Za-z][\w-]*$/.test(name));
  const { cwd } = placeOf(root, job);
  const path = join(cwd, script.name);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return null;
  let files = 0;
  const look = (folder: string, level: number): boolean => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (missing.length === 0) return true;
      const below = join(folder, entry.name);
      if (entry.isDirectory() && level < MOST_LEVELS && !LEFT_OUT.test(entry.name)) {
        if (!look(below, level + 1)) return false;
      } else if (entry.isFile() && READ.test(entry.name)) {
        // Too much to look through: nobody can say that it is not there.
        if (++files > MOST_FILES || statSync(below).size > MOST_BYTES) return false;
        const text = readFileSync(below, 'utf8');
        missing = missing.filter((name) => !mentions(text, name));
      }
    }
    return true;
  };
  return look(dirname(path), 0) ? (missing[0] ?? null) : null;
}

function mentions(text: string, name: string): boolean {
  return [name, name.replaceAll('-', '_'), name.replaceAll('_', '-')].some((form) =>
    new RegExp(`(?<![A-Za-z0-9])${form}(?![A-Za-z0-9])`).test(text),
  );
}
