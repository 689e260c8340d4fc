/** Work to be done after a test: by vitest in a test, by `runCleanups` in a standalone program. */
type Cleanup = () => void | Promise<void>;

const pending: Cleanup[] = [];

export function afterwards(work: Cleanup): void {
  const hook = (globalThis as { trainstashAfterTest?: (work: Cleanup) => void }).trainstashAfterTest;
  if (hook) hook(work);
  else pending.push(work);
}

/** Runs cleanups, the newest first, as tests do. */
export async function runCleanups(): Promise<void> {
  for (let work = pending.pop(); work; work = pending.pop()) await work();
}
