import { tf } from '../tf.ts';
import { type Backend, commonEnvironment, processorName } from './backend.ts';

/** Starts plain JavaScript, with which the other backends are compared. */
export async function startCpu(): Promise<Backend> {
  await tf.setBackend('cpu');
  await tf.ready();
  return {
    name: 'cpu',
    environment: { ...commonEnvironment(processorName()), backend: 'cpu', threads: '1' },
    memory: {
      kind: 'host',
      bytes: (tensor) => {
        // dataSync returns the tensor's own array here, not a copy.
        const values = tensor.dataSync() as Float32Array;
        return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      },
    },
  };
}
