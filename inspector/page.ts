/** Cuts an inspection into pages by their size in a message. */

import type { Inspection, PlacedTensor } from '../formats/inspection.ts';
import { shortName } from '../formats/short-name.ts';
import type { Statistics } from '../formats/statistics.ts';
import type { FileInspection, InspectedTensor, InspectionCursor } from '../protocol/domain.ts';

/** Limits that together stay well below the size of a message. */
const TENSOR_BYTES = 512 << 10;
const VALUE_BYTES = 96 << 10;
const CLASS_BYTES = 32 << 10;
const NOTE_BYTES = 16 << 10;
const MAX_DTYPE = 60;
/** Limits after which a page with statistics is sent, so that the first ones arrive early. */
const READ_BYTES = 2 ** 31;
const READ_MS = 3_000;

export interface PageOptions {
  filter: string;
  limit: number | null;
  after: InspectionCursor | null;
  /** Null: no statistics are wanted. */
  statisticsOf: ((tensor: PlacedTensor) => Promise<Statistics>) | null;
}

/** Makes a page; `found` are the tensors that match the filter. */
export async function pageOf(
  inspection: Inspection,
  found: readonly PlacedTensor[],
  stamp: string,
  { limit, after, statisticsOf }: Omit<PageOptions, 'filter'>,
): Promise<FileInspection> {
  const from = after ?? { tensors: 0, values: 0, classes: 0 };
  const values = slice(inspection.values, from.values, VALUE_BYTES, ({ name, value }) => ({
    name: shortName(name),
    value: typeof value === 'string' ? shortName(value) : value,
  }));
  const classes = slice(inspection.classes, from.classes, CLASS_BYTES, ({ name, count }) => ({
    name: shortName(name),
    count,
  }));
  const tensors = await tensorPage(found, from.tensors, limit, statisticsOf);
  const next = { tensors: from.tensors + tensors.length, values: values.next, classes: classes.next, stamp };
  const isLast =
    next.tensors >= found.length &&
    next.values >= inspection.values.length &&
    next.classes >= inspection.classes.length;
  return {
    format: inspection.format,
    bytes: inspection.bytes,
    version: inspection.version === null ? null : shortName(inspection.version),
    tensors,
    tensorCount: inspection.tensors.length,
    foundCount: found.length,
    elements: inspection.elements,
    values: values.items,
    valueCount: inspection.valueCount,
    classes: classes.items,
    classCount: inspection.classes.length,
    notes: after ? [] : notesOf(inspection.notes),
    next: isLast ? null : next,
  };
}

async function tensorPage(
  found: readonly PlacedTensor[],
  from: number,
  limit: number | null,
  statisticsOf: PageOptions['statisticsOf'],
): Promise<InspectedTensor[]> {
  const page: InspectedTensor[] = [];
  const startedAt = performance.now();
  let left = TENSOR_BYTES;
  let read = 0;
  for (let i = from; i < found.length && page.length < (limit ?? found.length); i++) {
    const tensor = found[i]!;
    const statistics = statisticsOf === null ? null : await statisticsOf(tensor);
    const described = describe(tensor, statistics);
    left -= bytesOf(described);
    if (left < 0 && page.length > 0) break;
    page.push(described);
    read += statistics === null ? 0 : (tensor.bytes ?? 0);
    if (read > READ_BYTES || (statistics !== null && performance.now() - startedAt > READ_MS)) break;
  }
  return page;
}

function describe(
  { name, dtype, shape, bytes, tiedTo, remark }: PlacedTensor,
  statistics: Statistics | null,
): InspectedTensor {
  return {
    name: shortName(name),
    dtype: shortName(dtype, MAX_DTYPE),
    shape,
    bytes,
    tiedTo: tiedTo === null ? null : shortName(tiedTo),
    statistics: statistics && 'statistics' in statistics ? statistics.statistics : null,
    noStatistics: statistics && 'why' in statistics ? statistics.why : null,
    remark: remark === null ? null : shortName(remark),
  };
}

function slice<T, U>(
  items: readonly T[],
  from: number,
  bytes: number,
  described: (item: T) => U,
): { items: U[]; next: number } {
  const page: U[] = [];
  let left = bytes;
  for (let i = from; i < items.length; i++) {
    const item = described(items[i]!);
    left -= bytesOf(item);
    if (left < 0 && page.length > 0) break;
    page.push(item);
  }
  return { items: page, next: from + page.length };
}

function notesOf(notes: readonly string[]): string[] {
  const { items, next } = slice(notes, 0, NOTE_BYTES, (note) => shortName(note, 1_000));
  return next < notes.length
    ? [...items, `${(notes.length - next).toLocaleString('en-US')} more notes are not shown.`]
    : items;
}

function bytesOf(item: unknown): number {
  return Buffer.byteLength(JSON.stringify(item)) + 1;
}
