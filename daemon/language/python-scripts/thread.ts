/** Thread that reads Python scripts: a large one takes a second, and the daemon has other things to do. */
import { parentPort } from 'node:worker_threads';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { type LookedAt, lookAtScript } from './python.ts';

export interface LookRequest {
  id: number;
  text: string;
}

export type LookAnswer = { id: number; found: LookedAt } | { id: number; failed: string };

parentPort!.on('message', ({ id, text }: LookRequest) => {
  parentPort!.postMessage(answerOf(id, text));
});

function answerOf(id: number, text: string): LookAnswer {
  try {
    return { id, found: lookAtScript(TextDocument.create('', 'python', 0, text)) };
  } catch (error) {
    return { id, failed: (error as Error).stack ?? String(error) };
  }
}
