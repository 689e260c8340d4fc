/** What is exported: a checkpoint, or a run's newest one and its metrics. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { readConfig } from '../runs/config.ts';
import type { ProjectContext } from '../runs/context.ts';
import type { ExportSource } from './formats.ts';

export interface ExportContext extends ProjectContext {
  /** Bundle of the thread that reads stored tensors. */
  contentThread: URL;
  /** By `RUN@STEP`, or a checkpoint's id. */
  findCheckpoint(query: string): Promise<Checkpoint>;
  /** Rejects with `untrusted`: before code of the project is run. */
  requireTrust(): Promise<void>;
}

export async function findSource(context: ExportContext, query: string): Promise<ExportSource> {
  const { store } = context;
  const run = query.includes('@') ? null : await store.findRun(query).catch(ignoreMissing);
  const checkpoint = run
    ? ((run.lastCheckpoint && (await store.checkpoint(run.lastCheckpoint.id))) ?? null)
    : await context.findCheckpoint(query);
  const owner = run ?? (await store.run(checkpoint!.run))!;
  const facts = checkpoint && (await store.checkpointFacts(checkpoint.id));
  return {
    run: owner,
    checkpoint,
    files: facts?.files.map(({ name }) => name) ?? [],
    endsEpoch: facts?.checkpoint.batch === 0,
    commands: Object.keys(jobOf(context, owner)?.export ?? {}),
  };
}

/** Null: the run has none, or it is gone from `trainstash.json`. */
export function jobOf({ place }: Pick<ExportContext, 'place'>, run: Run): JobConfig | null {
  return readConfig(place.root).jobs.get(run.job) ?? null;
}

function ignoreMissing(error: unknown): null {
  if (error instanceof TrainstashError && error.code === 'notFound') return null;
  throw error;
}
