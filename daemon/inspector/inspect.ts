/** Looks into a checkpoint file for a client. */
import { stat } from 'node:fs/promises';
import type { FileInspection, InspectionCursor } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { LookFailed } from './child.ts';
import { type LookingPool, URGENT } from './pool.ts';
import { LIST_LIMITS, type ListRequest, statisticsLimits, WHOLE_LIMITS, type WholeRequest } from './requests.ts';

/** A file that is being written is looked at so often before that is said. */
const TRIES = 3;

export interface InspectOptions {
  path: string;
  statistics?: boolean;
  /** Part of names, whatever its case. */
  filter?: string;
  /** Tensors on the page. */
  limit?: number;
  after?: InspectionCursor;
}

/** `who` asks: others have their turn in between. Rejects with `fileUnreadable`, `cancelled`. */
export async function inspect(
  pool: LookingPool,
  who: unknown,
  { path, statistics = false, filter = '', limit, after }: InspectOptions,
  signal?: AbortSignal,
): Promise<FileInspection> {
  const request: ListRequest = { do: 'list', path, statistics, filter, limit: limit ?? null, after: after ?? null };
  for (let left = TRIES; ; left--) {
    try {
      return await pool.ask<FileInspection>(who, path, {
        request,
        limits: statistics ? statisticsLimits(await bytesAt(path)) : LIST_LIMITS,
        signal,
      });
    } catch (error) {
      if (!(error instanceof LookFailed)) throw error;
      if (error.kind === 'cancelled') throw new TrainstashError('cancelled', 'Cancelled. Nothing was changed.', {});
      if (error.kind === 'changed' && !after && left > 1) continue;
      throw unreadable(path, error.message);
    }
  }
}

/** Of a folder the shards together are what is read. */
async function bytesAt(path: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ? Number.POSITIVE_INFINITY : (found?.size ?? 0);
}

/** Whether a file is complete. True as well where its structure cannot be looked at: then it is what it is. */
export async function isWholeFile(pool: LookingPool, file: WholeRequest['files'][number]): Promise<boolean> {
  const request: WholeRequest = { do: 'whole', files: [file] };
  try {
    return (await pool.ask<number | null>(URGENT, '', { request, limits: WHOLE_LIMITS })) === null;
  } catch (error) {
    if (error instanceof LookFailed) return error.kind !== 'cancelled';
    throw error;
  }
}

function unreadable(path: string, problem: string): TrainstashError {
  return new TrainstashError('fileUnreadable', `${path} cannot be read: ${problem}. Nothing of it was run.`, {
    path,
    problem,
  });
}
