/** Looks into checkpoint files in a thread that may be as stupid as the file: bounded in memory and in time. */
import { Worker } from 'node:worker_threads';
import type { FileInspection } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import type { InspectAnswer, InspectRequest } from './formats/inspect-thread.ts';

const LIST_MS = 20_000;
/** Statistics read every byte. */
const STATISTICS_MS = 600_000;
const MEMORY_MB = 1_024;
const TRIES = 3;

/** Throws `fileUnreadable`. */
export async function inspect(entry: URL, path: string, statistics: boolean): Promise<FileInspection> {
  for (let left = TRIES; ; left--) {
    const answer = await ask(entry, { path, statistics });
    if ('inspection' in answer) return answer.inspection;
    if (answer.changed && left > 1) continue;
    throw unreadable(path, answer.problem);
  }
}

function ask(entry: URL, request: InspectRequest): Promise<InspectAnswer> {
  return new Promise((resolve, reject) => {
    const limits = { maxOldGenerationSizeMb: MEMORY_MB, maxYoungGenerationSizeMb: 64 };
    const worker = new Worker(entry, {
      workerData: request,
      resourceLimits: limits,
      env: {},
      stdout: true,
      stderr: true,
    });
    const end = (settle: () => void) => {
      clearTimeout(timer);
      void worker.terminate();
      settle();
    };
    const tooLong = unreadable(request.path, 'it takes too long to be read');
    const timer = setTimeout(() => end(() => reject(tooLong)), request.statistics ? STATISTICS_MS : LIST_MS);
    worker.once('message', (answer: InspectAnswer) => end(() => resolve(answer)));
    worker.once('error', (error: NodeJS.ErrnoException) =>
      end(() =>
        reject(
          error.code === 'ERR_WORKER_OUT_OF_MEMORY'
            ? unreadable(request.path, `reading it takes more than ${MEMORY_MB} MB of memory`)
            : unreadable(request.path, error.message),
        ),
      ),
    );
  });
}

function unreadable(path: string, problem: string): TrainstashError {
  return new TrainstashError('fileUnreadable', `${path} cannot be read: ${problem}. Nothing of it was run.`, {
    path,
    problem,
  });
}
