import { appendFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Bars } from '../../../cli/bars.ts';
import { Output } from '../../../runner/output.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { printedBytes, prunePrinted, readPrinted } from '../../../session/printed.ts';
import { Reporter } from '../../../session/reporter.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { sampleOfEach } from '../../support/sample.ts';
import { makeLaunch } from '../../support/trainer.ts';

const MEGABYTE = 1_000_000;
const LINE_BYTES = 64;

/** Makes the bytes at a position: the position as a number, repeated, in lines of 64. */
function text(from: number, bytes: number): Buffer {
  const first = from - (from % LINE_BYTES);
  const words = new Uint32Array(Math.ceil((from + bytes - first) / LINE_BYTES) * (LINE_BYTES / 4));
  for (let i = 0; i < words.length; i++) words[i] = first / 4 + i;
  const whole = Buffer.from(words.buffer);
  for (let i = 0; i < whole.length; i++) if (whole[i] === 10) whole[i] = 11;
  for (let i = LINE_BYTES - 1; i < whole.length; i += LINE_BYTES) whole[i] = 10;
  return whole.subarray(from - first, from - first + bytes);
}

/** Makes a generator of the same numbers each time, from 0 to 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

type Print = (bytes: Buffer) => void;
const WRITERS: Record<string, (directory: SessionDirectory) => Print> = {
  'a command': (directory) => {
    const output = new Output(directory, () => {});
    return (bytes) => output.take(bytes);
  },
  'a trainer, whose stdout is the file itself': (directory) => {
    const reporter = new Reporter(directory);
    return (bytes) => {
      appendFileSync(directory.file('output'), bytes);
      reporter.capOutput();
    };
  },
};

const PRINTED = Object.keys(WRITERS).flatMap((writer) =>
  [5, 60, 100].flatMap((size) => [0.2, 3].map((speed) => [writer, size, speed] as const)),
);

// Of each writer a short output, which stays whole, and one that is more than is kept.
test.each(sampleOfEach(PRINTED, ([writer, size]) => `${writer} ${size > 5}`))(
  'of what %s prints (%d MB, read at %f of its speed) each byte arrives or is counted as gone',
  (writer, size, speed) => {
    const directory = SessionDirectory.create(temporaryFolder(), makeLaunch());
    const print = WRITERS[writer]!(directory);
    const random = numbers(size * 10 + speed);
    const total = size * MEGABYTE;
    let printed = 0;
    let read = 0;
    let gone = 0;
    const readOnce = () => {
      const piece = readPrinted(directory, read, Math.ceil(random() * 2 * MEGABYTE * speed));
      const at = read + piece.gone;
      expect(piece.bytes.equals(text(at, piece.bytes.length))).toBe(true);
      expect(piece.next).toBe(at + piece.bytes.length);
      gone += piece.gone;
      read = piece.next;
      return piece.bytes.length;
    };
    while (printed < total) {
      const bytes = Math.min(total - printed, Math.ceil(random() * 2 * MEGABYTE));
      print(text(printed, bytes));
      printed += bytes;
      readOnce();
    }
    expect(printedBytes(directory)).toBe(total);
    while (readOnce() > 0);
    expect(read).toBe(total);
    // Only a reader that is far behind much output misses anything.
    if (size <= 60 || speed >= 1) expect(gone).toBe(0);
    else expect(gone).toBeGreaterThan(0);
  },
);

test('an ended session keeps the newest of its output only, and its places stay what they are', () => {
  const directory = SessionDirectory.create(temporaryFolder(), makeLaunch());
  const output = new Output(directory, () => {});
  const total = 50 * MEGABYTE;
  for (let at = 0; at < total; at += MEGABYTE) output.take(text(at, MEGABYTE));
  output.close();
  prunePrinted(directory);
  const kept = readdirSync(directory.path)
    .filter((name) => name.startsWith('output'))
    .reduce((sum, name) => sum + statSync(`${directory.path}/${name}`).size, 0);
  expect(kept).toBeLessThan(22 * MEGABYTE);
  const { bytes, gone } = readPrinted(directory, 0, 1_600);
  expect(gone).toBeGreaterThan(28 * MEGABYTE);
  expect(bytes.equals(text(gone, bytes.length))).toBe(true);
  expect(existsSync(directory.file('output'))).toBe(true);
});

test('a progress bar is shown in its last state, however it was cut into pieces', () => {
  const printed = 'start\r\n\r 0%|   |\r 50%|##  |\r100%|####|\r\ncleared \r         \rdone\n\rno end 1\rno end 2';
  const expected = 'start\n100%|####|\ndone\nno end 2';
  for (let size = 1; size <= printed.length; size++) {
    let shown = '';
    const bars = new Bars((piece) => {
      shown += piece;
    }, 0);
    for (let at = 0; at < printed.length; at += size) bars.take(printed.slice(at, at + size));
    bars.end();
    expect(shown).toBe(expected);
  }
});

test('in a terminal a line that has not ended is drawn where it stands, and over itself', () => {
  let shown = '';
  const bars = new Bars((piece) => {
    shown += piece;
  }, 20);
  bars.take('\r10%');
  bars.rest();
  bars.rest();
  bars.take('\r20% and much more than fits in here');
  bars.rest();
  bars.take('\r100%\n');
  expect(shown).toBe('10%\r\u001b[2K20% and much more t\r\u001b[2K100%\n');
});
