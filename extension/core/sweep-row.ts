/** Rows of sweeps in the tree. Does not use `vscode`. */
import { progressOf, type SweepState, type SweepSummary } from '../../protocol/sweep.ts';
import { metric } from '../../protocol/words.ts';
import type { Look } from './text.ts';

const ICONS: Readonly<Record<SweepState, [icon: string, color: string]>> = {
  running: ['layers-active', 'charts.green'],
  paused: ['layers', 'charts.yellow'],
  stopped: ['layers-dot', ''],
  finished: ['layers', 'charts.blue'],
};

export function nameOfSweep({ number, job }: SweepSummary): string {
  return `sweep ${number} of ${job}`;
}

export function lookOfSweep(sweep: SweepSummary): Look {
  const { state, best, metric: monitor } = sweep;
  const [icon, color] = ICONS[state];
  const record = best && monitor ? `★ ${monitor.metric} ${metric(best.value)} (#${best.runNumber})` : '';
  // The end of a row is cut off first: of a sweep that is over the result matters most.
  const isOver = state === 'finished' || state === 'stopped';
  const parts = (isOver ? [record, progressOf(sweep), state] : [state, progressOf(sweep), record]).filter(Boolean);
  return {
    description: parts.join(' · '),
    icon,
    ...(color === '' ? {} : { color }),
    // One word: those of runs must not match a part of it.
    context: `sweep${state[0]!.toUpperCase()}${state.slice(1)}`,
    spoken: `${nameOfSweep(sweep)}, ${parts.join(', ').replace('★', 'best')}`,
  };
}

/** Marks a run if it is the best of its sweep, with the metric that decides: the run itself may be judged by another one. */
export function inSweep(look: Look, run: string, { best, metric: monitor }: SweepSummary): Look {
  if (best?.run !== run || !monitor) return look;
  const record = `${monitor.metric} ${metric(best.value)}`;
  return {
    ...look,
    description: `★ best ${record} · ${look.description}`,
    spoken: `${look.spoken}, the best of its sweep: ${record}`,
  };
}

/** Lists facts for a tooltip. */
export function sweepFacts(sweep: SweepSummary): string[] {
  const { reason, sampler, varies, best } = sweep;
  const params = best
    ? Object.entries(best.params)
        .filter(([name]) => varies.includes(name))
        .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    : [];
  return [
    `${nameOfSweep(sweep)}: ${sweep.state}${reason ? ` (${reason})` : ''}`,
    `${sampler} over ${varies.join(', ')}: ${progressOf(sweep)}`,
    ...(params.length > 0 ? [`best: ${params.join('  ')}`] : []),
  ];
}
