/** Finds the source of an export: a checkpoint, or a run's newest one and its metrics. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { findSide, runAtCheckpoint, type SideContext } from '../diff/operands.ts';
import { readConfig } from '../runs/config.ts';
import type { ProjectContext } from '../runs/context.ts';
import type { ContentWorkers } from '../tensors/client.ts';
import type { ExportSource } from './formats.ts';

export interface ExportContext extends ProjectContext, SideContext {
  /** Workers that read stored tensors. */
  contentWorkers: ContentWorkers;
  /** Rejects with `untrusted`; call it before code of the project runs. */
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

/**
 * Finds the run's job. Null: the run has none, `trainstash.json` no longer has it, or the file has a mistake: formats
 * that need no job work without.
 */
export function jobOf({ place }: Pick<ExportContext, 'place'>, run: Run): JobConfig | null {
  try {
    return readConfig(place.root).jobs.get(run.job) ?? null;
  } catch (error) {
    if (isError(error, 'configInvalid')) return null;
    throw error;
  }
}
