/** Inspects a checkpoint file for a client. */
import { stat } from 'node:fs/promises';
import type { FileInspection, InspectionCursor } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { InspectionFailed } from './child.ts';
import { type InspectorPool, URGENT } from './pool.ts';
import { LIST_LIMITS, type ListRequest, statisticsLimits, WHOLE_LIMITS, type WholeRequest } from './requests.ts';

/** Number of tries for a file that is being written, before an error. */
const TRIES = 3;

export interface InspectOptions {
  path: string;
  statistics?: boolean;
  /** Part of names, case-insensitive. */
  filter?: string;
  /** Number of tensors on the page. */
  limit?: number;
  after?: InspectionCursor;
}

/** Inspects a file for `who`: requests of others are served in between. Rejects with `fileUnreadable`, `cancelled`. */
export async function inspect(
  pool: InspectorPool,
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
      if (!(error instanceof InspectionFailed)) throw error;
      if (error.kind === 'cancelled') throw new TrainstashError('cancelled', 'Cancelled. Nothing was changed.', {});
      if (error.kind === 'changed' && !after && left > 1) continue;
      throw unreadable(path, error.message);
    }
  }
}

/** Returns the size of a file; infinity for a folder, whose shards are read as well. */
async function bytesAt(path: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ? Number.POSITIVE_INFINITY : (found?.size ?? 0);
}

/** Tells whether a file is complete. True as well where its structure cannot be checked: it is then taken as it is. */
export async function isWholeFile(pool: InspectorPool, file: WholeRequest['files'][number]): Promise<boolean> {
  const request: WholeRequest = { do: 'whole', files: [file] };
  try {
    return (await pool.ask<number | null>(URGENT, '', { request, limits: WHOLE_LIMITS })) === null;
  } catch (error) {
    if (error instanceof InspectionFailed) return error.kind !== 'cancelled';
    throw error;
  }
}

function unreadable(path: string, problem: string): TrainstashError {
  return new TrainstashError('fileUnreadable', `${path} cannot be read: ${problem}. No code in it was run.`, {
    path,
    problem,
  });
}
