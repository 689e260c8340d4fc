/** "What is different between these?": runs, checkpoints, or the best runs of branches. Reads; changes nothing. */
import type { Diff, DiffSide } from '../../protocol/diff.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { codeChanges } from '../code/snapshot.ts';
import type { Store } from '../store/client.ts';
import { diffMetrics } from './curves.ts';
import { diffLineage } from './lineage.ts';
import { diffParams } from './params.ts';

export interface DiffContext {
  store: Store;
  /** The store's folder, with the code snapshots in it. */
  path: string;
  /** By `RUN`, `RUN@STEP`, or a checkpoint's id. */
  findCheckpoint(query: string): Promise<Checkpoint>;
}

interface Side {
  run: Run;
  checkpoint: Checkpoint | null;
}

/** `queries`: two or more; one `main..idea` stands for the best runs of two branches. */
export async function diff(context: DiffContext, queries: readonly string[]): Promise<Diff> {
  const sides = await Promise.all((await expand(context, queries)).map((query) => resolve(context, query)));
  if (sides.length < 2)
    throw new TrainstashError(
      'paramInvalid',
      'A diff needs two sides or more: `trainstash diff 3 4`, `diff main..idea`.',
      {
        param: 'sides',
        expected: 'two runs, checkpoints or branches',
      },
    );
  const { store, path } = context;
  const facts = await Promise.all(sides.map(({ checkpoint }) => checkpoint && store.checkpointFacts(checkpoint.id)));
  const series = await Promise.all(
    sides.map(({ run, checkpoint }) => store.queryMetrics(run.id, checkpoint ? { toStep: checkpoint.step } : {})),
  );
  const runs = sides.map(({ run }, i) => ({
    ...run,
    ...(facts[i] ? { params: facts[i].run.params, code: facts[i].run.code } : {}),
  }));
  const described = sides.map((side, i) => describe(side, runs[i]!));
  const digests = described.map(({ stateDigest }) => stateDigest);
  const environments = await Promise.all(
    sides.map(async (side, i) => facts[i]?.checkpoint.environment ?? (await environmentOf(store, side.run))),
  );
  const data = facts.map((fact) => fact?.checkpoint.data?.fingerprint ?? null);
  return {
    sides: described,
    params: diffParams(runs),
    metrics: diffMetrics(series),
    code: await diffCode(path, runs),
    environment: diffEnvironment(environments),
    data: new Set(data).size > 1 ? data : null,
    lineage: await diffLineage(
      sides.map((side, i) => ({ ...side, step: described[i]!.step })),
      { checkpoint: (id) => store.checkpoint(id) },
    ),
    sameState: digests.some((digest) => digest === null) ? null : new Set(digests).size === 1,
  };
}

async function expand({ store }: DiffContext, queries: readonly string[]): Promise<string[]> {
  if (queries.length !== 1 || !queries[0]!.includes('..')) return [...queries];
  const names = queries[0]!.split('..');
  return Promise.all(names.map(async (branch) => (await bestOfBranch(store, branch)).id));
}

/** Of the branch's runs the best by what they watch, else the newest. */
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
  const height = (run: Run) => {
    const summary = run.metrics[monitor.metric];
    return summary ? (monitor.mode === 'min' ? -summary.min : summary.max) : Number.NEGATIVE_INFINITY;
  };
  return runs.reduce((best, run) => (height(run) > height(best) ? run : best));
}

async function resolve({ store, findCheckpoint }: DiffContext, query: string): Promise<Side> {
  const run = query.includes('@') ? null : await store.findRun(query).catch(ignoreMissing);
  if (run) {
    const newest = run.lastCheckpoint && (await store.checkpoint(run.lastCheckpoint.id));
    return { run, checkpoint: newest ?? null };
  }
  const checkpoint = await findCheckpoint(query);
  return { run: (await store.run(checkpoint.run))!, checkpoint };
}

function ignoreMissing(error: unknown): null {
  if (error instanceof TrainstashError && error.code === 'notFound') return null;
  throw error;
}

function describe({ run, checkpoint }: Side, { branch, commit }: Run): DiffSide {
  const step = checkpoint?.step ?? run.step;
  return {
    label: `${run.name}@${step}`,
    run: run.id,
    branch,
    commit,
    checkpoint: checkpoint?.id ?? null,
    step,
    grade: checkpoint?.grade ?? null,
    stateDigest: checkpoint?.stateDigest ?? null,
  };
}

async function environmentOf(store: Store, run: Run): Promise<Record<string, string>> {
  return run.session ? ((await store.session(run.session))?.environment ?? {}) : {};
}

function diffEnvironment(sides: readonly Record<string, string>[]): Diff['environment'] {
  const names = [...new Set(sides.flatMap((side) => Object.keys(side)))].sort();
  return names.flatMap((name) => {
    const values = sides.map((side) => side[name] ?? null);
    return new Set(values).size > 1 ? [{ name, values }] : [];
  });
}

async function diffCode(store: string, runs: readonly Run[]): Promise<Diff['code']> {
  const [first, ...others] = runs;
  const files = await Promise.all(
    others.map(async ({ code }, i) => {
      if (!code || !first?.code) return [];
      return (await codeChanges(store, first.code, code)).map((change) => ({ ...change, side: i + 1 }));
    }),
  );
  return { kept: runs.map(({ code }) => code !== null), files: files.flat() };
}
