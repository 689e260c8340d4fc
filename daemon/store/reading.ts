/**
 * Gives the bytes of stored checkpoints to another thread, chunk by chunk, over a port of its own: nothing is written to a
 * disk, and the daemon's main thread is not on the way. What arrives there is verified.
 */
import type { MessagePort } from 'node:worker_threads';
import { toWire, type WireError } from '../../protocol/errors.ts';
import type { Coders } from './coders.ts';
import type { Objects, SavedFile } from './objects.ts';
import { damagedChunk } from './stack.ts';
import { verifiedBytes } from './verified.ts';

/** `signal` is raised by one for each reply, for a thread that sleeps until then. */
export interface ReadPort {
  port: MessagePort;
  signal: Int32Array<SharedArrayBuffer>;
}

export type ReadRequest = { id: number; open: string } | { id: number; chunk: number };
export type ReadReply = { id: number; files: StoredFileChunks[] } | { id: number; bytes: Uint8Array } | FailedRead;
export interface FailedRead {
  id: number;
  error: WireError;
}

/** A file of a checkpoint as what it is put together from, in order. */
export interface StoredFileChunks {
  name: string;
  bytes: number;
  chunks: { id: number; size: number; hash: Uint8Array }[];
}

/** Serves until the port is closed. What was opened is held meanwhile: no sweep takes it away. */
export function serveReads(objects: Objects, coders: Coders, { port, signal }: ReadPort): void {
  const save = objects.beginSave();
  const answer = (reply: ReadReply, transfer: ArrayBuffer[] = []) => {
    port.postMessage(reply, transfer);
    Atomics.add(signal, 0, 1);
    Atomics.notify(signal, 0);
  };
  port.on('message', async (request: ReadRequest) => {
    try {
      if ('open' in request) answer({ id: request.id, files: openSaved(objects, save, request.open) });
      else {
        const bytes = await verifiedBytes(coders, request.chunk, objects.stack(request.chunk));
        answer({ id: request.id, bytes }, [bytes.buffer]);
      }
    } catch (error) {
      answer({ id: request.id, error: toWire(error) });
    }
  });
  port.on('close', () => objects.endSave(save));
}

function openSaved(objects: Objects, save: ReturnType<Objects['beginSave']>, id: string): StoredFileChunks[] {
  const row = objects.saved(id);
  if (!row) throw damagedChunk(0, `there is no checkpoint ${id}`);
  const { files } = JSON.parse(row.body) as { files: SavedFile[] };
  const chunks = objects.describeChunks(row.seq);
  objects.holdChunks(
    save,
    chunks.map((chunk) => chunk.id),
  );
  let from = 0;
  return files.map((file) => {
    const own = chunks.slice(from, from + file.chunks);
    from += file.chunks;
    return { name: file.name, bytes: file.bytes, chunks: own };
  });
}
