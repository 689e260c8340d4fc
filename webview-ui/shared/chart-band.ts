/** Draws how far the runs of a group lie from their mean. */
import type uPlot from 'uplot';
import type { ChartLine } from './chart.tsx';

const OPACITY = 0.18;

export function drawBands(plot: uPlot, lines: readonly ChartLine[], log: boolean): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.globalAlpha = OPACITY;
  for (const { band, xs, color } of lines) {
    if (!band || xs.length < 2) continue;
    const place = (x: number, y: number): [number, number] => [
      plot.valToPos(x, 'x', true),
      // A logarithm has no zero: the band reaches the lower edge there.
      log && y <= 0 ? bbox.top + bbox.height : plot.valToPos(y, 'y', true),
    ];
    ctx.fillStyle = color;
    ctx.beginPath();
    for (let i = 0; i < xs.length; i++) ctx.lineTo(...place(xs[i]!, band.high[i]!));
    for (let i = xs.length - 1; i >= 0; i--) ctx.lineTo(...place(xs[i]!, band.low[i]!));
    ctx.fill();
  }
  ctx.restore();
}
