/** Parses the metrics that a script prints. Pure. */
import { stripVTControlCharacters } from 'node:util';
import { readNumber } from '../protocol/numbers.ts';

export interface PrintedMetrics {
  step: number | null;
  epoch: number | null;
  values: Record<string, number>;
}

/** Longer lines are not metric lines. */
const MAX_LINE = 4_096;
const PAIR = /([A-Za-z_][\w./-]*)=([^\s,]+)/g;

/** Parses `trainstash step=1200 epoch=3 loss=0.31 val_acc=0.98`; returns null for every other line. */
export function readMetricLine(line: string): PrintedMetrics | null {
  if (line.length > MAX_LINE || !line.includes('trainstash')) return null;
  const text = stripVTControlCharacters(line).trim();
  if (!/^trainstash\s+[A-Za-z_][\w./-]*=/.test(text)) return null;
  const printed: PrintedMetrics = { step: null, epoch: null, values: {} };
  for (const [, name, value] of text.matchAll(PAIR)) {
    const number = readNumber(value!);
    if (number === null) continue;
    if (name === 'step' || name === 'epoch') {
      if (Number.isSafeInteger(number) && number >= 0) printed[name] = number;
    } else printed.values[name!] = number;
  }
  return printed;
}
