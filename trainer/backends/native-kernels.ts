/** Shared parts of the backends on TensorFlow's library, whichever package brings the binding. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { BackendName } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { tf } from '../tf.ts';
import type { HostMemory } from './backend.ts';

/** TensorFlow's status for memory that cannot be had. The binding gives it in the text of a plain Error, and nowhere else. */
const RESOURCE_EXHAUSTED = /Invalid TF_Status: 8\b/;

/**
 * Makes each kernel's failure name the operation and say what to do. `registered` is the name that its kernels are
 * registered under.
 */
export function nameFailures(backend: BackendName, registered: string): void {
  for (const kernel of tf.getKernelsForBackend(registered)) {
    const { kernelName, kernelFunc } = kernel;
    tf.unregisterKernel(kernelName, registered);
    tf.registerKernel({
      ...kernel,
      kernelFunc(call) {
        try {
          return kernelFunc(call);
        } catch (error) {
          throw error instanceof TrainstashError ? error : failureOf(backend, kernelName, (error as Error).message);
        }
      },
    });
  }
}

function failureOf(
  backend: BackendName,
  kernel: string,
  message: string,
): TrainstashError<'deviceMemory'> | TrainstashError<'kernelUnsupported'> {
  const said = message
    .replace(/^Invalid TF_Status: \d+\s*(Message: )?/, '')
    .split('\n')[0]!
    .trim();
  if (RESOURCE_EXHAUSTED.test(message))
    return new TrainstashError(
      'deviceMemory',
      `${backend} has no memory left for ${kernel} (${said}). The newest checkpoint is safe: make the batch smaller, and \`trainstash resume\` goes on from it.`,
      { backend, kernel },
    );
  return new TrainstashError(
    'kernelUnsupported',
    `${backend} cannot compute ${kernel} as this model needs it: ${said}. Checkpoints up to here are kept; another backend may (\`--backend wasm\`).`,
    { backend, kernel },
  );
}

/** Reads tensors out of TensorFlow. Each read copies, so a tensor that is read in slices is copied once. */
export function hostMemory(): HostMemory {
  let last: { tensor: WeakRef<Tensor>; bytes: Uint8Array } | null = null;
  return {
    kind: 'host',
    bytes(tensor) {
      if (last?.tensor.deref() !== tensor) {
        const values = tensor.dataSync() as Float32Array;
        last = {
          tensor: new WeakRef(tensor),
          bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
        };
      }
      return last!.bytes;
    },
  };
}
