/** What a test leaves to be done after it: by vitest in a test, by `runCleanups` in a program of its own. */
type Cleanup = () => void | Promise<void>;

const pending: Cleanup[] = [];

export function afterwards(work: Cleanup): void {
  const hook = (globalThis as { trainstashAfterTest?: (work: Cleanup) => void }).trainstashAfterTest;
  if (hook) hook(work);
  else pending.push(work);
}

/** Newest first, as tests do it. */
export async function runCleanups(): Promise<void> {
  for (let work = pending.pop(); work; work = pending.pop()) await work();
}
