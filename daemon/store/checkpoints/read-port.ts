/**
 * Serves the bytes of stored checkpoints to another thread, chunk by chunk, over a separate port: nothing is written to
 * a disk, and the daemon's main thread is not involved. All bytes are verified.
 */
import type { MessagePort } from 'node:worker_threads';
import { toWire, type WireError } from '../../../protocol/errors.ts';
import { asStoreError } from '../failures.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Objects } from '../objects/objects.ts';
import { damagedChunk } from '../objects/stack.ts';
import { portableChunk, verifiedBytes } from '../objects/verified-read.ts';
import { type ChunkedFile, filesOf } from './writer.ts';

/** Port for reads; `signal` is raised by one for each reply, for a thread that sleeps until then. */
export interface ReadPort {
  port: MessagePort;
  signal: Int32Array<SharedArrayBuffer>;
}

/** Request to open a checkpoint, for the bytes of a chunk, or for a chunk in a form that another store takes. */
export type ReadRequest =
  | { id: number; open: string }
  | { id: number; chunk: number }
  | { id: number; portable: number };
export type ReadReply =
  | { id: number; files: ChunkedFile[] }
  | { id: number; bytes: Uint8Array }
  | { id: number; codec: number; data: Uint8Array }
  | FailedRead;
export interface FailedRead {
  id: number;
  error: WireError;
}

/** Serves until the port is closed. Holds opened checkpoints meanwhile, so that no sweep deletes them. */
export function serveReads(store: string, objects: Objects, coders: Coders, { port, signal }: ReadPort): void {
  const save = objects.beginSave();
  const answer = (reply: ReadReply, transfer: ArrayBuffer[] = []) => {
    port.postMessage(reply, transfer);
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  };
  port.on('message', async (request: ReadRequest) => {
    try {
      if ('open' in request) answer({ id: request.id, files: openSaved(objects, save, request.open) });
      else if ('portable' in request) {
        const { portable } = request;
        const chunk = await portableChunk(coders, portable, objects.stack(portable));
        answer({ id: request.id, ...chunk }, [chunk.data.buffer]);
      } else {
        const bytes = await verifiedBytes(coders, request.chunk, objects.stack(request.chunk));
        answer({ id: request.id, bytes }, [bytes.buffer]);
      }
    } catch (error) {
      answer({ id: request.id, error: toWire(asStoreError(error, store)) });
    }
  });
  port.on('close', () => objects.endSave(save));
}

function openSaved(objects: Objects, save: ReturnType<Objects['beginSave']>, id: string): ChunkedFile[] {
  const row = objects.saved(id);
  if (!row) throw damagedChunk(0, `there is no checkpoint ${id}`);
  const files = filesOf(objects, row);
  const ids = files.flatMap(({ chunks }) => chunks.map((chunk) => chunk.id));
  objects.holdChunks(save, ids);
  return files;
}
