import { onTestFinished } from 'vitest';

(globalThis as { trainstashAfterTest?: typeof onTestFinished }).trainstashAfterTest = onTestFinished;
// Without threads: on a machine with more cores each test daemon would time them first.
process.env.TRAINSTASH_BACKENDS ??= 'webgpu,tfjs-node-gpu,tfjs-node,wasm,cpu';
