/** Draws curves as SVG, for a page without scripts. Pure. */
import { metric } from '../../protocol/words.ts';
import { type Html, html } from './html.ts';

const WIDTH = 640;
const HEIGHT = 260;
const PLOT = { left: 64, right: WIDTH - 12, top: 10, bottom: HEIGHT - 26 };
const TICKS = 5;

export interface ReportLine {
  label: string;
  color: string;
  xs: readonly number[];
  ys: readonly number[];
}

/** Colours of runs that can be told apart on white and on black. */
export function colorOf(index: number): string {
  const first = ['#2f7de1', '#d9403a', '#2f9e44', '#9c4dcc', '#c08a00'][index];
  return first ?? `hsl(${Math.round((index * 137.5) % 360)} 60% 50%)`;
}

export function chart(lines: readonly ReportLine[], format: (value: number) => string = metric): Html | null {
  const finite = lines.flatMap(({ xs, ys }) =>
    xs.flatMap((x, i) => (Number.isFinite(ys[i]) ? [[x, ys[i]!] as const] : [])),
  );
  if (finite.length === 0) return null;
  const [lowX, highX] = rangeOf(finite.map(([x]) => x));
  const [lowY, highY] = rangeOf(finite.map(([, y]) => y));
  const placeX = (x: number) => PLOT.left + ((x - lowX) / (highX - lowX)) * (PLOT.right - PLOT.left);
  const placeY = (y: number) => PLOT.bottom - ((y - lowY) / (highY - lowY)) * (PLOT.bottom - PLOT.top);
  const across = ticksOf(lowX, highX).map((x) => {
    const at = short(placeX(x));
    return html`<line x1="${at}" x2="${at}" y1="${PLOT.top}" y2="${PLOT.bottom}"/><text x="${at}" y="${HEIGHT - 8}" text-anchor="middle">${metric(x)}</text>`;
  });
  const up = ticksOf(lowY, highY).map((y) => {
    const at = short(placeY(y));
    return html`<line x1="${PLOT.left}" x2="${PLOT.right}" y1="${at}" y2="${at}"/><text x="${PLOT.left - 6}" y="${at + 4}" text-anchor="end">${format(y)}</text>`;
  });
  const curves = lines.map((line) => curve(line, placeX, placeY));
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"><g class="grid">${across}${up}</g>${curves}</svg>`;
}

/** Draws one curve. It breaks where a value is not finite, with a cross at the edge. */
function curve({ color, xs, ys }: ReportLine, placeX: (x: number) => number, placeY: (y: number) => number): Html {
  let path = '';
  let pen = 'M';
  const strange: Html[] = [];
  for (const [i, x] of xs.entries()) {
    const y = ys[i]!;
    if (Number.isFinite(y)) {
      path += `${pen}${short(placeX(x))},${short(placeY(y))}`;
      pen = 'L';
    } else {
      pen = 'M';
      const edge = y === Number.NEGATIVE_INFINITY ? PLOT.bottom - 2 : PLOT.top + 10;
      strange.push(html`<text class="strange" x="${short(placeX(x))}" y="${edge}" text-anchor="middle">×</text>`);
    }
  }
  return html`<path d="${path}" stroke="${color}"/>${strange.slice(0, 200)}`;
}

function rangeOf(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low < high) return [low, high];
  const margin = Math.abs(low) || 1;
  return [low - margin, high + margin];
}

/** Lists round numbers in a range. */
export function ticksOf(low: number, high: number): number[] {
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough)!;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function short(value: number): number {
  return Math.round(value * 10) / 10;
}
