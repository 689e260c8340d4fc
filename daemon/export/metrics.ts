/** A run's metrics as files for others: CSV, JSON, TensorBoard. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fromWireNumber, type MetricSeries, type Run } from '../../protocol/domain.ts';
import { OutFile } from '../content/out-file.ts';
import type { ExportedFile } from '../content/requests.ts';
import { eventFileHead, scalarEvent } from '../formats/writers/tfevents.ts';

/** Written together: more would take memory, fewer would be slow. */
const BUFFER_CHARACTERS = 1 << 20;

interface Row {
  step: number;
  /** Seconds since the run's first start. */
  time: number;
  values: { tag: string; value: number }[];
}

/** `path` is a folder for TensorBoard, which looks for files by their names. */
export async function writeMetrics(
  format: 'tfevents' | 'csv' | 'json',
  run: Run,
  series: readonly MetricSeries[],
  path: string,
): Promise<{ files: ExportedFile[]; notes: string[] }> {
  if (format === 'csv') return { files: [await written('', path, csvOf(series))], notes: [] };
  if (format === 'json') return { files: [await written('', path, jsonOf(series))], notes: [] };
  mkdirSync(path);
  const startedAt = run.startedAt ?? run.createdAt;
  const name = `events.out.tfevents.${Math.floor(startedAt / 1000)}.trainstash`;
  const file = await written(name, join(path, name), eventsOf(series, startedAt));
  return { files: [file], notes: ['TensorBoard keeps float32: csv and json hold the numbers as they were logged.'] };
}

async function written(name: string, path: string, pieces: Iterable<Uint8Array>): Promise<ExportedFile> {
  const file = new OutFile(path, { bytes: 0 });
  try {
    for (const piece of pieces) file.write(piece);
    return { name, ...(await file.finish()) };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The points of all series by step; of one step by time. */
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

function csvOf(series: readonly MetricSeries[]): Generator<Uint8Array> {
  const names = series.map(({ name }) => name);
  return buffered(
    (function* lines() {
      yield `${['step', 'seconds', ...names].map(csvText).join(',')}\r\n`;
      for (const { step, time, values } of rowsOf(series)) {
        const cells = names.map((name) => values.find(({ tag }) => tag === name)?.value);
        yield `${[step, time, ...cells].map((cell) => (cell === undefined ? '' : numberText(cell))).join(',')}\r\n`;
      }
    })(),
  );
}

function csvText(text: string): string {
  // A formula to a spreadsheet, which a metric's name must not become.
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? String(value) : value > 0 ? 'Infinity' : '-Infinity';
}

/** Numbers that JSON has none for are texts: "NaN", "Infinity", "-Infinity". */
function jsonOf(series: readonly MetricSeries[]): Generator<Uint8Array> {
  return buffered(
    (function* texts() {
      yield '{"metrics":[';
      for (const [i, { name, steps, values, times }] of series.entries()) {
        yield `${i > 0 ? ',' : ''}\n{"name":${JSON.stringify(name)}`;
        yield `,\n"steps":${JSON.stringify(steps)},\n"seconds":${JSON.stringify(times)}`;
        yield `,\n"values":${JSON.stringify(values)}}`;
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
