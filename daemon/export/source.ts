/** What is exported: a checkpoint, or a run's newest one and its metrics. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import type { ContentWorkers } from '../content/work.ts';
import { findSide, runAtCheckpoint, type SideContext } from '../diff/sides.ts';
import { readConfig } from '../runs/config.ts';
import type { ProjectContext } from '../runs/context.ts';
import type { ExportSource } from './formats.ts';

export interface ExportContext extends ProjectContext, SideContext {
  /** Who reads stored tensors. */
  contentWorkers: ContentWorkers;
  /** Rejects with `untrusted`: before code of the project is run. */
  requireTrust(): Promise<void>;
}

export async function findSource(context: ExportContext, query: string): Promise<ExportSource> {
  const { run, checkpoint, isRun } = await findSide(context, query);
  const facts = checkpoint && (await context.store.checkpointFacts(checkpoint.id));
  return {
    run: runAtCheckpoint(run, facts),
    checkpoint,
    isRun,
    files: facts?.files.map(({ name }) => name) ?? [],
    endsEpoch: facts?.checkpoint.batch === 0,
    commands: Object.keys(jobOf(context, run)?.export ?? {}),
  };
}

/** Null: the run has none, or it is gone from `trainstash.json`, or that has a mistake: what needs no job goes on without. */
export function jobOf({ place }: Pick<ExportContext, 'place'>, run: Run): JobConfig | null {
  try {
    return readConfig(place.root).jobs.get(run.job) ?? null;
  } catch (error) {
    if (isError(error, 'configInvalid')) return null;
    throw error;
  }
}
