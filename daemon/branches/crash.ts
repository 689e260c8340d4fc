/**
 * Crash point for tests: the process kills itself at the n-th durable step of moving files, as a power cut would. The
 * state after a crash is the hardest part of a switch, and no test from outside hits each of its steps.
 */
let stepsLeft = Number(process.env.TRAINSTASH_CRASH_AT_STEP ?? 0);

export function durableStep(): void {
  if (stepsLeft > 0 && --stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
}
