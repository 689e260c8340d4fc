/** Formats metrics as tables for spreadsheets and data frames. Pure. */
import type { MetricSeries } from '../../protocol/domain.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';

/** Writes a line for each point. */
export function csvOfPoints(series: readonly MetricSeries[]): string {
  const rows = series.flatMap(({ name, steps, values, times }) =>
    steps.map((step, i) => `${step},${times[i]},${csvText(name)},${csvNumber(fromWireNumber(values[i]!))}`),
  );
  return `${['step,seconds,metric,value', ...rows].join('\n')}\n`;
}

/** Writes every double exactly, and special values as NumPy and pandas do: `NaN`, `inf`, `-inf`, `-0.0`. */
export function csvNumber(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0.0' : String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'inf' : '-inf';
}

export function csvText(text: string): string {
  // Spreadsheets would take such a name for a formula.
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
