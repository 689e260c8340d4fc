/** Entry of the importer's process: one request on its input, and a line of JSON for each result. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { type ImporterSaid, importerRequestSchema } from '../protocol/imports.ts';
import { integer } from '../protocol/words.ts';
import { type FoundCandidate, findRuns } from './find.ts';
import { readFound } from './read.ts';
import type { Surroundings } from './source.ts';
import { MOST_FILES, TooManyFiles, Walk } from './walk.ts';

function say(said: ImporterSaid): void {
  for (let rest: Uint8Array = Buffer.from(`${JSON.stringify(said)}\n`); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

const tell = (path: string, problem: string) => say({ say: 'problem', path, problem });

function main(): void {
  const { paths, keys, out, python } = v.parse(importerRequestSchema, JSON.parse(readFileSync(0, 'utf8')));
  mkdirSync(out, { recursive: true, mode: 0o700 });
  const temporary = mkdtempSync(join(out, 'databases-'));
  const walk = new Walk(tell);
  const wanted = keys && new Set(keys);
  try {
    for (const path of paths) {
      if (!existsSync(path)) tell(path, 'there is no such file or folder');
      else runsBelow(path, walk, { tell, temporary, python }, wanted, out);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  say({ say: 'done', files: walk.files });
}

function runsBelow(
  path: string,
  walk: Walk,
  setup: Omit<Surroundings, 'around'>,
  wanted: ReadonlySet<string> | null,
  out: string,
): void {
  try {
    for (const found of findRuns(walk.tree(path), setup)) {
      if (wanted === null) {
        const { read, ...run } = found;
        say({ say: 'found', run });
      } else if (wanted.has(found.key)) readRun(found, out);
    }
  } catch (error) {
    const why =
      error instanceof TooManyFiles
        ? `it has more than ${integer(MOST_FILES)} files; name folders inside it`
        : (error as Error).message;
    tell(path, why);
  }
}

let number = 0;

function readRun(found: FoundCandidate, out: string): void {
  const file = join(out, `${++number}.ndjson`);
  try {
    say({ say: 'read', key: found.key, file, facts: readFound(found, file) });
  } catch (error) {
    tell(found.path, (error as Error).message);
  }
}

main();
