/** Compares runs, checkpoints, or the best runs of branches. Changes nothing. */
import type { CodeSince, CurveAxis, Diff, DiffSide, FactDiff } from '../../protocol/diff.ts';
import type { Run } from '../../protocol/domain.ts';
import { codeHunks } from '../code/changes.ts';
import type { Store } from '../store/client.ts';
import { diffMetrics } from './curves.ts';
import { diffLineage } from './lineage.ts';
import { findSides, labelOf, runAtCheckpoint, type Side, type SideContext, stepOf } from './operands.ts';
import { diffParams } from './params.ts';

/** Limits that keep an answer within a message. */
const MAX_HUNK_CHARACTERS = 400_000;
const MAX_FILES = 1_000;
const MAX_METRICS = 400;

export interface DiffContext extends SideContext {
  /** Folder of the store, with the code snapshots in it. */
  path: string;
}

/** Compares the sides that `queries` name: two or more; one `main..idea` stands for the best runs of two branches. */
export async function diff(context: DiffContext, queries: readonly string[], axis: CurveAxis): Promise<Diff> {
  const sides = await findSides(context, queries);
  const { store, path } = context;
  const facts = await Promise.all(sides.map(({ checkpoint }) => checkpoint && store.checkpointFacts(checkpoint.id)));
  const series = await Promise.all(
    sides.map(({ run, checkpoint }) => store.queryMetrics(run.id, checkpoint ? { toStep: checkpoint.step } : {})),
  );
  const runs = sides.map(({ run }, i) => runAtCheckpoint(run, facts[i] ?? null));
  const described = sides.map((side, i) => describe(side, runs[i]!));
  const digests = described.map(({ stateDigest }) => stateDigest);
  const environments = await Promise.all(
    sides.map(async (side, i) => facts[i]?.checkpoint.environment ?? (await environmentOf(store, side.run))),
  );
  const data = facts.map((fact, i) => ({
    ...dataOf(fact?.checkpoint.data ?? null),
    seed: String(runs[i]!.seed),
  }));
  const metrics = diffMetrics(
    series.map((one, i) => ({ series: one, stepsPerEpoch: runs[i]!.stepsPerEpoch })),
    axis,
  );
  return {
    sides: described,
    params: diffParams(runs),
    axis,
    metrics: metrics.slice(0, MAX_METRICS),
    moreMetrics: Math.max(0, metrics.length - MAX_METRICS),
    code: await diffCode(path, runs),
    environment: diffFacts(environments),
    data: diffFacts(data),
    lineage: await diffLineage(
      sides.map((side, i) => ({ ...side, step: described[i]!.step })),
      store,
    ),
    sameState: digests.some((digest) => digest === null) ? null : new Set(digests).size === 1,
  };
}

function describe(side: Side, { branch, commit, code }: Run): DiffSide {
  const { run, checkpoint } = side;
  const step = stepOf(side);
  return {
    label: labelOf(side),
    run: run.id,
    branch,
    commit,
    code,
    checkpoint: checkpoint?.id ?? null,
    step,
    grade: checkpoint?.grade ?? null,
    stateDigest: checkpoint?.stateDigest ?? null,
  };
}

async function environmentOf(store: Store, run: Run): Promise<Record<string, string>> {
  return run.session ? ((await store.session(run.session))?.environment ?? {}) : {};
}

function dataOf(data: { fingerprint: string; samples: number | null } | null): Record<string, string> {
  if (!data) return {};
  return { fingerprint: data.fingerprint, ...(data.samples === null ? {} : { samples: String(data.samples) }) };
}

function diffFacts(sides: readonly Record<string, string>[]): FactDiff[] {
  const names = [...new Set(sides.flatMap((side) => Object.keys(side)))].sort();
  return names.flatMap((name) => {
    const values = sides.map((side) => side[name] ?? null);
    return new Set(values).size > 1 ? [{ name, values }] : [];
  });
}

/** Lists the files that differ between two code snapshots. */
export async function changedSince(
  store: string,
  then: string,
  now: string,
): Promise<Pick<CodeSince, 'files' | 'more'>> {
  const all = (await codeHunks(store, then, now, MAX_HUNK_CHARACTERS)).map((change) => ({ ...change, side: 1 }));
  return { files: all.slice(0, MAX_FILES), more: Math.max(0, all.length - MAX_FILES) };
}

async function diffCode(store: string, runs: readonly Run[]): Promise<Diff['code']> {
  const [first, ...others] = runs;
  const files = await Promise.all(
    others.map(async ({ code }, i) => {
      if (!code || !first?.code) return [];
      const limit = MAX_HUNK_CHARACTERS / others.length;
      return (await codeHunks(store, first.code, code, limit)).map((change) => ({ ...change, side: i + 1 }));
    }),
  );
  const all = files.flat();
  return {
    kept: runs.map(({ code }) => code !== null),
    files: all.slice(0, MAX_FILES),
    more: Math.max(0, all.length - MAX_FILES),
  };
}
