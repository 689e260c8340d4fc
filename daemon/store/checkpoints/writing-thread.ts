/** Entry of the thread that writes restored files. */
import { parentPort } from 'node:worker_threads';
import { writeAll } from '../../../base/files.ts';
import { WRITE_BYTES } from './write-size.ts';

export interface WriteRequest {
  file: number;
  bytes: Uint8Array<ArrayBuffer>;
  at: number;
}

/** Reply to the oldest request without one. */
export interface WrittenReply {
  error: { message: string; code: string | null } | null;
}

parentPort!.on('message', ({ file, bytes, at }: WriteRequest) => {
  const answer = (reply: WrittenReply) => parentPort!.postMessage(reply);
  try {
    writeAll(file, bytes, at, WRITE_BYTES);
    answer({ error: null });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    answer({ error: { message, code: code ?? null } });
  }
  // Now, so that the store worker's next read can reuse it.
  bytes.buffer.transfer(0);
});
