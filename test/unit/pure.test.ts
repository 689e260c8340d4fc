/** Rules without processes or files. */
import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { parseParams } from '../../cli/arguments.ts';
import { bar, safe, table, wrapped } from '../../cli/format.ts';
import { columnsOf } from '../../cli/width.ts';
import { checkpointPolicy } from '../../daemon/runs/config.ts';
import { etaSeconds } from '../../daemon/runs/live/eta.ts';
import { nextRestart } from '../../daemon/runs/live/restart.ts';
import { labelOf, shortValue } from '../../daemon/runs/naming.ts';
import { downsample, summarize } from '../../daemon/store/catalog/points.ts';
import { bestOf, keptBecause, newestGood } from '../../daemon/store/maintenance/retention.ts';
import type { Checkpoint } from '../../protocol/domain.ts';
import { kept as keptPart, lost } from '../../protocol/ingredients.ts';
import { nearest } from '../../protocol/nearest.ts';
import { compareBuilds } from '../../protocol/version.ts';
import { age, bytes, duration, metric } from '../../protocol/words.ts';
import { judge } from '../../session/divergence.ts';
import { permutation, Random } from '../../trainer/random.ts';

const checkpoint = (step: number, rest: Partial<Checkpoint> = {}): Checkpoint => ({
  id: `c${step}`,
  run: 'r',
  session: 's',
  step,
  epoch: 0,
  createdAt: step,
  bytes: 1,
  storedBytes: 1,
  reasons: ['steps'],
  tags: [],
  grade: 'complete',
  missing: [],
  proof: null,
  stateDigest: '',
  parent: null,
  metrics: {},
  trashedAt: null,
  ...rest,
});

test('a file without the optimizer’s state beside files that have it is not resumed from, and takes the place of none', () => {
  const full = { ingredients: [keptPart('weights', 'weights'), keptPart('optimizer', 'optimizer')] };
  const weights = { ingredients: [keptPart('weights', 'weights'), lost('optimizer', 'optimizer', null)] };
  const list = [
    checkpoint(10, full),
    checkpoint(20, full),
    ...[30, 40, 50, 60].map((step) => checkpoint(step, weights)),
  ];
  expect(newestGood(list, null)?.id).toBe('c20');
  const reasons = keptBecause(list, { last: 2, every: null, monitor: null }, new Map());
  expect([...reasons].filter(([, why]) => why.length > 0).map(([id]) => id)).toEqual(['c10', 'c20', 'c50', 'c60']);
  // Where none has it, or nobody has looked, the newest is the newest.
  expect(newestGood(list.slice(2), null)?.id).toBe('c60');
  expect(newestGood([checkpoint(10), checkpoint(20)], null)?.id).toBe('c20');
  // Half of a sound state is worth more than all of a diverged one.
  const diverged = { ...full, metrics: { loss: 'NaN' as const } };
  expect(newestGood([checkpoint(10, weights), checkpoint(20, diverged)], null)?.id).toBe('c10');
});

test('retention keeps the newest, the best, every nth, tags, requests and what is needed; the rest may go', () => {
  const list = [
    checkpoint(10, { metrics: { val_loss: 0.5 } }),
    checkpoint(20, { metrics: { val_loss: 0.1 } }),
    checkpoint(30, { tags: ['paper'] }),
    checkpoint(40, { reasons: ['request'] }),
    checkpoint(50),
    checkpoint(60),
    checkpoint(70),
  ];
  const kept = keptBecause(
    list,
    { last: 1, every: 25, monitor: { metric: 'val_loss', mode: 'min' } },
    new Map([['c60', { kind: 'fork', text: 'a fork starts from it' }]]),
  );
  const gone = [...kept].filter(([, reasons]) => reasons.length === 0).map(([id]) => id);
  expect(gone).toEqual(['c10']);
  expect(kept.get('c20')).toEqual([{ kind: 'best', text: 'best val_loss' }]);
  expect(kept.get('c50')).toEqual([{ kind: 'every', text: 'every 25 steps' }]);
  expect(kept.get('c70')).toEqual([{ kind: 'newest', text: 'newest of its run' }]);
});

test('the best checkpoint ignores NaN and prefers the earlier of equals', () => {
  const list = [
    checkpoint(1, { metrics: { a: 'NaN' } }),
    checkpoint(2, { metrics: { a: 3 } }),
    checkpoint(3, { metrics: { a: 3 } }),
  ];
  expect(bestOf(list, { metric: 'a', mode: 'max' })?.id).toBe('c2');
  expect(bestOf(list, { metric: 'b', mode: 'max' })).toBeUndefined();
});

test('restarts: in a row only so often, never after a reboot or for what would fail again', () => {
  const crash = { kind: 'lost' as const, code: null, rebooted: false, progressed: false };
  expect(nextRestart({ max: 0, used: 0 }, crash)).toEqual({ refused: '' });
  expect(nextRestart({ max: 2, used: 1 }, crash)).toEqual({ delayMs: 2_000, policy: { max: 2, used: 2 } });
  expect(nextRestart({ max: 2, used: 2 }, crash)).toHaveProperty('refused');
  expect(nextRestart({ max: 2, used: 2 }, { ...crash, progressed: true })).toMatchObject({ policy: { used: 1 } });
  expect(nextRestart({ max: 2, used: 0 }, { ...crash, rebooted: true })).toHaveProperty('refused');
  expect(nextRestart({ max: 2, used: 0 }, { ...crash, kind: 'failed', code: 'moduleInvalid' })).toHaveProperty(
    'refused',
  );
});

test('time left comes from this session’s pace, not from the run’s whole age', () => {
  expect(etaSeconds({ startStep: 900, startedAt: 0 }, 910, 10_000, 1_000)).toBe(90);
  expect(etaSeconds({ startStep: 900, startedAt: 0 }, 901, 10_000, 1_000)).toBeNull();
  expect(etaSeconds({ startStep: 0, startedAt: 0 }, 10, 10_000, null)).toBeNull();
});

test('a clock that jumped back gives no time left instead of a wrong one', () => {
  expect(etaSeconds({ startStep: 0, startedAt: 2_000_000 }, 10, 1_000_000, 100)).toBeNull();
});

test('a label says what differs from the run before', () => {
  expect(labelOf({ lr: 0.0003, units: 64 }, { lr: 0.001, units: 64 })).toBe('lr 0.0003');
  expect(labelOf({ lr: 0.00003 }, { lr: 0.001 })).toBe('lr 3e-5');
  expect(labelOf({ a: 1 }, undefined)).toBe('');
  expect(shortValue('x'.repeat(50))).toHaveLength(24);
});

test('checkpoint intervals are read as written', () => {
  expect(checkpointPolicy({ checkpoint: {} })).toMatchObject({
    everySeconds: 300,
    everySteps: null,
    everyEpochs: 1,
    onBest: true,
    share: 0.02,
  });
  expect(checkpointPolicy({ checkpoint: { every: '1.5h, 500 steps,2 epochs', best: false } })).toEqual({
    everySeconds: 5400,
    everySteps: 500,
    everyEpochs: 2,
    onBest: false,
  });
});

test('mistyped names find the nearest, and nothing when none is near', () => {
  expect(nearest('digts', ['digits', 'train'])).toBe('digits');
  expect(nearest('resmue', ['resume', 'rename', 'rm'])).toBe('resume');
  expect(nearest('quux', ['digits', 'train'])).toBeUndefined();
  expect(nearest('hlep', ['keep', 'help'])).toBe('help');
  expect(nearest('-v', ['ls', 'rm'])).toBeUndefined();
  expect(nearest('x', ['ls', 'rm'])).toBeUndefined();
});

test('builds are ordered by version, then by when they were made', () => {
  expect(compareBuilds({ version: '0.10.0', builtAt: 1 }, { version: '0.9.0', builtAt: 2 })).toBeGreaterThan(0);
  expect(compareBuilds({ version: '1.0.0', builtAt: 1 }, { version: '1.0.0', builtAt: 2 })).toBeLessThan(0);
});

test('the random state can be kept and put back', () => {
  const random = Random.seeded(1, 2);
  random.float();
  const { state } = random;
  const next = [random.float(), random.float()];
  random.state = state;
  expect([random.float(), random.float()]).toEqual(next);
  expect(Random.seeded(1, 3).float()).not.toBe(Random.seeded(1, 2).float());
  const mean = Array.from({ length: 10_000 }, () => random.float()).reduce((a, b) => a + b, 0) / 10_000;
  expect(mean).toBeGreaterThan(0.48);
  expect(mean).toBeLessThan(0.52);
});

test('the order of an epoch depends on seed and epoch alone and holds every sample once', () => {
  expect(permutation(50, 7, 3)).toEqual(permutation(50, 7, 3));
  expect(permutation(50, 7, 3)).not.toEqual(permutation(50, 7, 4));
  expect([...permutation(50, 7, 3)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

test('a spike is far above the recent losses; noise is not', () => {
  const recent: number[] = [];
  for (let i = 0; i < 80; i++) expect(judge(1 + (i % 5) * 0.05, recent)).toBe('fine');
  expect(judge(1.4, recent)).toBe('fine');
  expect(judge(5, recent)).toBe('spike');
  expect(judge(Number.NaN, recent)).toBe('nan');
});

test('down-sampling keeps each bucket’s smallest and largest value, and that there was a NaN', () => {
  const count = 10_000;
  const values = Float64Array.from({ length: count }, (_, i) => Math.sin(i / 50));
  values[5_000] = 99;
  values[7_000] = Number.NaN;
  const steps = Float64Array.from({ length: count }, (_, i) => i);
  const less = downsample({ steps, values, times: steps }, 100);
  expect(less.steps.length).toBeLessThanOrEqual(200);
  expect([...less.values]).toContain(99);
  expect([...less.values].some(Number.isNaN)).toBe(true);
  expect([...less.steps]).toEqual([...less.steps].sort((a, b) => a - b));
  expect(summarize({ steps, values, times: steps })).toMatchObject({ max: 99, maxStep: 5_000, count });
});

test('numbers, sizes and times are short and exact enough', () => {
  expect([bytes(999), bytes(1_500), bytes(12_340_000_000)]).toEqual(['999 B', '1.5 kB', '12.3 GB']);
  expect([metric(0.123456), metric(Number.NaN), metric(1.5e-7), metric(Number.NEGATIVE_INFINITY)]).toEqual([
    '0.1235',
    'NaN',
    '1.50e-7',
    '-∞',
  ]);
  expect([duration(42), duration(600), duration(7_200), age(0, 86_400_000 * 3)]).toEqual([
    '42 s',
    '10 min',
    '2.0 h',
    '3 days ago',
  ]);
  expect(bar(0.5, 8)).toBe('████····');
});

test('long text is wrapped at spaces, and nothing of it is lost', () => {
  const lines = wrapped('one two three fifteen-letters four', 9);
  expect(lines).toEqual(['one two', 'three', 'fifteen-letters', 'four']);
});

test('a table fits the width, leaves out empty columns, and shows control characters instead of obeying them', () => {
  const lines = table(
    [
      { name: safe('evil\u001b[2Jname'), empty: '' },
      { name: 'a very long name that does not fit at all', empty: '' },
    ],
    [
      { title: 'NAME', cell: ({ name }) => name, flexible: true },
      { title: 'EMPTY', cell: ({ empty }) => empty },
      { title: 'N', cell: () => '1' },
    ],
    24,
  );
  expect(lines.every((line) => line.length <= 24)).toBe(true);
  expect(lines[0]).not.toContain('EMPTY');
  expect(lines[1]).toContain('\ufffd[2J');
});

test('what is counted without the library has the width that the library gives', () => {
  const wrong: string[] = [];
  for (let code = 0x20; code < 0x3000; code++) {
    const text = `a${String.fromCodePoint(code)}b`;
    if (columnsOf(text) !== stringWidth(text)) wrong.push(code.toString(16));
  }
  expect(wrong).toEqual([]);
});

test('a table cuts and aligns what is wider or narrower than its characters', () => {
  const names = [
    '模型的名字很長很長',
    '👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦',
    'é'.repeat(30),
    '🇩🇪'.repeat(9),
    'plain',
  ];
  for (const flexible of [true, 'end'] as const) {
    const columns = [
      { title: 'NAME', cell: (name: string) => name, flexible },
      { title: 'N', cell: () => '|' },
    ];
    for (const line of table(names, columns, 14).slice(1)) expect([line, columnsOf(line)]).toEqual([line, 14]);
  }
  expect(table(names, [{ title: 'NAME', cell: (name) => name, flexible: true }], 9)[1]).toBe('模型的名…');
});

test('params are JSON where they can be, else text', () => {
  expect(parseParams(['lr=1e-3', 'name=abc', 'on=true', 'list=[1,2]', 'eq=a=b'], 'param')).toEqual({
    lr: 0.001,
    name: 'abc',
    on: true,
    list: [1, 2],
    eq: 'a=b',
  });
  expect(() => parseParams(['lr'], 'param')).toThrow(/NAME=VALUE/);
});
