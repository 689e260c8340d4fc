/** Shows the contents of a checkpoint file. */
import type { Client } from '../client/connect.ts';
import type { FileInspection, InspectedTensor } from '../protocol/domain.ts';
import { fileInspect } from '../protocol/messages/file.ts';
import { bytes, counted, integer, metric } from '../protocol/words.ts';
import { type Column, paint, safe, table } from './format.ts';
import { field } from './views.ts';

const SHOWN_TENSORS = 40;
const SHOWN_VALUES = 20;

export interface InspectionOptions {
  path: string;
  statistics: boolean;
  /** True to list all tensors, not only the first ones. */
  all: boolean;
}

/** Reads a file's contents and joins the pages. */
export async function readInspection(
  client: Pick<Client, 'request'>,
  { path, statistics, all }: InspectionOptions,
): Promise<FileInspection> {
  const limit = all ? {} : { limit: SHOWN_TENSORS };
  const whole = await client.request(fileInspect, { path, statistics, ...limit });
  for (let after = whole.next; all && after !== null; ) {
    const page = await client.request(fileInspect, { path, statistics, after });
    for (const tensor of page.tensors) whole.tensors.push(tensor);
    for (const value of page.values) whole.values.push(value);
    for (const name of page.classes) whole.classes.push(name);
    after = page.next;
  }
  return { ...whole, next: null };
}

export function inspectionLines(inspection: FileInspection, width: number, all: boolean): string[] {
  const { format, version, tensors, tensorCount, elements, notes } = inspection;
  const shown = all ? tensors : tensors.slice(0, SHOWN_TENSORS);
  // The table leaves out columns without content.
  const rows = shown.length > 0 ? ['', ...table(shown, [...COLUMNS, ...STATISTICS, REMARK], width)] : [];
  return [
    field('format', `${format}${version ? `, ${safe(version)}` : ''}, ${bytes(inspection.bytes)}`),
    field('tensors', `${integer(tensorCount)}, ${counted(elements, 'element')}`),
    ...rows,
    ...rest(tensorCount, shown.length, all),
    ...valueLines(inspection, width, all),
    ...classLines(inspection, all),
    ...notes.map((note) => paint('yellow', `! ${safe(note)}`)),
  ];
}

function valueLines({ values, valueCount }: FileInspection, width: number, all: boolean): string[] {
  if (values.length === 0) return [];
  const shown = all ? values : values.slice(0, SHOWN_VALUES);
  const lines = shown.map(({ name, value }) => `  ${safe(name)} = ${safe(String(value))}`.slice(0, width));
  return ['', paint('dim', 'VALUES'), ...lines, ...rest(valueCount, shown.length, all)];
}

function classLines({ classes, classCount }: FileInspection, all: boolean): string[] {
  if (classes.length === 0) return [];
  const shown = all ? classes : classes.slice(0, SHOWN_VALUES);
  const lines = shown.map(
    ({ name, count }) => `  ${paint('yellow', safe(name))}${count > 1 ? ` × ${integer(count)}` : ''}`,
  );
  const title = paint('dim', 'CLASSES AND FUNCTIONS IT REFERS TO (not loaded)');
  return ['', title, ...lines, ...rest(classCount, shown.length, all)];
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
