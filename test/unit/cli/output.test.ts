/** A terminal obeys nothing that is in a name or a log. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { useColours } from '../../../cli/format.ts';
import { inspectionLines } from '../../../cli/inspection.ts';
import { printable } from '../../../cli/output.ts';
import { checkpointTable, fsckLines, keptLines, progressLine, runDetails, runTable } from '../../../cli/views.ts';
import { weightsLines } from '../../../cli/weights.ts';
import { LogFilter } from '../../../client/log-filter.ts';
import { newRun, newSession } from '../../../daemon/runs/records.ts';
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import { visible, visibleJson } from '../../../protocol/visible.ts';
import { Generator } from '../../support/generator.ts';

const ESC = '\u001b';
const BEL = '\u0007';
const CLIPBOARD = `${ESC}]52;c;cm0gLXJmIH4K${BEL}`;
const TITLE = `${ESC}]0;root@prod${BEL}`;
const LINK = `${ESC}]8;;https://evil.example${ESC}\\here${ESC}]8;;${ESC}\\`;
const DEVICE = `${ESC}P+q544e${ESC}\\`;
const BIDI = '\u202egnp.exe\u202c\u2066x\u2069\u200e\u200f';
const HIDDEN = 'a\u200bb\u200dc\u2060d\u00ade\ufeff\u{e0041}';
const C1 = '\u009b2J\u009d0;t\u009c\u0085\u007f';
const HOSTILE = `n${CLIPBOARD}${TITLE}${LINK}${DEVICE}${BIDI}${HIDDEN}${C1}${ESC}[2J${ESC}[8mhidden\r\n\tm`;
const CONTROLS = '\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f';
const OBEYED = new RegExp(`[${CONTROLS}\\u00ad\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]|\\u{e0041}`, 'u');
const OURS = new RegExp(`${ESC}\\[(?:0|1|2|22|3[1-6]|39)m`, 'g');
const IN_LOGS = new RegExp(`${ESC}\\[[0-9;:]*[mK]`, 'g');
const NEVER_IN_LOGS = new RegExp(`[${ESC}${BEL}\u009b\u009d\u202e]`);

afterEach(() => useColours(false));

const run: Run = {
  ...newRun({
    job: HOSTILE,
    params: { [HOSTILE]: HOSTILE, lr: 0.1 },
    overrides: [],
    seed: 0,
    backend: HOSTILE,
    identity: { branch: HOSTILE, commit: 'a'.repeat(40), dirty: true, code: 'b'.repeat(40), codeLeftOut: [HOSTILE] },
    restarts: 0,
    kind: 'command',
    command: { words: [HOSTILE], cwd: HOSTILE },
  }),
  name: HOSTILE,
  label: HOSTILE,
  note: HOSTILE,
  reason: HOSTILE,
  backendReason: HOSTILE,
  notices: [{ code: HOSTILE, level: 'warning', text: HOSTILE, step: 1, at: 1 }],
  metrics: { [HOSTILE]: { last: 1, lastStep: 1, min: 1, minStep: 1, max: 1, maxStep: 1, count: 1 } } as never,
  monitor: { metric: HOSTILE, mode: 'min' },
  parent: { run: HOSTILE, checkpoint: HOSTILE, step: 1 },
};
const checkpoint = {
  id: HOSTILE,
  step: 1,
  epoch: 1,
  grade: 'complete',
  proof: null,
  tags: [HOSTILE],
  reasons: [HOSTILE],
  bytes: 1,
  createdAt: 1,
  metrics: {},
} as unknown as Checkpoint;
const tensor = {
  name: HOSTILE,
  dtype: HOSTILE,
  shape: [1],
  bytes: 4,
  tiedTo: HOSTILE,
  statistics: null,
  noStatistics: HOSTILE,
  remark: HOSTILE,
};

const VIEWS: Record<string, () => string[]> = {
  'table of runs': () => runTable([run], 200),
  'one run': () => runDetails(run, [newSession(run, 'train', null)], [checkpoint], 200),
  progress: () => [progressLine({ ...run, status: 'running' }, 200)],
  'table of checkpoints': () => checkpointTable([checkpoint], 200),
  'what is kept': () =>
    keptLines(
      [
        {
          run: 'r',
          name: HOSTILE,
          branch: HOSTILE,
          bytes: 1,
          checkpoints: [{ checkpoint, reasons: [HOSTILE] }],
          more: 1,
        },
      ],
      200,
    ),
  fsck: () =>
    fsckLines(
      {
        chunks: 1,
        checkpoints: 1,
        bytes: 1,
        problems: [{ checkpoint: HOSTILE, chunk: HOSTILE, problem: HOSTILE, whole: HOSTILE }],
        rebuilt: { runs: 1, checkpoints: 1, notRestored: [HOSTILE] },
      },
      true,
    ),
  'a file': () =>
    inspectionLines(
      {
        format: 'torch',
        bytes: 1,
        version: HOSTILE,
        tensors: [tensor],
        tensorCount: 1,
        foundCount: 1,
        elements: 1,
        values: [{ name: HOSTILE, value: HOSTILE }],
        valueCount: 1,
        classes: [{ name: HOSTILE, count: 2 }],
        classCount: 1,
        notes: [HOSTILE],
        next: null,
      },
      200,
      true,
    ),
  weights: () =>
    weightsLines(
      {
        sides: [HOSTILE, HOSTILE],
        equal: false,
        counts: { equal: 0, equalUnread: 0, changed: 0, reshaped: 0, unreadable: 0 },
        readBytes: 0,
        totals: [{ part: HOSTILE, elements: 1, changed: 1, norm: 1, relative: null }],
        only: [
          { names: [HOSTILE], count: 1 },
          { names: [], count: 0 },
        ],
        notes: [HOSTILE],
        tensors: [],
      } as never,
      200,
      true,
    ),
};

describe('what is printed', () => {
  test.each(Object.keys(VIEWS))('%s obeys nothing that a name holds', (view) => {
    for (const line of VIEWS[view]!().map(printable)) expect(line).not.toMatch(OBEYED);
    useColours(true);
    const bare = VIEWS[view]!().map((line) => printable(line).replaceAll(OURS, ''));
    for (const line of bare) expect(line).not.toMatch(OBEYED);
    expect(bare.join('')).not.toContain('\u001b[8m');
  });

  test('goes through one file: nothing else in the command line writes to a stream', () => {
    const folder = join(import.meta.dirname, '../../../cli');
    const others = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      // The entry file only reports that there is no suitable Node.
      (name) => name.endsWith('.ts') && !['output.ts', 'trainstash.ts'].includes(name),
    );
    const wrong = others.filter((name) =>
      /\bconsole\.|\bstd(?:out|err)\b[^\n]{0,20}\.write\(|writeSync\(/.test(readFileSync(join(folder, name), 'utf8')),
    );
    expect(wrong).toEqual([]);
  });

  test('as JSON says the same, with nothing in it that a terminal obeys', () => {
    const json = visibleJson(JSON.stringify({ name: HOSTILE }));
    expect(json).not.toMatch(OBEYED);
    expect(JSON.parse(json)).toEqual({ name: HOSTILE });
  });

  test('keeps what names are written in', () => {
    for (const name of ['digits #14', 'größe', 'модель', '模型', 'تجربة', 'ניסוי', '🚀 run', 'café'])
      expect(visible(name)).toBe(name);
  });
});

describe('a log in a terminal', () => {
  const log = `one${CLIPBOARD}${TITLE}\n${ESC}[32mgreen${ESC}[0m\r50%|##  |${ESC}[K${ESC}[A${ESC}[?25l${DEVICE}${LINK}${BIDI}\ta\b${C1}${ESC}(B${ESC}c end`;
  const filtered = (pieces: string[]) => {
    const filter = new LogFilter();
    return pieces.map((piece) => filter.take(piece)).join('');
  };

  test('keeps lines, colours and bars, and loses the rest', () => {
    expect(filtered([log])).toBe(
      `one\n${ESC}[32mgreen${ESC}[0m\r50%|##  |${ESC}[Khere\ufffdgnp.exe\ufffd\ufffdx\ufffd\u200e\u200f\ta\b end`,
    );
  });

  test('is the same however it is cut', () => {
    const whole = filtered([log]);
    for (let at = 1; at < log.length; at++) expect(filtered([log.slice(0, at), log.slice(at)])).toBe(whole);
    expect(filtered([...log])).toBe(whole);
    const random = new Generator(3);
    for (let round = 0; round < 200; round++) {
      const text = Array.from({ length: 30 }, () =>
        random.pick([
          ESC,
          BEL,
          '[',
          ']',
          '0',
          ';',
          'm',
          'K',
          'P',
          '\\',
          '\n',
          'x',
          '\u009b',
          '\u009d',
          '\u009c',
          '\u202e',
        ]),
      ).join('');
      expect(filtered([...text, 'end\n']).replaceAll(IN_LOGS, '')).not.toMatch(NEVER_IN_LOGS);
    }
  });

  test('is not swallowed by a title without an end', () => {
    expect(filtered([`a${ESC}]0;`, 'text '.repeat(2_000), '\n'])).toContain('text text');
  });
});
