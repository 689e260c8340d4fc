/** Writes a run's metrics as CSV, JSON or TensorBoard files. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { csvNumber, csvText } from '../../formats/writers/csv.ts';
import { eventFileHead, scalarEvent } from '../../formats/writers/tfevents.ts';
import type { MetricSeries, Run } from '../../protocol/domain.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import { integer } from '../../protocol/words.ts';
import { OutFile } from '../tensors/output-file.ts';
import type { ExportedFile } from '../tensors/requests.ts';

/** Size of a write: more would take memory, less would be slow. */
const BUFFER_CHARACTERS = 1 << 20;

/** First columns of a CSV file. */
const OWN_COLUMNS: readonly string[] = ['step', 'seconds'];

interface Row {
  step: number;
  /** Seconds since the run's first start. */
  time: number;
  values: { tag: string; value: number }[];
}

/** Writes metrics. `path` is a folder for TensorBoard, which looks for files by their names. */
export async function writeMetrics(
  format: 'tfevents' | 'csv' | 'json',
  run: Run,
  all: readonly MetricSeries[],
  path: string,
): Promise<{ files: ExportedFile[]; notes: string[] }> {
  const series = all.map(lastOfEachStep);
  const notes = notesOf(all, series);
  if (format === 'csv') {
    const columns = columnsOf(series);
    for (const [i, { name }] of series.entries())
      if (columns[i] !== name) notes.push(`The metric "${name}" has the column "${columns[i]}".`);
    return { files: [await writeFile('', path, csvOf(series, columns))], notes };
  }
  if (format === 'json') return { files: [await writeFile('', path, jsonOf(series))], notes };
  mkdirSync(path);
  const startedAt = run.startedAt ?? run.createdAt;
  const name = `events.out.tfevents.${Math.floor(startedAt / 1000)}.trainstash`;
  const file = await writeFile(name, join(path, name), eventsOf(series, startedAt));
  notes.push('TensorBoard stores float32; csv and json have the exact numbers that were logged.');
  return { files: [file], notes };
}

/** Keeps one point for each step, the last one logged. */
function lastOfEachStep({ name, steps, values, times, total }: MetricSeries): MetricSeries {
  const kept = steps.flatMap((step, i) => (step === steps[i + 1] ? [] : [i]));
  const column = <T>(all: readonly T[]) => kept.map((i) => all[i]!);
  return { name, steps: column(steps), values: column(values), times: column(times), total };
}

function notesOf(all: readonly MetricSeries[], series: readonly MetricSeries[]): string[] {
  const points = (some: readonly MetricSeries[]) => some.reduce((sum, { steps }) => sum + steps.length, 0);
  const dropped = points(all) - points(series);
  if (dropped === 0) return [];
  const values = dropped === 1 ? '1 value is' : `${integer(dropped)} values are`;
  return [`${values} left out: where a step was logged several times in a row, only the last one counts.`];
}

async function writeFile(name: string, path: string, pieces: Iterable<Uint8Array>): Promise<ExportedFile> {
  const file = new OutFile(path, { bytes: 0 });
  try {
    for (const piece of pieces) file.write(piece);
    return { name, ...(await file.finish()) };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Yields the points of all series ordered by step, within a step by time. */
function* rowsOf(series: readonly MetricSeries[]): Generator<Row> {
  const next = series.map(() => 0);
  for (;;) {
    let step = Number.POSITIVE_INFINITY;
    for (const [i, one] of series.entries()) step = Math.min(step, one.steps[next[i]!] ?? step);
    if (step === Number.POSITIVE_INFINITY) return;
    const row: Row = { step, time: 0, values: [] };
    for (const [i, one] of series.entries()) {
      const at = next[i]!;
      if (one.steps[at] !== step) continue;
      row.time = Math.max(row.time, one.times[at]!);
      row.values.push({ tag: one.name, value: fromWireNumber(one.values[at]!) });
      next[i] = at + 1;
    }
    yield row;
  }
}

/** Names the columns of metrics, none of them as a column of ours. */
function columnsOf(series: readonly MetricSeries[]): string[] {
  const taken = new Set([...OWN_COLUMNS, ...series.map(({ name }) => name)]);
  return series.map(({ name }) => {
    if (!OWN_COLUMNS.includes(name)) return name;
    let column = name;
    while (taken.has(column)) column += ' (metric)';
    taken.add(column);
    return column;
  });
}

function csvOf(series: readonly MetricSeries[], columns: readonly string[]): Generator<Uint8Array> {
  const names = series.map(({ name }) => name);
  return buffered(
    (function* lines() {
      yield `${[...OWN_COLUMNS, ...columns].map(csvText).join(',')}\r\n`;
      for (const { step, time, values } of rowsOf(series)) {
        const cells = names.map((name) => values.find(({ tag }) => tag === name)?.value);
        yield `${[step, time, ...cells].map((cell) => (cell === undefined ? '' : csvNumber(cell))).join(',')}\r\n`;
      }
    })(),
  );
}

/** Writes JSON. Numbers that JSON lacks become texts: "NaN", "Infinity", "-Infinity"; −0, which it has, is `-0.0`. */
function jsonOf(series: readonly MetricSeries[]): Generator<Uint8Array> {
  return buffered(
    (function* texts() {
      yield '{"metrics":[';
      for (const [i, { name, steps, values, times }] of series.entries()) {
        yield `${i > 0 ? ',' : ''}\n{"name":${JSON.stringify(name)}`;
        yield `,\n"steps":${JSON.stringify(steps)},\n"seconds":${JSON.stringify(times)}`;
        yield `,\n"values":[${values.map((value) => (value === '-0' ? '-0.0' : JSON.stringify(value))).join(',')}]}`;
      }
      yield '\n]}\n';
    })(),
  );
}

function* buffered(texts: Iterable<string>): Generator<Uint8Array> {
  let buffer = '';
  for (const text of texts) {
    buffer += text;
    if (buffer.length < BUFFER_CHARACTERS) continue;
    yield Buffer.from(buffer, 'utf8');
    buffer = '';
  }
  if (buffer !== '') yield Buffer.from(buffer, 'utf8');
}

function* eventsOf(series: readonly MetricSeries[], startedAt: number): Generator<Uint8Array> {
  let parts = [eventFileHead(startedAt)];
  let bytes = 0;
  for (const { step, time, values } of rowsOf(series)) {
    const event = scalarEvent(startedAt + time * 1000, step, values);
    parts.push(event);
    bytes += event.length;
    if (bytes < BUFFER_CHARACTERS) continue;
    yield Buffer.concat(parts);
    parts = [];
    bytes = 0;
  }
  yield Buffer.concat(parts);
}
