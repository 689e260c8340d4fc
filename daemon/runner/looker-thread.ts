/**
 * Entry of the thread that looks at files for a runner, in a process of its own: the runner's only task is that a script never
 * waits for its terminal.
 */
import { closeSync } from 'node:fs';
import { Budget } from '../formats/budget.ts';
import { UnknownFormat } from '../formats/format-error.ts';
import { inBlocks } from '../inspector/blocks.ts';
import { openRegular, readerOf } from '../inspector/regular-file.ts';
import { failureOf, serve } from '../inspector/serve.ts';
import { areWhole } from '../inspector/whole.ts';
import { type KnownFiles, knownBy } from './grade.ts';
import type { FilesPart, LookAtFilesRequest, LookedAt, LookerRequest } from './looker-requests.ts';
import { newEvents } from './tensorboard.ts';
import { WatchedFiles } from './watched.ts';

/** Of a structure that is looked into for its names alone. */
const NAMES_BYTES = 256 << 20;
/** Files that are told together. */
const PART = 2_000;

let watched: WatchedFiles | null = null;

serve((request, { part }) => {
  const wanted = request as LookerRequest;
  if (wanted.do === 'files') return lookAtFiles(wanted, part);
  if (wanted.do === 'events') return newEvents(wanted);
  return wanted.do === 'know' ? know(wanted.paths) : areWhole(wanted);
});

function lookAtFiles({ places, since }: LookAtFilesRequest, part: (part: FilesPart) => void): LookedAt {
  const startedAt = performance.now();
  watched ??= new WatchedFiles(places);
  const { changed, gone, ...looked } = watched.look(since);
  for (let at = 0; at < Math.max(changed.length, gone.length); at += PART)
    part({ changed: changed.slice(at, at + PART), gone: gone.slice(at, at + PART) });
  return { ...looked, tookMs: performance.now() - startedAt };
}

async function know(paths: readonly string[]): Promise<KnownFiles> {
  const known = { optimizer: false, random: false, problem: null as string | null };
  const add = (more: KnownFiles) => {
    known.optimizer ||= more.optimizer;
    known.random ||= more.random;
    known.problem ??= more.problem;
  };
  for (const path of paths) {
    add(knownBy([path.slice(path.lastIndexOf('/') + 1)], null));
    add(await knownIn(path));
  }
  return known;
}

async function knownIn(path: string): Promise<KnownFiles> {
  try {
    const { file, stat } = openRegular(path);
    try {
      const bytes = Number(stat.size);
      // The script waits for the first look: what that does not need comes later.
      const { openFile } = await import('../formats/inspect.ts');
      const { inspection, close } = await openFile(inBlocks(readerOf(file), bytes), bytes, new Budget(NAMES_BYTES));
      close();
      const problem = inspection.isComplete ? null : 'its structure is too deep or too large';
      return knownBy(
        [...inspection.tensors, ...inspection.values].map(({ name }) => name),
        problem,
      );
    } finally {
      closeSync(file);
    }
  } catch (error) {
    // Files of other formats belong to a checkpoint as well, and tell what their names tell.
    if (error instanceof UnknownFormat) return knownBy([], null);
    return knownBy([], failureOf(error).problem);
  }
}
