import { resolve } from 'node:path';
import { onTestFinished } from 'vitest';

(globalThis as { trainstashAfterTest?: typeof onTestFinished }).trainstashAfterTest = onTestFinished;
// Without threads: on a machine with more cores each test daemon would time them first.
process.env.TRAINSTASH_BACKENDS ??= 'webgpu,tfjs-node-gpu,tfjs-node,wasm,cpu';
// Tests in continuous integration, or in a pod, start trainings as a person at a desk does.
process.env.TRAINSTASH_ALLOCATION ??= 'none';
// Hundreds of daemons, trainers and command lines start: what one has compiled the next need not compile, a sixth of what they compute.
process.env.NODE_COMPILE_CACHE ??= resolve(import.meta.dirname, '../../.cache/compiled');
