/** Finds the sides of a diff: runs, checkpoints, or the best runs of branches. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { isBetter } from '../../protocol/numbers.ts';
import type { CheckpointBody } from '../store/checkpoints/body.ts';
import type { Store } from '../store/client.ts';

export interface SideContext {
  store: Store;
  /** Finds a checkpoint by `RUN@STEP` or its id. */
  findCheckpoint(query: string): Promise<Checkpoint>;
}

export interface Side {
  run: Run;
  /** Checkpoint of the side; for a run its newest; null: it has none. */
  checkpoint: Checkpoint | null;
  /** True if the query named the run. */
  isRun: boolean;
}

/** Finds the sides that `queries` name: two or more; one `main..idea` stands for the best runs of two branches. */
export async function findSides(context: SideContext, queries: readonly string[]): Promise<Side[]> {
  const sides = await Promise.all((await expand(context, queries)).map((query) => findSide(context, query)));
  if (sides.length >= 2) return sides;
  throw new TrainstashError(
    'paramInvalid',
    'A diff needs two sides or more: `trainstash diff 3 4`, `diff main..idea`.',
    { param: 'sides', expected: 'two runs, checkpoints or branches' },
  );
}

export function stepOf({ run, checkpoint }: Side): number {
  return checkpoint?.step ?? run.step;
}

export function labelOf(side: Side): string {
  return `${side.run.name}@${stepOf(side)}`;
}

async function expand({ store }: SideContext, queries: readonly string[]): Promise<string[]> {
  if (queries.length !== 1 || !queries[0]!.includes('..')) return [...queries];
  const names = queries[0]!.split('..');
  return Promise.all(names.map(async (branch) => (await bestOfBranch(store, branch)).id));
}

/** Finds the branch's best run by its monitored metric, else its newest. */
async function bestOfBranch(store: Store, branch: string): Promise<Run> {
  const { runs } = await store.runs({ branch, drafts: false, trashed: false, before: null, limit: 1_000 });
  const [newest] = runs;
  if (!newest)
    throw new TrainstashError(
      'notFound',
      `There are no runs of ${branch}. \`trainstash ls --all\` shows those of all branches.`,
      {
        what: 'branch',
        query: branch,
      },
    );
  const { monitor } = newest;
  if (!monitor) return newest;
  const score = (run: Run) => {
    const summary = run.metrics[monitor.metric];
    return summary ? summary[monitor.mode] : null;
  };
  const better = (run: Run, best: Run) => isBetter(monitor.mode, score(run) ?? Number.NaN, score(best));
  return runs.reduce((best, run) => (better(run, best) ? run : best));
}

/** Finds the run and checkpoint of one query; for a run its newest checkpoint. Rejects with `notFound`. */
export async function findSide({ store, findCheckpoint }: SideContext, query: string): Promise<Side> {
  const run = query.includes('@') ? null : await store.findRun(query).catch(ignoreMissing);
  if (run) {
    // Diverged states count, too: a diff should show what went wrong.
    const newest = (await store.checkpoints(run.id)).at(-1);
    return { run, checkpoint: newest ?? null, isRun: true };
  }
  const checkpoint = await findCheckpoint(query);
  return { run: await store.requireRun(checkpoint.run), checkpoint, isRun: false };
}

/**
 * Returns the run as it was when its checkpoint was made: later sessions may have changed its params and run other
 * code.
 */
export function runAtCheckpoint(run: Run, facts: CheckpointBody | null): Run {
  if (!facts) return run;
  const { params, code, branch, commit, dirty } = facts.run;
  return { ...run, params, code, branch, commit, dirty };
}

function ignoreMissing(error: unknown): null {
  if (error instanceof TrainstashError && error.code === 'notFound') return null;
  throw error;
}
