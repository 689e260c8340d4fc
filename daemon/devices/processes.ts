/** Tells which processes belong to a run: those that its runner has started. */
import { readFileSync } from 'node:fs';

const MAX_DEPTH = 64;

/** Tells whether one of `ancestors` has started the process, however indirectly. False where that cannot be seen. */
export function descendsFrom(pid: number, ancestors: ReadonlySet<number>): boolean {
  let next: number | null = pid;
  for (let depth = 0; next !== null && next > 1 && depth < MAX_DEPTH; depth++) {
    if (ancestors.has(next)) return true;
    next = parentOf(next);
  }
  return false;
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before may contain anything, also spaces and brackets.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return Number.isSafeInteger(parent) ? parent : null;
  } catch {
    return null;
  }
}
