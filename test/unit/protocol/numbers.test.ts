/** Numbers of metrics, from the table that tests Python too, and doubles of every kind. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { csvNumber } from '../../../formats/writers/csv.ts';
import {
  alarmingMetric,
  fromWireNumber,
  hasDiverged,
  isBetter,
  isWireNumber,
  readNumber,
  toWireNumber,
  unmarkNumbers,
  type WireNumber,
  wireNumberSchema,
} from '../../../protocol/numbers.ts';
import { exactly, metric } from '../../../protocol/words.ts';
import { DivergenceWatch, judge } from '../../../session/divergence.ts';
import { progressMetadata } from '../../../trainer/state.ts';
import { bitsOf, doubles, ofBits } from '../../support/doubles.ts';
import { PACKAGE, PYTHON } from '../../support/python.ts';

interface Table {
  numbers: { bits: string; json: string[]; shown: string; exactly: string; csv: string }[];
  payloads: string[];
  printed: [text: string, read: WireNumber | null][];
  best: { mode: 'min' | 'max'; value: WireNumber; best: number | null; better: boolean }[];
  diverged: {
    monitor: string | null;
    newest: Record<string, WireNumber | null>;
    alarm: string | null;
    diverged: boolean;
  }[];
  judged: { mode: 'min' | 'max'; calm: number; noise: number; value: WireNumber; verdict: string }[];
}
const table: Table = JSON.parse(readFileSync(join(import.meta.dirname, '../../fixtures/numbers.json'), 'utf8'));
const throughJson = (value: number): number => fromWireNumber(JSON.parse(JSON.stringify(toWireNumber(value))));

test.each(table.numbers)('$shown ($bits) is read, written and shown', ({ bits, json, ...words }) => {
  const value = ofBits(bits);
  for (const text of json) {
    const wire = JSON.parse(text);
    expect(isWireNumber(wire)).toBe(true);
    expect(bitsOf(fromWireNumber(v.parse(wireNumberSchema, wire)))).toBe(bitsOf(value));
  }
  expect(bitsOf(throughJson(value))).toBe(bitsOf(value));
  const wire = toWireNumber(value);
  expect({ shown: metric(wire), exactly: exactly(wire), csv: csvNumber(value) }).toEqual(words);
});

test('every NaN is NaN, whatever its payload', () => {
  for (const bits of table.payloads) expect(toWireNumber(ofBits(bits))).toBe('NaN');
});

test('every kind of double comes back from JSON with its bits, alone and among a user’s own values', () => {
  const values = [...doubles(20_000)];
  const wrong = values.filter((value) => bitsOf(throughJson(value)) !== bitsOf(value));
  expect(wrong).toEqual([]);
  const state = { data: values.slice(0, 500), text: 'NaN', nested: { $number: 7 } };
  const [text] = Object.values(progressMetadata(state as never));
  const back = JSON.parse(text!, unmarkNumbers);
  expect(back.data.map(bitsOf)).toEqual(state.data.map(bitsOf));
  expect([back.text, back.nested]).toEqual(['NaN', { $number: 7 }]);
});

test('a value that is not one of our numbers is refused', () => {
  for (const wire of ['nan', 'inf', '', '1', true, [], {}, undefined]) {
    expect(isWireNumber(wire)).toBe(false);
    expect(v.safeParse(wireNumberSchema, wire).success).toBe(false);
  }
});

test.each(table.printed)('%o is read as %o from what a program prints', (text, expected) => {
  const read = readNumber(text);
  expect(read === null ? null : toWireNumber(read)).toBe(expected);
});

test.each(table.best)('of $mode, $value is better than $best: $better', ({ mode, value, best, better }) => {
  expect(isBetter(mode, fromWireNumber(value), best)).toBe(better);
});

test.each(table.diverged)('$newest, watching $monitor: alarm $alarm, diverged $diverged', (row) => {
  const monitor = row.monitor === null ? null : { metric: row.monitor, mode: 'min' as const };
  const newest = (name: string) => row.newest[name];
  expect(alarmingMetric(monitor, newest)).toBe(row.alarm);
  expect(hasDiverged(monitor, newest)).toBe(row.diverged);
});

describe('a training that diverges', () => {
  test.each(table.judged)(
    '$value after $calm ± $noise is $verdict ($mode)',
    ({ mode, calm, noise, value, verdict }) => {
      const recent: number[] = [];
      for (let i = 0; i < 130; i++) expect(judge(calm + ((i % 5) / 4) * noise, recent, mode)).toBe('fine');
      expect(judge(fromWireNumber(value), recent, mode)).toBe(verdict);
    },
  );

  test('is news once until its metric is finite again, and pauses as the job has it', () => {
    const monitor = { metric: 'val', mode: 'min' as const };
    const watch = new DivergenceWatch({ monitor, onNaN: 'pause', onSpike: 'ignore' }, []);
    const found = [1, Number.NaN, Number.POSITIVE_INFINITY, 1, Number.NEGATIVE_INFINITY].map((loss, step) => {
      const finding = watch.look(step, { loss, grad_norm: Number.NaN });
      expect(watch.diverged).toBe(!Number.isFinite(loss));
      return finding && [finding.what, finding.isNews, finding.pauses];
    });
    expect(found).toEqual([
      null,
      ['loss was NaN at step 1', true, true],
      ['loss was ∞ at step 2', false, true],
      null,
      ['loss was -∞ at step 4', true, true],
    ]);
    // A failing evaluation says nothing about the weights.
    expect(watch.look(5, { loss: 1, val: Number.NaN })).toMatchObject({ metric: 'val', code: 'nan' });
    expect(watch.diverged).toBe(false);
  });
});

test.skipIf(!PYTHON)('Python has the same rules', async () => {
  const script = join(PACKAGE, '../tests/test_numbers.py');
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await promisify(execFile)(PYTHON, [script], { env });
  const tests = [...readFileSync(script, 'utf8').matchAll(/^def (test_\w+)/gm)].map(([, name]) => `ok ${name}`);
  expect(stdout.trim().split('\n')).toEqual(tests.sort());
});
