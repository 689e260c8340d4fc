/** Draws a small curve for tooltips. Pure, and does not use `vscode`. */
import { fromWireNumber, type WireNumber } from '../../protocol/numbers.ts';

/** Draws 200 by 48 pixels. Where values are not finite the line breaks, with a red mark at the edge. */
export function curveSvg(wire: readonly WireNumber[]): string | null {
  const values = wire.map(fromWireNumber);
  const finite = values.filter(Number.isFinite);
  if (values.length < 2) return null;
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  const at = (i: number) => (2 + (196 * i) / (values.length - 1)).toFixed(1);
  let path = '';
  let marks = '';
  for (const [i, value] of values.entries()) {
    if (Number.isFinite(value))
      path += `${i > 0 && Number.isFinite(values[i - 1]) ? 'L' : 'M'}${at(i)},${(46 - (44 * (value - low)) / span).toFixed(1)}`;
    else marks += `<text x="${at(i)}" y="${value === Number.NEGATIVE_INFINITY ? 46 : 10}">×</text>`;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="48"><path fill="none" stroke="#3794ff" stroke-width="1.5" d="${path}"/><g fill="#f14c4c" font-size="12" text-anchor="middle">${marks}</g></svg>`;
}
