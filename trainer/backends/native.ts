/**
 * Starts `@tensorflow/tfjs-node-gpu` or `-node`: TensorFlow's own library, from the user's project, under the built-in
 * copy of TensorFlow.js.
 */
import { createRequire } from 'node:module';
import util from 'node:util';
import { installNativeLstm } from '../kernels/lstm-native.ts';
import { useBuiltInTensorflow } from '../module.ts';
import { tf } from '../tf.ts';
import { type Backend, type BackendOptions, commonEnvironment, processorName, unavailable } from './backend.ts';
import { hostMemory, nameFailures } from './native-kernels.ts';

type NativeName = 'tfjs-node-gpu' | 'tfjs-node';
/** Name under which the packages register the backend. */
const REGISTERED = 'tensorflow';

const NEEDS_GPU =
  'it runs, but not on a GPU: it was built for CUDA 11.2 with cuDNN 8.1, and finds them through LD_LIBRARY_PATH (libcudart.so.11.0)';

export async function startNative(name: NativeName, { from }: BackendOptions): Promise<Backend> {
  if (from === null) throw unavailable(name, `the npm package "@tensorflow/${name}" is not installed`);
  if (process.versions.electron)
    throw unavailable(name, 'VS Code’s own Node forbids its buffers; put a Node 22.15 or newer on your PATH');
  restoreRemovedHelpers();
  useBuiltInTensorflow();
  try {
    createRequire(import.meta.url)(from);
  } catch (error) {
    throw unavailable(name, loadProblem(error as Error, name));
  }
  if (!tf.findBackend(REGISTERED) || !(await tf.setBackend(REGISTERED)))
    throw unavailable(name, 'its package was loaded, but registered no backend');
  await tf.ready();
  const onGpu = (tf.backend() as unknown as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true;
  if (!onGpu) installNativeLstm(REGISTERED);
  nameFailures(name, REGISTERED);
  // Without its libraries TensorFlow continues on the processor, and reports that only on stderr.
  if (name === 'tfjs-node-gpu' && !onGpu) throw unavailable(name, NEEDS_GPU);
  const version = (createRequire(import.meta.url)(`${from}/package.json`) as { version: string }).version;
  return {
    name,
    environment: {
      ...commonEnvironment(onGpu ? 'GPU' : processorName()),
      backend: name,
      // The bits are those of the library: pip or a rebuild may change it under the same package.
      library: [`${name} ${version}`, ...libraryVersion()].join(', '),
    },
    memory: hostMemory(),
  };
}

function libraryVersion(): string[] {
  const { binding } = tf.backend() as unknown as { binding?: { TF_Version?: unknown } };
  return typeof binding?.TF_Version === 'string' ? [`TensorFlow ${binding.TF_Version}`] : [];
}

/** Restores functions that Node 23 removed and that the newest release (4.22.0) still calls. */
function restoreRemovedHelpers(): void {
  const helpers = util as unknown as Record<string, unknown>;
  helpers.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  helpers.isArray ??= Array.isArray;
}

function loadProblem({ message }: Error, name: NativeName): string {
  if (/native addon module|tfjs_binding/i.test(message))
    return `its library was not downloaded during the installation (npm may be configured to skip install scripts); \`npm rebuild @tensorflow/${name}\` downloads it`;
  if (/NODE_MODULE_VERSION|was compiled against/i.test(message)) return 'it was built for another Node version';
  return message.split('\n')[0]!.trim();
}
