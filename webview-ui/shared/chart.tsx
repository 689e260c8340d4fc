/** Draws curves in one chart, with uPlot in the editor's colours. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { integer, metric } from '../../protocol/words.ts';
import type { Axis } from './axis.tsx';
import { drawBands } from './chart-band.ts';
import { smoothed } from './smoothing.ts';

export interface ChartLine {
  label: string;
  color: string;
  xs: ArrayLike<number>;
  ys: ArrayLike<number>;
  /** Range around the line, at the places of its points. */
  band?: { low: ArrayLike<number>; high: ArrayLike<number> };
  /** True for a dashed line. */
  dash?: boolean;
  /** Best point, in the units of the axes. */
  best?: { x: number; y: number } | undefined;
}

export interface ChartMark {
  x: number;
  text: string;
  color: string;
  /** Id of a checkpoint; null: the run was rolled back to this place. */
  id: string | null;
}

interface ChartProps {
  title: string;
  lines: readonly ChartLine[];
  log: boolean;
  /** Smoothing weight of the previous values; 0: none. */
  smoothing: number;
  axis: Axis;
  marks?: readonly ChartMark[];
  height?: number;
  /** True for an axis of values that begins at zero. */
  fromZero?: boolean;
  /** Formats a value; absent: as a metric. */
  format?(value: number): string;
  /** Called when the visible range of the axis changes; null: all of it. */
  onZoom?(range: [number, number] | null): void;
  onMark?(id: string): void;
}

/** Grid colour for light and dark themes; a theme's own borders may be as strong as a curve. */
const GRID = '#8080804d';
const NONE: readonly ChartMark[] = [];
// Orange is left out: it is half transparent in most themes.
const COLORS = ['blue', 'red', 'green', 'purple', 'yellow'];

/** Returns the colour of a curve: theme colours for the first five, then evenly spaced hues. */
export function colorOf(index: number): string {
  const name = COLORS[index];
  const own = name && css(`--vscode-charts-${name}`);
  return own || `hsl(${(index * 137.5) % 360} 65% 55%)`;
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function dataOf(lines: readonly ChartLine[], smoothing: number, log: boolean): uPlot.AlignedData {
  const tables = lines.map(({ xs, ys }): uPlot.AlignedData => {
    const values = smoothing > 0 ? smoothed(ys, smoothing) : Array.from(ys);
    const shown = values.map((y) => (Number.isFinite(y) && (!log || y > 0) ? y : null));
    return [Array.from(xs), shown];
  });
  if (tables.length === 0) return [[]];
  // A curve without a point at another's step is continued; one that was NaN there is not.
  return tables.length === 1
    ? tables[0]!
    : uPlot.join(
        tables,
        tables.map(() => [0, 2]),
      );
}

export function Chart(props: ChartProps) {
  const { title, log, smoothing, axis, height = 220 } = props;
  // The page creates them anew at each drawing, but they seldom change, and drawing a chart is the largest cost.
  const lines = useSame(props.lines);
  const marks = useSame(props.marks ?? NONE);
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const current = useRef(props);
  current.current = props;
  const shape = `${title}|${log}|${axis}|${height}|${lines.map(({ label, color, dash }) => `${label}${color}${dash ?? ''}`).join()}`;

  useEffect(() => {
    const made = new uPlot(optionsOf(current, place.current!.clientWidth || 400, height), [[]], place.current!);
    plot.current = made;
    const sized = new ResizeObserver(([entry]) => {
      const { width } = entry!.contentRect;
      if (width > 0 && Math.abs(width - made.width) > 1) made.setSize({ width, height });
    });
    sized.observe(place.current!);
    return () => {
      sized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    const zoomed = current.current.onZoom !== undefined && made.scales.x!.min !== undefined && isZoomed(made);
    made.setData(dataOf(lines, smoothing, log), !zoomed);
    if (zoomed) made.redraw();
  }, [shape, lines, smoothing, log, marks]);

  const last = lines
    .map(({ label, ys }) => `${label} ${ys.length === 0 ? '…' : metric(ys[ys.length - 1]!)}`)
    .join(', ');
  return (
    <figure class="chart" aria-label={`${title}: ${last}`}>
      <figcaption>{title}</figcaption>
      <div ref={place} />
    </figure>
  );
}

/** Formats a value that is not finite at `x`; a dash if there is none. */
function strangeAt(line: ChartLine | undefined, x: number | undefined): string {
  if (!line || x === undefined) return '–';
  for (let i = 0; i < line.xs.length; i++)
    if (line.xs[i] === x && !Number.isFinite(line.ys[i]!)) return metric(line.ys[i]!);
  return '–';
}

/** Returns the previous list as long as its entries have equal values. */
function useSame<T extends object>(list: readonly T[]): readonly T[] {
  const kept = useRef(list);
  const same = kept.current.length === list.length && list.every((entry, i) => isSame(entry, kept.current[i]!));
  if (!same) kept.current = list;
  return kept.current;
}

/** Compares values. Arrays are compared by identity, since they are long. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b || ArrayBuffer.isView(a)) return false;
  return Object.entries(a).every(([key, one]) => isSame(one, (b as Record<string, unknown>)[key]));
}

/** Distances between ticks on an axis of whole steps: 1, 2, 5, 10, … */
const WHOLE = Array.from({ length: 40 }, (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3));

function isZoomed(plot: uPlot): boolean {
  const xs = plot.data[0];
  const { min, max } = plot.scales.x!;
  return xs.length > 1 && min != null && max != null && (min > xs[0]! || max < xs[xs.length - 1]!);
}

function optionsOf(current: { current: ChartProps }, width: number, height: number): uPlot.Options {
  const { lines, log, axis, fromZero, format = metric } = current.current;
  const foreground = css('--vscode-foreground');
  const font = `11px ${css('--vscode-font-family') || 'sans-serif'}`;
  const common = { stroke: foreground, font, grid: { stroke: GRID, width: 1 }, ticks: { stroke: GRID, width: 1 } };
  const place = (x: number) => (axis === 'time' ? clock(x) : axis === 'epoch' ? metric(x) : integer(Math.round(x)));
  return {
    width,
    height,
    // Room for half of the last tick's label.
    padding: [null, 28, null, null],
    scales: {
      x: { time: false },
      y: log ? { distr: 3 } : fromZero ? { range: (_, __, most) => [0, most * 1.05 || 1] } : {},
    },
    axes: [
      { ...common, values: (_, splits) => splits.map(place), space: 70, ...(axis === 'step' ? { incrs: WHOLE } : {}) },
      { ...common, values: (_, splits) => splits.map((split) => (split === null ? '' : format(split))), size: 64 },
    ],
    series: [
      { label: axis, value: (_, x) => (x === null ? '–' : place(x)) },
      ...lines.map(({ label, color, dash }) => ({
        label,
        stroke: color,
        width: 1.5,
        points: { show: false },
        value: (plot: uPlot, y: number | null, series: number, at: number | null) =>
          y === null
            ? strangeAt(current.current.lines[series - 1], at === null ? undefined : plot.data[0][at])
            : format(y),
        ...(dash ? { dash: [6, 4] } : {}),
      })),
    ],
    cursor: { drag: { x: true, y: false }, focus: { prox: 24 } },
    focus: { alpha: 0.35 },
    legend: { live: true },
    hooks: {
      setScale: [
        (plot, key) => {
          if (key !== 'x' || plot.data[0].length < 2) return;
          const { min, max } = plot.scales.x!;
          if (min == null || max == null) return;
          current.current.onZoom?.(isZoomed(plot) ? [min, max] : null);
        },
      ],
      draw: [
        (plot) => drawBands(plot, current.current.lines, current.current.log),
        (plot) => drawMarks(plot, current.current.marks ?? []),
        (plot) => drawBest(plot, current.current),
        (plot) => drawStrange(plot, current.current.lines),
      ],
      ready: [
        (plot) =>
          onPress(plot.over, (left, top) => {
            if (top < plot.over.clientHeight - 14) return;
            // The mark that is drawn on top.
            const hit = (current.current.marks ?? []).findLast(
              ({ x, id }) => id !== null && Math.abs(plot.valToPos(x, 'x') - left) < 6,
            );
            if (hit?.id) current.current.onMark?.(hit.id);
          }),
      ],
    },
  };
}

/** Detects clicks. Near its edges the chart treats a click as the end of a drag and swallows it. */
function onPress(over: HTMLElement, press: (left: number, top: number) => void): void {
  let from: MouseEvent | null = null;
  over.addEventListener('mousedown', (event) => {
    from = event.button === 0 ? event : null;
  });
  over.addEventListener('mouseup', (event) => {
    const moved = from
      ? Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY)
      : Number.POSITIVE_INFINITY;
    from = null;
    if (moved > 3) return;
    const { left, top } = over.getBoundingClientRect();
    press(event.clientX - left, event.clientY - top);
  });
}

/** Draws checkpoints as small triangles on the axis, and places that a run was rolled back to as dashed lines with an arrow. */
function drawMarks(plot: uPlot, marks: readonly ChartMark[]): void {
  const { ctx, bbox } = plot;
  const size = 5 * devicePixelRatio;
  ctx.save();
  for (const { x, color, id } of marks) {
    const at = plot.valToPos(x, 'x', true);
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.fillStyle = color;
    if (id === null) {
      drawRollback(plot, at, color);
      continue;
    }
    ctx.beginPath();
    ctx.moveTo(at, bbox.top + bbox.height - 2 * size);
    ctx.lineTo(at - size, bbox.top + bbox.height);
    ctx.lineTo(at + size, bbox.top + bbox.height);
    ctx.fill();
  }
  ctx.restore();
}

function drawRollback({ ctx, bbox }: uPlot, at: number, color: string): void {
  ctx.save();
  ctx.strokeStyle = color;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(at, bbox.top);
  ctx.lineTo(at, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = `${12 * devicePixelRatio}px sans-serif`;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'top';
  ctx.fillText('↩', at + 2 * devicePixelRatio, bbox.top);
  ctx.restore();
}

/**
 * Marks the gaps of a curve where values are not finite with a cross on a faint vertical line, at the lower edge for −∞ and at
 * the upper edge otherwise. Marks in the same pixel column are drawn once.
 */
function drawStrange(plot: uPlot, lines: readonly ChartLine[]): void {
  const { ctx, bbox } = plot;
  const size = 3.5 * devicePixelRatio;
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const { xs, ys, color } of lines) {
    ctx.strokeStyle = color;
    let drawn = Number.NaN;
    for (let i = 0; i < xs.length; i++) {
      const y = ys[i]!;
      if (Number.isFinite(y)) continue;
      const at = Math.round(plot.valToPos(xs[i]!, 'x', true));
      if (at === drawn || at < bbox.left || at > bbox.left + bbox.width) continue;
      drawn = at;
      const edge = y === Number.NEGATIVE_INFINITY ? bbox.top + bbox.height - 2 * size : bbox.top + 2 * size;
      ctx.globalAlpha = 0.2;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.moveTo(at - size, edge - size);
      ctx.lineTo(at + size, edge + size);
      ctx.moveTo(at + size, edge - size);
      ctx.lineTo(at - size, edge + size);
      ctx.stroke();
    }
  }
  ctx.restore();
}

/** Draws a ring around the best value of each curve; not when curves are smoothed, since they miss that point. */
function drawBest(plot: uPlot, { lines, smoothing, log }: ChartProps): void {
  if (smoothing > 0) return;
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const { best, color, xs } of lines) {
    if (!best || xs.length === 0 || !Number.isFinite(best.y) || (log && best.y <= 0)) continue;
    const [x, y] = [plot.valToPos(best.x, 'x', true), plot.valToPos(best.y, 'y', true)];
    if (x < bbox.left || x > bbox.left + bbox.width || y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = color;
    ctx.beginPath();
    ctx.arc(x, y, 4 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
  }
  ctx.restore();
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours > 0) return `${hours}:${String(minutes).padStart(2, '0')} h`;
  return minutes > 0 ? `${minutes}:${String(whole % 60).padStart(2, '0')}` : `${whole} s`;
}
