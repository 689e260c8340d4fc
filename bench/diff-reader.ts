/** Entry of a thread that reads checkpoints from the store as the diff does, and discards them. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ReadPort } from '../daemon/store/checkpoints/read-port.ts';
import { StoreReader } from '../daemon/tensors/stored-file.ts';

const { port, signal, checkpoints } = workerData as ReadPort & { checkpoints: string[] };
const reader = new StoreReader(port, signal);
let bytes = 0;
for (const checkpoint of checkpoints) {
  for (const file of reader.open(checkpoint)) {
    file.expect([{ offset: 0, bytes: file.bytes }]);
    for (const piece of file.pieces(0, file.bytes, 1)) bytes += piece.length;
  }
}
reader.close();
parentPort!.postMessage(bytes);
