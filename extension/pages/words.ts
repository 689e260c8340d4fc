/** Numbers for people, as the command line writes them. */
import { integer, metric } from '../../protocol/words.ts';

export function value(number: number): string {
  if (Number.isNaN(number)) return 'NaN';
  if (!Number.isFinite(number)) return number > 0 ? '∞' : '−∞';
  return metric(number);
}

export function percent(share: number): string {
  return `${metric(share * 100)} %`;
}

export function param(one: unknown): string {
  return typeof one === 'string' ? one : JSON.stringify(one);
}

/** `1 differs`, `3 differ`. */
export function differ(count: number): string {
  return count === 1 ? '1 differs' : `${integer(count)} differ`;
}
