/** Finds what a user names on a remote: `box`, `box/7`, `box/7@best`. Pure. */
import type { Checkpoint } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { bestOf, newestGood } from '../store/maintenance/retention.ts';
import type { Fetched, FetchedCheckpoint, FetchedRun } from './fetched.ts';

const MIN_PREFIX = 4;

export interface RemoteTarget {
  remote: string;
  /** Absent: everything on the remote. */
  run?: string;
  /** Absent: all checkpoints of the run. */
  checkpoint?: string;
}

/** Parses a name. */
export function parseTarget(text: string): RemoteTarget {
  const [, remote = text, rest] = /^([^/]+)\/(.*)$/.exec(text) ?? [];
  if (!rest) return { remote };
  const at = rest.lastIndexOf('@');
  return at <= 0 ? { remote, run: rest } : { remote, run: rest.slice(0, at), checkpoint: rest.slice(at + 1) };
}

/** Finds a run by its number there, its name, `last`, or a prefix of its id. Throws `notFound` and `ambiguous`. */
export function findFetchedRun({ runs }: Fetched, remote: string, query: string): FetchedRun {
  const text = query.replace(/^#/, '');
  const numbered = runs.filter(({ run }) => String(run.number) === text);
  const found =
    numbered.length > 0
      ? numbered
      : runs.filter(
          ({ run }) => run.id === text || run.name === query || (text.length >= MIN_PREFIX && run.id.startsWith(text)),
        );
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new TrainstashError(
      'ambiguous',
      `${remote} has ${found.length} runs "${query}", from different machines. Use the id of one: ${found.map(({ run, machine }) => `${run.id} (${machine})`).join(', ')}.`,
      { what: 'run', query, matches: found.map(({ run }) => run.id) },
    );
  const newest = query === 'last' ? runs.toSorted((a, b) => b.run.createdAt - a.run.createdAt)[0] : undefined;
  if (newest) return newest;
  throw new TrainstashError(
    'notFound',
    `${remote} has no run "${query}". \`trainstash ls --remote ${remote}\` lists what it has.`,
    { what: 'run', query: `${remote}/${query}` },
  );
}

/** Finds a checkpoint by step, tag, `best`, `last`, or a prefix of its id. Throws `notFound`. */
export function findFetchedCheckpoint(
  { checkpoints }: Fetched,
  remote: string,
  { run }: FetchedRun,
  query: string,
): FetchedCheckpoint {
  const own = checkpoints.filter(({ checkpoint }) => checkpoint.run === run.id);
  const all = own.map(({ checkpoint }) => checkpoint).sort((a, b) => a.step - b.step || a.createdAt - b.createdAt);
  const found = chosen(all, query, run.monitor);
  const entry = own.find(({ checkpoint }) => checkpoint.id === found?.id);
  if (entry) return entry;
  const steps = all.slice(-5).map(({ step }) => step);
  const hint =
    steps.length > 0 ? ` Its newest steps there are ${steps.join(', ')}.` : ' None of its checkpoints is there.';
  throw new TrainstashError('notFound', `${run.name} on ${remote} has no checkpoint "${query}".${hint}`, {
    what: 'checkpoint',
    query: `${remote}/${run.number}@${query}`,
  });
}

function chosen(
  all: readonly Checkpoint[],
  query: string,
  monitor: FetchedRun['run']['monitor'],
): Checkpoint | undefined {
  if (query === 'last') return newestGood(all, monitor);
  if (query === 'best') return monitor ? bestOf(all, monitor) : undefined;
  const tagged = all.findLast(({ tags }) => tags.includes(query));
  if (tagged) return tagged;
  const stepped = /^\d+$/.test(query) ? all.findLast(({ step }) => step === Number(query)) : undefined;
  if (stepped) return stepped;
  const byId = query.length >= MIN_PREFIX ? all.filter(({ id }) => id.startsWith(query)) : [];
  return byId.length === 1 ? byId[0] : undefined;
}
