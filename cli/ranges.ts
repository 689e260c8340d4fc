/** Values of params for a sweep, as people type them. */
import type { ParamValue } from '../protocol/domain.ts';
import type { Range } from '../protocol/sweep.ts';
import { parseParams, UsageError } from './arguments.ts';

/** Two numbers that are not whole, or one that is missing. */
const NEARLY_INTEGERS = /^[-+\d.e]*\.\.[-+\d.e]*$/i;
const INTEGERS = /^(-?\d{1,15})\.\.(-?\d{1,15})$/;

/** Parses `lr=1e-3,3e-4`, `seed=1..5`, and `layers=[[64],[64,64]]`, a JSON list whose items are the values. */
export function parseRanges(texts: readonly string[]): Record<string, Range> {
  const ranges: Record<string, Range> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    const name = text.slice(0, at);
    if (at < 1 || at === text.length - 1)
      throw new UsageError(`--set takes NAME=VALUES, such as lr=1e-3,3e-4 or seed=1..5, not "${text}".`);
    if (Object.hasOwn(ranges, name)) throw new UsageError(`--set ${name} is given twice.`);
    ranges[name] = rangeOf(name, text.slice(at + 1));
  }
  return ranges;
}

function rangeOf(name: string, text: string): Range {
  const [, low, high] = INTEGERS.exec(text) ?? [];
  if (low !== undefined) {
    if (Number(low) >= Number(high))
      throw new UsageError(`--set ${name}=${text} counts up: its first number is the smaller one.`);
    return { int: [Number(low), Number(high)] };
  }
  if (NEARLY_INTEGERS.test(text))
    throw new UsageError(
      `--set ${name}=${text} needs whole numbers on both sides of the dots, such as 1..5. Ranges of others belong in trainstash.json.`,
    );
  const list = text.startsWith('[') ? jsonList(text) : null;
  if (list?.length === 0) throw new UsageError(`--set ${name}=${text} has no values.`);
  if (list) return { choice: list };
  const parts = text.split(',');
  if (parts.some((part) => part.trim() === ''))
    throw new UsageError(`--set ${name}=${text} has an empty value between its commas.`);
  return { choice: parts.map((part) => parseParams([`value=${part.trim()}`], 'set').value!) };
}

function jsonList(text: string): ParamValue[] | null {
  try {
    const parsed = JSON.parse(text) as unknown;
    return Array.isArray(parsed) ? (parsed as ParamValue[]) : null;
  } catch {
    return null;
  }
}
