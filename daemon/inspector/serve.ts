/** The side of the thread that works: takes requests, one at a time, and reads what whoever asked reads for it. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { FormatError } from '../formats/format-error.ts';
import type { Read } from '../formats/window.ts';
import { failureOf } from './failure.ts';
import type { FromThread, ReadAnswer, ThreadSetup, ToThread } from './wire.ts';

export interface Asking {
  /** Reads through whoever asked. Sleeps until the bytes are there. */
  readRemotely: Read;
  /** Sends a part of the answer ahead. */
  part(part: unknown): void;
}

/** `answer` is called for each request; a FormatError says what is wrong with the file. */
export function serve(answer: (request: unknown, asking: Asking) => unknown): void {
  const { reads, signal } = workerData as ThreadSetup;
  const say = (message: FromThread) => parentPort!.postMessage(message);
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
      say({ say: 'read', id, offset, length });
      const received = awaited();
      if ('problem' in received) throw new FormatError(received.problem);
      return received.bytes;
    };
    try {
      const result = await answer(request, { readRemotely, part: (part) => say({ say: 'part', id, part }) });
      say({ say: 'done', id, result });
    } catch (error) {
      say({ say: 'failed', id, failure: failureOf(error) });
    }
  });
}
