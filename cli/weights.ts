/** Shows the differences between the tensors of two checkpoints. */
import type { TensorDiff, WeightsDiff } from '../protocol/diff.ts';
import { bytes, counted, integer, metric } from '../protocol/words.ts';
import { type Column, paint, safe, table } from './format.ts';

const SHOWN_TENSORS = 20;
const SHOWN_NAMES = 5;
/** Width from which all columns fit. */
const WIDE = 110;

export function weightsLines(diff: WeightsDiff, width: number, all: boolean): string[] {
  const [first, second] = diff.sides.map(safe);
  const lines = ['', `${paint('bold', 'Weights')}  ${first} → ${second}`];
  if (diff.equal) return [...lines, paint('green', '  ✔ bit-identical')];
  const { equal, equalUnread, changed, reshaped, unreadable } = diff.counts;
  const counts = [
    `${counted(changed, 'tensor')} changed`,
    equal > 0
      ? `${integer(equal)} equal${equalUnread > 0 ? ` (${integer(equalUnread)} known without reading)` : ''}`
      : '',
    reshaped > 0 ? `${integer(reshaped)} with a different shape` : '',
    unreadable > 0 ? `${integer(unreadable)} not comparable` : '',
    `${bytes(diff.readBytes)} read`,
  ];
  lines.push(`  ${counts.filter(Boolean).join(', ')}`);
  for (const { part, elements, changed: different, norm, relative } of diff.totals) {
    const share = relative === null ? '' : ` (${percentText(relative)} of its norm)`;
    lines.push(
      `  ${part}: ${percentText(different / elements)} of ${integer(elements)} changed, by ${metric(norm)}${share}`,
    );
  }
  diff.only.forEach(({ names, count }, side) => {
    if (count === 0) return;
    const shown = names.slice(0, all ? names.length : SHOWN_NAMES).map(safe);
    const more = count > shown.length ? `, … ${integer(count - shown.length)} more` : '';
    lines.push(`  only in ${diff.sides[side]}: ${shown.join(', ')}${more}`);
  });
  for (const note of diff.notes) lines.push(`  ${safe(note)}`);
  const shown = diff.tensors.slice(0, all ? diff.tensors.length : SHOWN_TENSORS);
  if (shown.length > 0) lines.push('', ...table(shown, width < WIDE ? COLUMNS : [...COLUMNS, WHERE], width));
  if (diff.tensors.length > shown.length)
    lines.push(`… ${integer(diff.tensors.length - shown.length)} more: --all lists them; --json adds histograms`);
  return lines;
}

const COLUMNS: readonly Column<TensorDiff>[] = [
  {
    title: 'TENSOR',
    cell: ({ name, otherName }) => safe(otherName === null ? name : `${name} → ${otherName}`),
    flexible: 'end',
  },
  { title: 'SHAPE', cell: ({ shapes: [a, b] }) => (`${a}` === `${b}` ? shape(a) : `${shape(a)} → ${shape(b)}`) },
  { title: 'TYPE', cell: ({ dtypes: [a, b] }) => (a === b ? '' : `${a} → ${b}`) },
  {
    title: 'CHANGED',
    cell: ({ numbers }) => (numbers ? percentText(numbers.changed / numbers.elements) : '–'),
    right: true,
  },
  { title: 'NORM', cell: ({ numbers }) => (numbers ? metric(numbers.norms[2]) : '–'), right: true },
  {
    title: 'RELATIVE',
    cell: ({ numbers }) => (numbers && numbers.relative !== null ? percentText(numbers.relative) : '–'),
    right: true,
  },
  {
    title: 'COSINE',
    cell: ({ numbers }) => (numbers && numbers.cosine !== null ? numbers.cosine.toFixed(4) : '–'),
    right: true,
  },
  {
    title: 'LARGEST',
    cell: ({ numbers }) => (numbers?.largest ? metric(numbers.largest.change) : '–'),
    right: true,
  },
  { title: 'NAN, ∞', cell: ({ numbers }) => (numbers ? specials(numbers) : '') },
];

const WHERE: Column<TensorDiff> = {
  title: 'AT',
  cell: ({ numbers }) => (numbers?.largest ? shape(numbers.largest.at) : ''),
};

function specials({ nan, infinite }: NonNullable<TensorDiff['numbers']>): string {
  const parts = [
    nan[0] + nan[1] > 0 ? `NaN ${nan[0]} → ${nan[1]}` : '',
    infinite[0] + infinite[1] > 0 ? `∞ ${infinite[0]} → ${infinite[1]}` : '',
  ];
  return parts.filter(Boolean).join(', ');
}

function shape(numbers: readonly number[]): string {
  return `[${numbers.join(',')}]`;
}

function percentText(share: number): string {
  return `${metric(share * 100)} %`;
}
