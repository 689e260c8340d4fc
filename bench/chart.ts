/** Draws how many times faster or smaller than the alternative each result is, as bars on a logarithmic axis. */
import type { Result } from './measure.ts';

const WIDTH = 760;
const LABEL = 230;
const VALUE = 70;
const ROW = 22;
const TOP = 46;
/** Range of the axis as powers of ten: a tenth to a hundred times. */
const [FROM, TO] = [-1, 2];
const X = (times: number) =>
  LABEL + ((Math.min(TO, Math.max(FROM, Math.log10(times))) - FROM) / (TO - FROM)) * (WIDTH - LABEL - VALUE);

/** Results that nearly repeat another; only the tables list them. */
const TWINS = ['storage.restore-first', 'storage.bytes-half'];
/** Results that compare our own backends, of which nobody would choose the slower one. */
const AMONG_OURS = /^backends\.\w+-/;

export function chartOf(results: readonly Result[]): string {
  const bars = results
    .filter(({ name }) => !TWINS.includes(name) && !AMONG_OURS.test(name))
    .flatMap((result) => {
      const times = timesBetter(result);
      return times === null ? [] : [{ name: result.name, versus: result.versus!, times }];
    });
  const height = TOP + bars.length * ROW + 16;
  const ticks = [0.1, 1, 10, 100].map(
    (times) =>
      `<line x1="${X(times)}" x2="${X(times)}" y1="${TOP - 8}" y2="${height - 10}" class="${times === 1 ? 'one' : 'tick'}"/>` +
      `<text x="${X(times)}" y="${TOP - 14}" text-anchor="middle" class="small">${times === 1 ? 'the same' : `${times} ×`}</text>`,
  );
  const rows = bars.map(({ name, versus, times }, i) => {
    const y = TOP + i * ROW;
    const [from, to] = [Math.min(X(1), X(times)), Math.max(X(1), X(times))];
    const text = times >= 10 ? times.toFixed(0) : times.toPrecision(2);
    return (
      `<text x="${LABEL - 8}" y="${y + 9}" text-anchor="end">${escaped(name)}</text>` +
      `<text x="${LABEL - 8}" y="${y + 18}" text-anchor="end" class="small">${escaped(short(versus))}</text>` +
      `<rect x="${from}" y="${y + 3}" width="${Math.max(1, to - from)}" height="${ROW - 9}" rx="2" class="${times >= 1 ? 'better' : 'worse'}"/>` +
      `<text x="${WIDTH - 8}" y="${y + 13}" text-anchor="end">${text} ×</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>Factor by which Trainstash beats the alternative</title>
<style>
text { font: 11px system-ui, sans-serif; fill: #333 } .small { font-size: 8.5px; fill: #777 }
.tick { stroke: #ddd } .one { stroke: #888 } .better { fill: #2e8b57 } .worse { fill: #c0603a }
svg { background: #fff }
</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="18">Times better than the alternative (right: faster or smaller)</text>
${ticks.join('\n')}
${rows.join('\n')}
</svg>
`;
}

/** Returns the factor by which ours is better (above 1); null without a comparison. */
function timesBetter({ ratio, unit, goal }: Result): number | null {
  if (ratio === undefined || ratio <= 0) return null;
  const moreIsBetter = goal.atLeast !== undefined || unit.endsWith('/s');
  return moreIsBetter ? ratio : 1 / ratio;
}

function short(text: string): string {
  return text.length > 46 ? `${text.slice(0, 45)}…` : text;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
