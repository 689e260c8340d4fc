/** What people see of a checkpoint file. */
import type { FileInspection, InspectedTensor } from '../protocol/domain.ts';
import { bytes, counted, integer, metric } from '../protocol/words.ts';
import { type Column, paint, safe, table } from './format.ts';
import { field } from './views.ts';

const SHOWN_TENSORS = 40;
const SHOWN_VALUES = 20;

export function inspectionLines(inspection: FileInspection, width: number, all: boolean): string[] {
  const { format, version, tensors, tensorCount, elements, values, classes, notes } = inspection;
  const lines = [
    field('format', `${format}${version ? `, ${safe(version)}` : ''}, ${bytes(inspection.bytes)}`),
    field('tensors', `${integer(tensorCount)}, ${counted(elements, 'element')}`),
  ];
  const shown = all ? tensors : tensors.slice(0, SHOWN_TENSORS);
  const withStatistics = shown.some(({ statistics }) => statistics !== null);
  if (shown.length > 0) lines.push('', ...table(shown, withStatistics ? [...COLUMNS, ...STATISTICS] : COLUMNS, width));
  if (shown.length < tensorCount)
    lines.push(paint('dim', `  … ${integer(tensorCount - shown.length)} more${all ? '' : '; --all shows them'}`));
  if (values.length > 0) {
    lines.push('', paint('dim', 'VALUES'));
    for (const { name, value } of all ? values : values.slice(0, SHOWN_VALUES))
      lines.push(`  ${safe(name)} = ${safe(String(value))}`.slice(0, width));
    if (!all && values.length > SHOWN_VALUES)
      lines.push(paint('dim', `  … ${integer(values.length - SHOWN_VALUES)} more; --all shows them`));
  }
  if (classes.length > 0) {
    lines.push('', paint('dim', 'CLASSES AND FUNCTIONS IT NAMES (not loaded)'));
    for (const { name, count } of all ? classes : classes.slice(0, SHOWN_VALUES))
      lines.push(`  ${paint('yellow', safe(name))}${count > 1 ? ` × ${integer(count)}` : ''}`);
    if (!all && classes.length > SHOWN_VALUES)
      lines.push(paint('dim', `  … ${integer(classes.length - SHOWN_VALUES)} more; --all shows them`));
  }
  for (const note of notes) lines.push(paint('yellow', `! ${safe(note)}`));
  return lines;
}

const COLUMNS: Column<InspectedTensor>[] = [
  { title: 'TENSOR', cell: ({ name, tiedTo }) => safe(tiedTo ? `${name} = ${tiedTo}` : name), flexible: true },
  { title: 'DTYPE', cell: ({ dtype }) => safe(dtype) },
  { title: 'SHAPE', cell: ({ shape }) => (shape.length === 0 ? 'scalar' : shape.join('×')) },
  { title: 'SIZE', cell: (tensor) => (tensor.tiedTo ? 'shared' : bytes(tensor.bytes)), right: true },
];

const STATISTICS: Column<InspectedTensor>[] = [
  { title: 'MEAN', cell: ({ statistics }) => metric(statistics?.mean), right: true },
  { title: 'STD', cell: ({ statistics }) => metric(statistics?.std), right: true },
  { title: 'MIN', cell: ({ statistics }) => metric(statistics?.min), right: true },
  { title: 'MAX', cell: ({ statistics }) => metric(statistics?.max), right: true },
  {
    title: 'BAD',
    cell: ({ statistics }) =>
      statistics && statistics.nan + statistics.infinite > 0
        ? paint('red', `${integer(statistics.nan)} NaN, ${integer(statistics.infinite)} inf`)
        : '',
  },
];
