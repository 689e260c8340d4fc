/** Judges a live run by the rules of its project. Pure. */
import { ALERT_CODES, type AlertCode, type Alerts, bytesIn, secondsIn, shareIn } from '../../../protocol/alerts.ts';
import type { Monitor, Run } from '../../../protocol/domain.ts';
import { fromWireNumber, watchedMetrics } from '../../../protocol/numbers.ts';
import { monitorOf } from '../../../protocol/records.ts';
import { bytes, counted, duration, integer, metric } from '../../../protocol/words.ts';

/** Values of a metric in a row that have to be finite before it counts as mended. */
const FINITE_IN_A_ROW = 3;
/** Steps that have to be seen before a run counts as going on. */
const STEPS_IN_A_ROW = 2;
/** Parts of a limit by which a value has to be on the right side of it again. */
const DISK_MARGIN = 1.1;
const MEMORY_MARGIN = 0.95;

/** Counts of a metric's values: which were there when it was last found not to be finite. */
export type Finite = ReadonlyMap<string, { notFinite: number; from: number }>;

export interface Seen {
  run: Pick<Run, 'step' | 'metrics' | 'monitor' | 'number'>;
  /** Seconds since its step has changed. */
  sinceStep: number;
  /** Changes of its step since it last stood still for too long. */
  steps: number;
  finite: Finite;
  /** Free bytes on the disk of the project; null: unknown. */
  diskFree: number | null;
  /** Share of the machine's memory that is in use. */
  memoryUsed: number;
}

/**
 * Finding of one rule. Null: neither that there is trouble, nor that it is over. A value that moves around a limit is trouble once,
 * and what is not known ends nothing.
 */
export type Verdict = { is: 'trouble' | 'over'; text: string } | null;

/** Judges by each rule. `rules`: null where the file cannot be read, and only what is told without one is judged. */
export function judge(rules: Alerts | null, seen: Seen): Map<AlertCode, Verdict> {
  return new Map(ALERT_CODES.map((code) => [code, verdict(code, rules, seen)]));
}

function verdict(code: AlertCode, rules: Alerts | null, seen: Seen): Verdict {
  if (code === 'nonFinite') return rules?.nan === false ? unset('"nan" is false') : nonFinite(seen);
  if (rules === null) return null;
  const { plateau: slow, noStep: still, diskFree, memoryUsed } = rules;
  if (code === 'plateau') return slow ? plateau(seen.run, slow) : unset();
  if (code === 'noStep') return still ? noStep(seen, secondsIn(still)) : unset();
  if (code === 'diskLow') return diskFree ? diskLow(seen, bytesIn(diskFree)) : unset();
  return memoryUsed ? memoryLow(seen, shareIn(memoryUsed)) : unset();
}

const trouble = (text: string): Verdict => ({ is: 'trouble', text });
const over = (text: string): Verdict => ({ is: 'over', text });

function unset(why = 'the rule is gone from trainstash.json'): Verdict {
  return over(`It is no longer watched: ${why}.`);
}

/** Counts on: remembers from where on each metric has been finite. */
export function countFinite(before: Finite, metrics: Run['metrics']): Finite {
  return new Map(
    Object.entries(metrics).map(([name, { last, count, notFinite }]) => {
      const known = before.get(name);
      const isClean = known?.notFinite === notFinite && known.from <= count && isFine(last);
      return [name, isClean ? known : { notFinite, from: count }];
    }),
  );
}

/** Finds a metric that is not finite. Those that each training watches itself are told already. */
function nonFinite({ run: { metrics, monitor }, finite }: Seen): Verdict {
  const own = watchedMetrics(monitor);
  const all = Object.entries(metrics);
  for (const [name, { last, lastStep }] of all)
    if (!own.includes(name) && !isFine(last))
      return trouble(`${name} is ${metric(last)} at step ${integer(lastStep)}.`);
  const isOver = all.every(([name, { last, count, notFinite }]) => {
    const from = finite.get(name)?.from ?? count;
    return isFine(last) && (notFinite === 0 || own.includes(name) || count - from >= FINITE_IN_A_ROW);
  });
  return isOver ? over('All metrics are finite again.') : null;
}

function isFine(value: Run['metrics'][string]['last']): boolean {
  return Number.isFinite(fromWireNumber(value));
}

function plateau({ step, metrics, monitor }: Seen['run'], rule: NonNullable<Alerts['plateau']>): Verdict {
  const judged: Monitor = rule.metric ? monitorOf(rule.metric) : (monitor ?? { metric: 'loss', mode: 'min' });
  const summary = metrics[judged.metric];
  if (!summary) return null;
  const best = judged.mode === 'min' ? summary.min : summary.max;
  const at = judged.mode === 'min' ? summary.minStep : summary.maxStep;
  if (best === null || at === null) return null;
  const named = `${metric(best)}, at step ${integer(at)}`;
  if (step - at < rule.steps) return over(`${judged.metric} has become better again: its best is ${named}.`);
  return trouble(`${judged.metric} has not become better for ${counted(step - at, 'step')}: its best is ${named}.`);
}

function noStep({ sinceStep, steps, run }: Seen, seconds: number): Verdict {
  if (sinceStep >= seconds)
    return trouble(`No step for ${duration(seconds)}. \`trainstash log ${run.number}\` shows its output.`);
  return steps >= STEPS_IN_A_ROW ? over('It makes steps again.') : null;
}

function diskLow({ diskFree }: Seen, least: number): Verdict {
  if (diskFree === null) return null;
  if (diskFree < least)
    return trouble(
      `Only ${bytes(diskFree)} are free on the disk of the project. \`trainstash where\` shows what Trainstash uses.`,
    );
  return diskFree >= least * DISK_MARGIN ? over(`${bytes(diskFree)} are free on the disk of the project again.`) : null;
}

function memoryLow({ memoryUsed }: Seen, most: number): Verdict {
  const used = `${Math.round(memoryUsed * 100)} % of the machine’s memory are in use`;
  if (memoryUsed > most) return trouble(`${used}.`);
  return memoryUsed <= most * MEMORY_MARGIN ? over(`Only ${used} again.`) : null;
}
