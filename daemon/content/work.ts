/** Has a thread of its own work on stored checkpoints: bounded in memory, ended when it is not wanted any more. */
import { MessageChannel, Worker } from 'node:worker_threads';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import type { Store } from '../store/client.ts';
import type { ContentMessage, ContentRequest, ContentResults, ContentSetup } from './requests.ts';

const MEMORY_MB = 2_048;

export interface Watcher {
  /** Aborted: the thread is ended, and the promise rejects with `cancelled`. */
  signal: AbortSignal;
  progress(done: number, total: number): void;
}

/** Rejects with `corrupted`, `fileUnreadable`, `cancelled`, and what the request says. */
export async function workOnContent<R extends ContentRequest>(
  entry: URL,
  store: Store,
  request: R,
  watcher: Watcher,
): Promise<ContentResults[R['do']]> {
  watcher.signal.throwIfAborted();
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(4));
  await store.serveReads({ port: port1, signal });
  const setup: ContentSetup = { port: port2, signal, request };
  const worker = new Worker(entry, {
    workerData: setup,
    transferList: [port2],
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB, maxYoungGenerationSizeMb: 64 },
    env: {},
    stdout: true,
    stderr: true,
  });
  const cancel = () => void worker.terminate();
  watcher.signal.addEventListener('abort', cancel, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      worker.on('message', (message: ContentMessage) => {
        if (message.type === 'progress') watcher.progress(message.done, message.total);
        // What was done before it could be ended is as unwanted.
        else if (watcher.signal.aborted) reject(cancelled());
        else if (message.type === 'done') resolve(message.result as ContentResults[R['do']]);
        else reject(explained(fromWire(message.error)));
      });
      worker.once('error', (error: NodeJS.ErrnoException) => reject(tooLarge(error)));
      worker.once('exit', () => reject(watcher.signal.aborted ? cancelled() : tooLarge(new Error('it has ended'))));
    });
  } finally {
    watcher.signal.removeEventListener('abort', cancel);
    await worker.terminate();
  }
}

export function cancelled(): TrainstashError {
  return new TrainstashError('cancelled', 'Cancelled. Nothing was changed.', {});
}

/** A chunk by its number tells nobody what to do. */
function explained(error: TrainstashError): TrainstashError {
  if (error.code !== 'corrupted') return error;
  return new TrainstashError(
    'corrupted',
    `The checkpoint cannot be read: ${error.message} Nothing was changed; \`trainstash fsck\` says which checkpoints are whole.`,
    error.data as { chunk?: string },
  );
}

function tooLarge(error: NodeJS.ErrnoException): TrainstashError {
  const problem =
    error.code === 'ERR_WORKER_OUT_OF_MEMORY'
      ? `its structure takes more than ${MEMORY_MB} MB of memory`
      : error.message;
  return new TrainstashError('fileUnreadable', `The checkpoint cannot be read: ${problem}. Nothing was changed.`, {
    path: '',
    problem,
  });
}
