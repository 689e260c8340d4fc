/** What people see of a checkpoint file. */
import type { Client } from '../client/connect.ts';
import type { FileInspection, InspectedTensor } from '../protocol/domain.ts';
import * as m from '../protocol/messages.ts';
import { bytes, counted, integer, metric } from '../protocol/words.ts';
import { type Column, paint, safe, table } from './format.ts';
import { field } from './views.ts';

const SHOWN_TENSORS = 40;
const SHOWN_VALUES = 20;

export interface InspectionOptions {
  path: string;
  statistics: boolean;
  /** All tensors, and not the first ones alone. */
  all: boolean;
}

/** A file's contents, put together from the pages that they come in. */
export async function readInspection(
  client: Pick<Client, 'request'>,
  { path, statistics, all }: InspectionOptions,
): Promise<FileInspection> {
  const limit = all ? {} : { limit: SHOWN_TENSORS };
  const whole = await client.request(m.fileInspect, { path, statistics, ...limit });
  for (let after = whole.next; all && after !== null; ) {
    const page = await client.request(m.fileInspect, { path, statistics, after });
    for (const tensor of page.tensors) whole.tensors.push(tensor);
    for (const value of page.values) whole.values.push(value);
    for (const name of page.classes) whole.classes.push(name);
    after = page.next;
  }
  return { ...whole, next: null };
}

export function inspectionLines(inspection: FileInspection, width: number, all: boolean): string[] {
  const { format, version, tensors, tensorCount, elements, values, valueCount, classes, classCount, notes } =
    inspection;
  const lines = [
    field('format', `${format}${version ? `, ${safe(version)}` : ''}, ${bytes(inspection.bytes)}`),
    field('tensors', `${integer(tensorCount)}, ${counted(elements, 'element')}`),
  ];
  const shown = all ? tensors : tensors.slice(0, SHOWN_TENSORS);
  // Columns without content are left out.
  if (shown.length > 0) lines.push('', ...table(shown, [...COLUMNS, ...STATISTICS, REMARK], width));
  lines.push(...rest(tensorCount, shown.length, all));
  if (values.length > 0) {
    lines.push('', paint('dim', 'VALUES'));
    for (const { name, value } of all ? values : values.slice(0, SHOWN_VALUES))
      lines.push(`  ${safe(name)} = ${safe(String(value))}`.slice(0, width));
    lines.push(...rest(valueCount, all ? values.length : Math.min(values.length, SHOWN_VALUES), all));
  }
  if (classes.length > 0) {
    lines.push('', paint('dim', 'CLASSES AND FUNCTIONS IT NAMES (not loaded)'));
    for (const { name, count } of all ? classes : classes.slice(0, SHOWN_VALUES))
      lines.push(`  ${paint('yellow', safe(name))}${count > 1 ? ` × ${integer(count)}` : ''}`);
    lines.push(...rest(classCount, all ? classes.length : Math.min(classes.length, SHOWN_VALUES), all));
  }
  for (const note of notes) lines.push(paint('yellow', `! ${safe(note)}`));
  return lines;
}

function rest(count: number, shown: number, all: boolean): string[] {
  if (shown >= count) return [];
  return [paint('dim', `  … ${integer(count - shown)} more${all ? '' : '; --all shows them'}`)];
}

const COLUMNS: Column<InspectedTensor>[] = [
  { title: 'TENSOR', cell: ({ name, tiedTo }) => safe(tiedTo ? `${name} = ${tiedTo}` : name), flexible: true },
  { title: 'DTYPE', cell: ({ dtype }) => safe(dtype) },
  { title: 'SHAPE', cell: ({ shape }) => (shape.length === 0 ? 'scalar' : shape.join('×')) },
  { title: 'SIZE', cell: sizeText, right: true },
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

const REMARK: Column<InspectedTensor> = {
  title: 'REMARK',
  cell: ({ remark, noStatistics }) => {
    const why = noStatistics === null || noStatistics === remark ? null : `no statistics: ${noStatistics}`;
    return safe([remark, why].filter((part) => part !== null).join('; '));
  },
};

function sizeText({ tiedTo, bytes: size }: InspectedTensor): string {
  if (tiedTo) return 'shared';
  return size === null ? '?' : bytes(size);
}
