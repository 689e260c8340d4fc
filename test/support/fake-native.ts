/** A fake of `@tensorflow/tfjs-node-gpu`, whose library cannot be fetched everywhere: plain JavaScript inside. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const WORKS = `
const util = require('util');
const tf = require('@tensorflow/tfjs');
const Cpu = tf.findBackend('cpu').constructor;
// The form that the real package has: compiled to ES5, its constructor calls the base without new.
const Base = tf.KernelBackend;
function Native() {
  const self = Base.call(this) || this;
  // A library of plain JavaScript inside.
  const cpu = new Cpu();
  for (let of = Cpu.prototype; of !== Object.prototype; of = Object.getPrototypeOf(of))
    for (const name of Object.getOwnPropertyNames(of))
      if (name !== 'constructor' && !Object.hasOwn(self, name)) Object.defineProperty(self, name, Object.getOwnPropertyDescriptor(of, name));
  for (const name of Object.keys(cpu)) self[name] = cpu[name];
  self.isUsingGpuDevice = true;
  return self;
}
Object.setPrototypeOf(Native, Base);
Native.prototype = Object.create(Base.prototype, { constructor: { value: Native } });
tf.registerBackend('tensorflow', () => new Native(), 3);
for (const kernel of tf.getKernelsForBackend('cpu'))
  tf.registerKernel({
    ...kernel,
    backendName: 'tensorflow',
    // Its kernels do this before each operation, with functions that Node 23 has removed.
    kernelFunc: (call) => (util.isNullOrUndefined(call) || !util.isArray([]) ? null : kernel.kernelFunc(call)),
  });
if (!tf.setBackend('tensorflow')) throw new Error('Could not initialize TensorFlow backend.');
`;

export const NATIVE_FAULTS = {
  works: WORKS,
  noGpu: WORKS.replace('isUsingGpuDevice = true', 'isUsingGpuDevice = false'),
  notFetched:
    'throw new Error("The Node.js native addon module (tfjs_binding.node) can not be found at path: lib/napi-v8/tfjs_binding.node.");',
  hangs: 'for (;;);',
  crashes: 'console.error("CUDA error: out of memory"); process.abort();',
  registersNothing: 'exports.version = "4.22.0";',
  wrong: `${WORKS}
tf.unregisterKernel('Tanh', 'tensorflow');
const relu = tf.getKernel('Relu', 'cpu').kernelFunc;
tf.registerKernel({ kernelName: 'Tanh', backendName: 'tensorflow', kernelFunc: relu });`,
} as const;

export function writeNativePackage(
  project: string,
  fault: keyof typeof NATIVE_FAULTS,
  name: 'tfjs-node-gpu' | 'tfjs-node' = 'tfjs-node-gpu',
): string {
  const folder = join(project, 'node_modules/@tensorflow', name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: `@tensorflow/${name}`, version: '4.22.0', main: 'index.js' }),
  );
  writeFileSync(join(folder, 'index.js'), NATIVE_FAULTS[fault]);
  return folder;
}
