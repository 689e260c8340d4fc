/** Detects that a training diverges: a loss or a watched metric is not finite, or far from its previous values. */
import type { Monitor } from '../protocol/domain.ts';
import { hasDiverged, toWireNumber, watchedMetrics } from '../protocol/numbers.ts';
import type { Launch } from '../protocol/session.ts';
import { metric as written } from '../protocol/words.ts';

const WINDOW = 100;
const MIN_WINDOW = 50;
const SPIKE_DEVIATIONS = 10;
/** Number of steps between two reports about an unsteady curve. */
const SPIKE_REPORT_STEPS = 100;

export interface Finding {
  code: 'nan' | 'spike';
  metric: string;
  step: number;
  /** Text such as `loss was NaN at step 12`. */
  what: string;
  /** True for the first finding in a while, which deserves a notice. */
  isNews: boolean;
  /** True if the job asks for a pause in this case. */
  pauses: boolean;
}

type WatchedLaunch = Pick<Launch, 'monitor' | 'onNaN' | 'onSpike'> & Partial<Pick<Launch, 'recent'>>;

export class DivergenceWatch {
  readonly #launch: WatchedLaunch;
  /** Finite values of each watched metric, the newest last. */
  readonly #recent: Map<string, number[]>;
  readonly #newest = new Map<string, number>();
  readonly #spikeReportedAt = new Map<string, number>();

  /** Keeps finite losses in `losses`, which may contain earlier ones; for other metrics the launch has them. */
  constructor(launch: WatchedLaunch, losses: number[]) {
    this.#launch = launch;
    const earlier = (metric: string) => launch.recent?.[metric]?.slice(-WINDOW) ?? [];
    if (losses.length === 0) losses.push(...earlier('loss'));
    this.#recent = new Map(
      watchedMetrics(launch.monitor).map((metric) => [metric, metric === 'loss' ? losses : earlier(metric)]),
    );
  }

  /** Tells whether the newest state counts as diverged; see `hasDiverged`. */
  get diverged(): boolean {
    return hasDiverged(this.#launch.monitor, (metric) => {
      const value = this.#newest.get(metric);
      return value === undefined ? undefined : toWireNumber(value);
    });
  }

  /** Judges new values, and returns the worst finding; null: no finding. */
  look(step: number, values: Readonly<Record<string, number>>): Finding | null {
    const found = [...this.#recent].flatMap(([metric, recent]) => {
      const value = values[metric];
      return value === undefined ? [] : (this.#judge(metric, value, step, recent) ?? []);
    });
    const nan = found.filter(({ code }) => code === 'nan');
    return nan.find(({ isNews }) => isNews) ?? nan[0] ?? found[0] ?? null;
  }

  #judge(metric: string, value: number, step: number, recent: number[]): Finding | null {
    const { monitor, onNaN, onSpike } = this.#launch;
    const before = this.#newest.get(metric) ?? 0;
    this.#newest.set(metric, value);
    const verdict = judge(value, recent, modeOf(metric, monitor));
    if (verdict === 'nan') {
      const what = `${metric} was ${written(toWireNumber(value))} at step ${step}`;
      return { code: 'nan', metric, step, what, isNews: Number.isFinite(before), pauses: onNaN === 'pause' };
    }
    if (verdict === 'fine') return null;
    const isNews = !(step - (this.#spikeReportedAt.get(metric) ?? Number.NEGATIVE_INFINITY) <= SPIKE_REPORT_STEPS);
    if (isNews) this.#spikeReportedAt.set(metric, step);
    const what = `${metric} jumped to ${written(value)} at step ${step}, far from its previous values`;
    return { code: 'spike', metric, step, what, isNews, pauses: onSpike === 'pause' };
  }
}

/** Judges a value and adds it to the recent ones, from which it drops the oldest. */
export function judge(value: number, recent: number[], mode: Monitor['mode'] = 'min'): 'fine' | 'nan' | 'spike' {
  if (!Number.isFinite(value)) return 'nan';
  const sign = mode === 'min' ? 1 : -1;
  const spike = recent.length >= MIN_WINDOW && sign * value > limitOf(recent.map((one) => sign * one));
  recent.push(value);
  if (recent.length > WINDOW) recent.shift();
  return spike ? 'spike' : 'fine';
}

function modeOf(metric: string, monitor: Monitor | null): Monitor['mode'] {
  return monitor?.metric === metric ? monitor.mode : 'min';
}

/** Computes mean and deviation without the largest tenth, so that a spike does not hide the next one. */
function limitOf(values: readonly number[]): number {
  const calm = [...values].sort((a, b) => a - b).slice(0, Math.ceil(values.length * 0.9));
  const mean = calm.reduce((a, b) => a + b, 0) / calm.length;
  const variance = calm.reduce((sum, value) => sum + (value - mean) ** 2, 0) / calm.length;
  return mean + SPIKE_DEVIATIONS * Math.max(Math.sqrt(variance), Math.abs(mean) * 0.02);
}
