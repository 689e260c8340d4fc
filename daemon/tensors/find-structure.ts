/** Asks an inspector process for the structure of a stored file; this thread reads the file for it. */
import { parentPort } from 'node:worker_threads';
import type { StructuredTensor } from '../../inspector/requests.ts';
import type { FindStructure, FoundStructure } from './content.ts';
import type { ContentAnswer, ContentMessage } from './requests.ts';
import type { StoredFile } from './stored-file.ts';

let count = 0;

/** Finds a file's structure. Handles one file at a time. */
export const findStructure: FindStructure = (file, note) => {
  const id = ++count;
  const tensors: StructuredTensor[] = [];
  return new Promise<FoundStructure | null>((resolve, reject) => {
    const end = (settle: () => void) => {
      parentPort!.off('message', onAnswer);
      settle();
    };
    const onAnswer = (answer: ContentAnswer) => {
      if (answer.id !== id) return;
      switch (answer.type) {
        case 'read':
          try {
            // A copy: a read's bytes are only valid until the next read.
            send({ type: 'bytes', id, bytes: Uint8Array.from(file.read(answer.offset, answer.length)) });
          } catch (error) {
            // The store's own error: the checkpoint cannot be read at all.
            send({ type: 'noBytes', id, problem: (error as Error).message });
            end(() => reject(error));
          }
          break;
        case 'tensors':
          for (const tensor of answer.tensors) tensors.push(tensor);
          break;
        case 'structure':
          end(() => resolve({ structure: answer.structure, tensors, unpacked: answer.unpacked }));
          break;
        case 'problem':
          end(() => {
            note(answer.problem);
            resolve(null);
          });
          break;
      }
    };
    parentPort!.on('message', onAnswer);
    send({ type: 'look', id, bytes: (file satisfies StoredFile).bytes });
  });
};

function send(message: ContentMessage): void {
  parentPort!.postMessage(message);
}
