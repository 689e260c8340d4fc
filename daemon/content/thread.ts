/**
 * Entry of the thread that works on the tensors of stored checkpoints: `workerData` is a ContentSetup. A thread, since it
 * computes for seconds, reads files of anybody, and is ended when nobody waits for it any more.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../protocol/errors.ts';
import { compareContents } from './compare.ts';
import { openContent } from './content.ts';
import type { CompareRequest, ContentMessage, ContentResult, ContentSetup } from './requests.ts';
import { StoreReader } from './stored-file.ts';

const PROGRESS_MS = 100;

const { port, signal, request } = workerData as ContentSetup;
const reader = new StoreReader(port, signal);
let saidAt = 0;

try {
  say({ type: 'done', result: await compare(request) });
} catch (error) {
  say({ type: 'failed', error: toWire(error) });
} finally {
  reader.close();
}

async function compare({ checkpoints, mapping }: CompareRequest): Promise<ContentResult> {
  const first = await openContent(reader, checkpoints[0]);
  const second = await openContent(reader, checkpoints[1]);
  try {
    return compareContents(first, second, mapping, progress);
  } finally {
    first.close();
    second.close();
  }
}

function progress(done: number, total: number): void {
  const now = performance.now();
  if (now - saidAt < PROGRESS_MS) return;
  saidAt = now;
  say({ type: 'progress', done, total });
}

function say(message: ContentMessage): void {
  parentPort!.postMessage(message);
}
