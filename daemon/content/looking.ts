/** Asks what is in a stored file: it is found out in a process of its own, for which this thread reads. */
import { parentPort } from 'node:worker_threads';
import type { StructuredTensor } from '../inspector/requests.ts';
import type { FindStructure, FoundStructure } from './content.ts';
import type { ContentAnswer, ContentMessage } from './requests.ts';
import type { StoredFile } from './stored-file.ts';

let count = 0;

/** One file at a time. */
export const findStructure: FindStructure = (file, note) => {
  const id = ++count;
  const tensors: StructuredTensor[] = [];
  return new Promise<FoundStructure | null>((resolve, reject) => {
    const end = (settle: () => void) => {
      parentPort!.off('message', take);
      settle();
    };
    const take = (answer: ContentAnswer) => {
      if (answer.id !== id) return;
      switch (answer.type) {
        case 'read':
          try {
            // A copy: what is read is valid until the next read only.
            say({ type: 'bytes', id, bytes: Uint8Array.from(file.read(answer.offset, answer.length)) });
          } catch (error) {
            // The store's own: the checkpoint cannot be read at all.
            say({ type: 'noBytes', id, problem: (error as Error).message });
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
    parentPort!.on('message', take);
    say({ type: 'look', id, bytes: (file satisfies StoredFile).bytes });
  });
};

function say(message: ContentMessage): void {
  parentPort!.postMessage(message);
}
