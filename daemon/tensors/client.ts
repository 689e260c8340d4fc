/** Client of the tensor thread: bounded memory, terminated on cancel. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { InspectorPool } from '../../inspector/pool.ts';
import {
  STRUCTURE_LIMITS,
  type Structure,
  type StructuredTensor,
  type StructureRequest,
} from '../../inspector/requests.ts';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import type { Store } from '../store/client.ts';
import type { ContentAnswer, ContentMessage, ContentRequest, ContentResults, ContentSetup } from './requests.ts';

const MEMORY_MB = 2_048;

/** Workers for the tensors of stored checkpoints. */
export interface ContentWorkers {
  /** Bundle of the thread that computes. */
  thread: URL;
  /** Processes that find a file's structure. */
  looking: InspectorPool;
}

export interface Watcher {
  /** Signal to cancel: the thread is terminated, and the promise rejects with `cancelled`. */
  signal: AbortSignal;
  progress(done: number, total: number): void;
}

/**
 * Runs a request in a new thread. Rejects with `corrupted`, `fileUnreadable`, `cancelled`, and with the errors of the
 * request.
 */
export async function runContentRequest<R extends ContentRequest>(
  workers: ContentWorkers,
  store: Store,
  request: R,
  watcher: Watcher,
): Promise<ContentResults[R['do']]> {
  watcher.signal.throwIfAborted();
  const { port1, port2 } = new MessageChannel();
  const signal = new Int32Array(new SharedArrayBuffer(4));
  await store.serveReads({ port: port1, signal });
  const setup: ContentSetup = { port: port2, signal, request };
  const worker = new Worker(workers.thread, {
    workerData: setup,
    transferList: [port2],
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB, maxYoungGenerationSizeMb: 64 },
    env: {},
    stdout: true,
    stderr: true,
  });
  const relay = new InspectionRelay(worker, workers.looking);
  const cancel = () => void worker.terminate();
  watcher.signal.addEventListener('abort', cancel, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      worker.on('message', (message: ContentMessage) => {
        if (message.type === 'progress') watcher.progress(message.done, message.total);
        else if (message.type === 'look') void relay.look(message.id, message.bytes);
        else if (message.type === 'bytes' || message.type === 'noBytes') relay.receive(message);
        // A result that was ready before the thread could be terminated is just as unwanted.
        else if (watcher.signal.aborted) reject(cancelled());
        else if (message.type === 'done') resolve(message.result as ContentResults[R['do']]);
        else reject(withRemedy(fromWire(message.error)));
      });
      worker.once('error', (error: NodeJS.ErrnoException) => reject(tooLarge(error)));
      worker.once('exit', () => reject(watcher.signal.aborted ? cancelled() : tooLarge(new Error('it has ended'))));
    });
  } finally {
    watcher.signal.removeEventListener('abort', cancel);
    await worker.terminate();
    relay.close();
  }
}

export function cancelled(): TrainstashError {
  return new TrainstashError('cancelled', 'Cancelled. Nothing was changed.', {});
}

/** Relay between the thread that reads stored files and the process that parses them. */
class InspectionRelay {
  readonly #worker: Worker;
  readonly #pool: InspectorPool;
  readonly #over = new AbortController();
  /** Files that may have been created; the thread removes each as soon as it is open. */
  readonly #unpacked: string[] = [];
  #awaited: { resolve(bytes: Uint8Array): void; reject(error: Error): void } | null = null;

  constructor(worker: Worker, pool: InspectorPool) {
    this.#worker = worker;
    this.#pool = pool;
  }

  async look(id: number, bytes: number): Promise<void> {
    const unpacked = join(tmpdir(), `trainstash-open-${randomId()}`);
    this.#unpacked.push(unpacked);
    const request: StructureRequest = { do: 'structure', bytes, unpacked };
    try {
      const structure = await this.#pool.ask<Structure, StructuredTensor[]>(this, '', {
        request,
        limits: STRUCTURE_LIMITS,
        signal: this.#over.signal,
        read: (offset, length) => this.#read(id, offset, length),
        part: (tensors) => this.#send({ type: 'tensors', id, tensors }),
      });
      this.#send({ type: 'structure', id, structure, unpacked });
    } catch (error) {
      this.#send({ type: 'problem', id, problem: (error as Error).message });
    }
  }

  /** Receives bytes that the thread has read. */
  receive(message: Extract<ContentMessage, { type: 'bytes' | 'noBytes' }>): void {
    const awaited = this.#awaited;
    this.#awaited = null;
    if (message.type === 'bytes') awaited?.resolve(message.bytes);
    else awaited?.reject(new Error(message.problem));
  }

  /** Ends all work; call it when the thread has ended. */
  close(): void {
    this.#over.abort();
    for (const path of this.#unpacked) rmSync(path, { force: true });
  }

  #read(id: number, offset: number, length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#awaited = { resolve, reject };
      this.#send({ type: 'read', id, offset, length });
    });
  }

  #send(answer: ContentAnswer): void {
    if (!this.#over.signal.aborted) this.#worker.postMessage(answer);
  }
}

/** Adds to an error what to do: the number of a chunk alone tells nobody. */
function withRemedy(error: TrainstashError): TrainstashError {
  if (error.code !== 'corrupted') return error;
  return new TrainstashError(
    'corrupted',
    `The checkpoint cannot be read: ${error.message} Nothing was changed; \`trainstash fsck\` lists the intact checkpoints.`,
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
