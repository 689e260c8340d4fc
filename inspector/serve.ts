/** Serves requests in the working thread, one at a time; the client reads the file for it. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { FormatError } from '../formats/format-error.ts';
import type { Read } from '../formats/window.ts';
import { failureOf } from './failure.ts';
import type { FromThread, ReadAnswer, ThreadSetup, ToThread } from './wire.ts';

export interface Client {
  /** Reads through the client. Sleeps until the bytes are there. */
  readRemotely: Read;
  /** Sends a part of the answer ahead. */
  part(part: unknown): void;
}

/** Serves requests with `answer`; a FormatError describes the problem with the file. */
export function serve(answer: (request: unknown, client: Client) => unknown): void {
  const { reads, signal } = workerData as ThreadSetup;
  const send = (message: FromThread) => parentPort!.postMessage(message);
  const awaited = (): ReadAnswer => {
    for (;;) {
      const seen = Atomics.load(signal, 0);
      const received = receiveMessageOnPort(reads);
      if (received) return received.message as ReadAnswer;
      Atomics.wait(signal, 0, seen);
    }
  };
  parentPort!.on('message', async ({ id, request }: ToThread) => {
    const readRemotely: Read = (offset, length) => {
      send({ say: 'read', id, offset, length });
      const received = awaited();
      if ('problem' in received) throw new FormatError(received.problem);
      return received.bytes;
    };
    try {
      const result = await answer(request, { readRemotely, part: (part) => send({ say: 'part', id, part }) });
      send({ say: 'done', id, result });
    } catch (error) {
      send({ say: 'failed', id, failure: failureOf(error) });
    }
  });
}
