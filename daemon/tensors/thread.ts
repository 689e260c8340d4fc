/**
 * Entry of the thread that works on the tensors of stored checkpoints: `workerData` is a ContentSetup. A thread, since
 * it computes for seconds and is terminated when nobody waits any more. It parses no file: it is told where tensors
 * are.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../protocol/errors.ts';
import { compareContents } from './compare.ts';
import { type Content, openContent } from './content.ts';
import { exportOriginal, exportTensors } from './export.ts';
import { findStructure } from './find-structure.ts';
import type { ContentMessage, ContentRequest, ContentResults, ContentSetup } from './requests.ts';
import { StoreReader } from './stored-file.ts';

const PROGRESS_MS = 100;

const { port, signal, request } = workerData as ContentSetup;
const reader = new StoreReader(port, signal);
/** Time of the last report; initially such that the first one is sent at once. */
let reportedAt = Number.NEGATIVE_INFINITY;

try {
  send({ type: 'done', result: await work() });
} catch (error) {
  send({ type: 'failed', error: toWire(error) });
} finally {
  reader.close();
}

async function work(): Promise<ContentResults[ContentRequest['do']]> {
  switch (request.do) {
    case 'compare':
      return withContents(request.checkpoints, ([first, second]) =>
        compareContents(first!, second!, request.mapping, progress),
      );
    case 'exportTensors':
      return withContents([request.checkpoint], ([content]) => exportTensors(content!, request, progress));
    case 'exportOriginal':
      return { files: await exportOriginal(reader.open(request.checkpoint), request.path, progress), notes: [] };
  }
}

async function withContents<T>(
  checkpoints: readonly string[],
  use: (contents: Content[]) => T | Promise<T>,
): Promise<T> {
  const contents: Content[] = [];
  try {
    for (const checkpoint of checkpoints) contents.push(await openContent(reader, checkpoint, findStructure));
    return await use(contents);
  } finally {
    for (const content of contents) content.close();
  }
}

function progress(done: number, total: number): void {
  const now = performance.now();
  if (now - reportedAt < PROGRESS_MS) return;
  reportedAt = now;
  send({ type: 'progress', done, total });
}

function send(message: ContentMessage): void {
  parentPort!.postMessage(message);
}
