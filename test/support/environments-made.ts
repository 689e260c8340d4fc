import { readFileSync } from 'node:fs';
import { isAlive } from './daemon.ts';
import { until } from './folder.ts';

/** Waits until the environments of frameworks are made, which goes on beside other tests. Whoever asks for one waits first. */
export async function environmentsMade(): Promise<void> {
  const making = process.env.TRAINSTASH_TEST_MAKING;
  if (making === undefined) return;
  await until('the environments of frameworks are made', () => !isAlive(pidIn(making)), 1_800_000);
}

/** Returns the process that makes them; that of no process once the file is gone. */
function pidIn(making: string): number {
  try {
    return Number(readFileSync(making, 'utf8'));
  } catch {
    return Number.NaN;
  }
}
