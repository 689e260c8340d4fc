/** The side of one backend in the benchmark: steps on request. Input lines: `NAME STEPS`; output: seconds. */
import { createInterface } from 'node:readline';
import { startBackend } from '../trainer/backends/start.ts';
import { type ModelName, type Stepper, stepper } from './backend-models.ts';

const [backend, threads, from] = process.argv.slice(2) as [string, string, string | undefined];
const { environment } = await startBackend(backend, { from: from || null, threads: Number(threads) });
const made = new Map<string, Stepper>();

console.log(JSON.stringify(environment));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, steps] = line.split(' ') as [ModelName, string];
  const own = made.get(name) ?? stepper(name);
  made.set(name, own);
  const started = performance.now();
  for (let i = 0; i < Number(steps); i++) await own.step();
  console.log((performance.now() - started) / 1000);
}
process.exit();
