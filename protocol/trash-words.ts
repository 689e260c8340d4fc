/** Describes what emptying the trash deletes for good, for the question on the command line and in the editor. */
import type { Trash } from './messages/store.ts';
import { bytes, counted, integer } from './words.ts';

const NAMED = 5;

/** Returns one line per kind; empty: the trash is empty. Names are as they are in the store. */
export function lossLines({ runs, checkpoints, stashes, counts, bytes: size }: Trash): string[] {
  const withRuns = runs.reduce((sum, run) => sum + run.checkpoints, 0);
  const single = counts.checkpoints - withRuns;
  const lines: string[] = [];
  if (counts.runs > 0)
    lines.push(
      `${counted(counts.runs, 'run')} and ${counted(withRuns, 'checkpoint')} of ${counts.runs === 1 ? 'it' : 'them'}: ${named(
        runs.map(({ name }) => name),
        counts.runs,
      )}`,
    );
  if (single > 0)
    lines.push(
      `${counted(single, 'checkpoint')} of other runs: ${named(
        checkpoints.map(({ run, step }) => `${run} at step ${integer(step)}`),
        single,
      )}`,
    );
  if (counts.checkpoints > 0) lines.push(`${bytes(size)} in total, before deduplication`);
  if (stashes.length > 0)
    lines.push(
      `${counted(stashes.length, 'dropped stash', 'dropped stashes')}: ${named(
        stashes.map(({ branch, files }) => `${counted(files, 'file')} of ${branch}`),
        stashes.length,
      )}`,
    );
  return lines;
}

function named(list: readonly string[], all: number): string {
  return `${list.slice(0, NAMED).join(', ')}${all > NAMED ? ', …' : ''}`;
}
