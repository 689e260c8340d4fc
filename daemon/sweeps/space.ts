/** Params of each trial of a grid or of random draws: a function of the plan and of the trial's position. Pure. */
import { createHash } from 'node:crypto';
import type { Params, ParamValue } from '../../protocol/domain.ts';
import { MOST_RUNS, type Range, type SweepPlan, valuesOf } from '../../protocol/sweep.ts';

/** Digits of a drawn number: it is read, typed and compared by people. */
const DIGITS = 6;

/** Counts the combinations of a space; null: a range has infinitely many values. Never more than just above the limit. */
export function combinationsOf(space: Readonly<Record<string, Range>>): number | null {
  let count = 1;
  for (const range of Object.values(space)) {
    const values = valuesOf(range);
    if (values === null) return null;
    count = Math.min(count * values.length, MOST_RUNS + 1);
  }
  return count;
}

/** Returns the params that vary, for one trial. */
export function paramsOfTrial({ params: space, sampler, seed, runs }: SweepPlan, trial: number): Params {
  const combinations = combinationsOf(space);
  if (sampler === 'grid') return combination(space, trial);
  // A space of few combinations is drawn from without repetition: two equal runs would say nothing new.
  if (combinations !== null && combinations <= MOST_RUNS)
    return combination(space, drawnWithoutRepetition(combinations, seed, runs)[trial] ?? 0);
  return Object.fromEntries(
    Object.entries(space).map(([name, range]) => [name, drawn(range, `${seed} ${trial} ${name}`)]),
  );
}

/** Returns a combination by its position; the last param varies fastest. */
function combination(space: Readonly<Record<string, Range>>, position: number): Params {
  let rest = position;
  const entries = Object.entries(space).reverse();
  const chosen = entries.map(([name, range]): [string, ParamValue] => {
    const values = valuesOf(range) ?? [];
    const value = values[rest % values.length]!;
    rest = Math.floor(rest / values.length);
    return [name, value];
  });
  return Object.fromEntries(chosen.reverse());
}

let known: { key: string; order: number[] } | null = null;

/** Draws positions by a shuffle of which only the beginning is needed. */
function drawnWithoutRepetition(combinations: number, seed: number, runs: number): number[] {
  const key = `${combinations} ${seed} ${runs}`;
  if (known?.key === key) return known.order;
  const order = Array.from({ length: combinations }, (_, i) => i);
  const count = Math.min(runs, combinations);
  for (let i = 0; i < count; i++) {
    const other = i + Math.floor(fraction(`${seed} shuffle ${i}`) * (combinations - i));
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  known = { key, order: order.slice(0, count) };
  return known.order;
}

function drawn({ choice, int, uniform, logUniform }: Range, key: string): ParamValue {
  const at = fraction(key);
  if (choice) return choice[Math.floor(at * choice.length)]!;
  if (int) return int[0] + Math.floor(at * (int[1] - int[0] + 1));
  if (uniform) return within(uniform[0] + at * (uniform[1] - uniform[0]), uniform);
  const [low, high] = logUniform!;
  return within(Math.exp(Math.log(low) + at * (Math.log(high) - Math.log(low))), [low, high]);
}

function within(value: number, [low, high]: readonly [number, number]): number {
  return Math.min(high, Math.max(low, Number(value.toPrecision(DIGITS))));
}

/** Draws a number from 0 to below 1, always the same for a key: a sweep that goes on needs no state of a generator. */
function fraction(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6) / 2 ** 48;
}
