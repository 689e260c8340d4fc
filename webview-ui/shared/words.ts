/** Formats shares, params and counts for people, with numbers as on the command line. */
import { integer, metric } from '../../protocol/words.ts';

export function percent(share: number): string {
  return `${metric(share * 100)} %`;
}

export function param(one: unknown): string {
  return typeof one === 'string' ? one : JSON.stringify(one);
}

/** Returns `1 differs`, `3 differ`. */
export function differ(count: number): string {
  return count === 1 ? '1 differs' : `${integer(count)} differ`;
}
