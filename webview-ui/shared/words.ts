/** Formats shares, params and counts for people, with numbers as on the command line. */
import { integer, metric } from '../../protocol/words.ts';

export function percent(share: number): string {
  return `${metric(share * 100)} %`;
}

export function param(one: unknown): string {
  return typeof one === 'string' ? one : JSON.stringify(one);
}

/** Returns a text that only this value has: `1` and `"1"`, `true` and `"true"`. Undefined: there is none. */
export function distinct(one: unknown): string {
  if (one === undefined) return 'none';
  if (typeof one !== 'string') return JSON.stringify(one);
  return one === 'none' || readsOtherwise(one) ? JSON.stringify(one) : one;
}

function readsOtherwise(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    // Lists are texts already.
    return typeof value !== 'object' || value === null;
  } catch {
    return false;
  }
}

/** Returns `1 differs`, `3 differ`. */
export function differ(count: number): string {
  return count === 1 ? '1 differs' : `${integer(count)} differ`;
}
