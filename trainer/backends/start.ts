import { unknownBackend } from '../../protocol/backends.ts';
import type { Backend, BackendOptions } from './backend.ts';
import { startCpu } from './cpu.ts';
import { startNative } from './native.ts';
import { startTensorflow } from './tensorflow.ts';
import { startWasm } from './wasm.ts';
import { startWebgpu } from './webgpu.ts';

/** Starts a backend. `auto` is normally decided before a trainer starts; otherwise it means wasm. */
export async function startBackend(wanted: string, options: BackendOptions): Promise<Backend> {
  switch (wanted) {
    case 'auto':
    case 'wasm':
      return startWasm(options.threads);
    case 'cpu':
      return startCpu();
    case 'webgpu':
      return startWebgpu(options);
    case 'tensorflow':
      return startTensorflow(options);
    case 'tfjs-node':
    case 'tfjs-node-gpu':
      return startNative(wanted, options);
    default:
      throw unknownBackend(wanted);
  }
}
