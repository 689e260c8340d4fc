/**
 * TensorFlow's own library, as pip installs it, under our copy of TensorFlow.js: our build of tfjs-node's binding
 * (native/tensorflow) and its kernels. The process was started with the library's folder in LD_LIBRARY_PATH.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import type { KernelBackend } from '@tensorflow/tfjs-core';
import { installNativeLstm } from '../kernels/lstm-native.ts';
import { tf, tfDirectory } from '../tf.ts';
import { type Backend, type BackendOptions, commonEnvironment, processorName, unavailable } from './backend.ts';
import { hostMemory, nameFailures } from './native-kernels.ts';

/** Name that the kernels are registered under. */
const REGISTERED = 'tensorflow';
/** The wheels that bring CUDA, by their `dist-info` folders. */
const CUDA_WHEELS = { cuda: /^nvidia_cuda_runtime/, cudnn: /^nvidia_cudnn/ };

interface Binding {
  TF_Version: string;
  isUsingGpuDevice(): boolean;
}

export async function startTensorflow({ from }: BackendOptions): Promise<Backend> {
  const name = 'tensorflow';
  if (from === null) throw unavailable(name, 'no Python here has TensorFlow');
  if (process.versions.electron)
    throw unavailable(name, 'VS Code’s own Node forbids its buffers; put a Node 22.15 or newer on your PATH');
  const path = join(tfDirectory, 'native', `${process.platform}-${process.arch}.node`);
  if (!existsSync(path)) throw unavailable(name, `there is no binding for ${process.platform}-${process.arch}`);
  const require = createRequire(import.meta.url);
  let binding: Binding;
  try {
    binding = require(path) as Binding;
  } catch (error) {
    // The loader's own sentence names the library or the symbol that is missing.
    throw unavailable(name, `the library in ${from} cannot be loaded (${firstLine(error)})`);
  }
  const { NodeJSKernelBackend } = require(join(tfDirectory, 'tf-native.cjs')) as {
    NodeJSKernelBackend: new (binding: Binding, packageName: string) => KernelBackend;
  };
  tf.registerBackend(REGISTERED, () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu'), 3);
  if (!(await tf.setBackend(REGISTERED))) throw unavailable(name, 'its library was loaded and starts no backend');
  await tf.ready();
  const onGpu = binding.isUsingGpuDevice();
  if (!onGpu) installNativeLstm(REGISTERED);
  nameFailures(name, REGISTERED);
  return {
    name,
    environment: {
      ...commonEnvironment(onGpu ? gpuName() : processorName()),
      backend: name,
      library: `TensorFlow ${binding.TF_Version}`,
      ...(onGpu ? cudaVersions(dirname(from)) : {}),
      threads: process.env.TF_NUM_INTRAOP_THREADS ?? String(availableParallelism()),
      flags: flags(),
    },
    memory: hostMemory(),
  };
}

/** Lists the settings that change bits, in the form of the variables that set them. */
function flags(): string {
  const names = ['TF_DETERMINISTIC_OPS', 'TF_ENABLE_ONEDNN_OPTS', 'TF_CUDNN_DETERMINISTIC', 'NVIDIA_TF32_OVERRIDE'];
  return names.flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}`] : [])).join(' ');
}

/** Returns the model in the NVIDIA driver's own list of devices. */
function gpuName(): string {
  const root = '/proc/driver/nvidia/gpus';
  try {
    const [first] = readdirSync(root).sort();
    const model = /^Model:\s*(.+)$/m.exec(readFileSync(join(root, first!, 'information'), 'utf8'))?.[1];
    return model ?? 'GPU';
  } catch {
    return 'GPU';
  }
}

function cudaVersions(packages: string): Record<string, string> {
  const names = readdirSync(packages);
  return Object.fromEntries(
    Object.entries(CUDA_WHEELS).flatMap(([what, wheel]) => {
      const found = names.find((name) => wheel.test(name) && name.endsWith('.dist-info'));
      return found ? [[what, found.replace(/^.*-(.+)\.dist-info$/, '$1')]] : [];
    }),
  );
}

function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0]!.trim();
}
