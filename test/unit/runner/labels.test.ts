/** Step of a file whose name and content do not say it: derived from what its script prints before, after or much later. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NO_FACTS } from '../../../runner/content-facts.ts';
import { type Labelled, Labels } from '../../../runner/labels.ts';
import { Progress } from '../../../runner/progress.ts';
import { factsOfName } from '../../../session/names.ts';

const BEGAN = 1_700_000_000_000;
const EPOCH_MS = 6_000;
const STEPS = 10;
const EPOCHS = 4;
const LOOK_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Script {
  name: (epoch: number) => string;
  /** Number of its first epoch. */
  printsFrom: number;
  lines: number;
  /** Delay between saving and printing; negative: printed before. */
  printedMs: number;
  /** Delay until a launcher passes a line on. */
  lateMs: number;
}

/** Returns the final labels of a training. */
function stepsOf({ name, printsFrom, lines, printedMs, lateMs }: Script): number[] {
  const progress = new Progress(0);
  const labels = new Labels(progress);
  const files: Labelled[] = [];
  const printed: { at: number; step: number; epoch: number }[] = [];
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const saved = BEGAN + (epoch + 1) * EPOCH_MS;
    for (let line = 1; line <= lines; line++) {
      const at = saved - ((lines - line) * EPOCH_MS) / lines / 2 + printedMs + lateMs;
      printed.push({ at, step: epoch * STEPS + (line * STEPS) / lines, epoch: epoch + printsFrom });
    }
    const path = name(epoch);
    files.push({
      key: path,
      series: path.replaceAll(/\d+/g, '#'),
      time: saved,
      content: NO_FACTS,
      name: factsOfName(path),
    });
  }
  const steps: number[] = [];
  const settled = new Set<number>();
  for (let now = BEGAN; now <= BEGAN + (EPOCHS + 4) * EPOCH_MS; now += LOOK_MS) {
    vi.setSystemTime(now);
    while (printed[0] && printed[0].at <= now) {
      const { at, step, epoch } = printed.shift()!;
      progress.record(at, step, epoch, { loss: 1 / step });
    }
    for (const [i, file] of files.entries())
      if (file.time + 2_000 <= now && !settled.has(i)) {
        const label = labels.of(file, false);
        steps[i] = label.step;
        if (label.settled) settled.add(i);
      }
  }
  return steps;
}

const RIGHT = Array.from({ length: EPOCHS }, (_, epoch) => (epoch + 1) * STEPS);

describe('a file that names its epoch, or just counts', () => {
  const scripts = [0, 1].flatMap((namesFrom) =>
    [0, 1].flatMap((printsFrom) =>
      [1, 5].flatMap((lines) =>
        [-50, 400].flatMap((printedMs) =>
          // So late that none of an epoch's lines comes before its file.
          [0, 4_000].map((lateMs) => ({ namesFrom, printsFrom, lines, printedMs, lateMs })),
        ),
      ),
    ),
  );
  test.each(scripts.filter(({ lines, lateMs }) => lines === 1 || lateMs === 0))('%j', ({ namesFrom, ...script }) => {
    for (const name of ['model_N.pt', 'ckpt_epoch_N.pt', 'out/epN.weights.h5'])
      expect([name, stepsOf({ ...script, name: (epoch) => name.replace('N', String(epoch + namesFrom)) })]).toEqual([
        name,
        RIGHT,
      ]);
  });
});

test('a file that is called after its step has that step, however late it is told', () => {
  for (const lateMs of [0, 4_000])
    expect(
      stepsOf({ name: (epoch) => `model_${(epoch + 1) * STEPS}.pt`, printsFrom: 0, lines: 1, printedMs: 400, lateMs }),
    ).toEqual(RIGHT);
});

test('a file that is called after its fold has the step at which that ended, and not one of the next fold', () => {
  vi.setSystemTime(BEGAN);
  const progress = new Progress(0);
  const labels = new Labels(progress);
  const steps = [0, 1, 2].map((fold) => {
    const time = BEGAN + fold * EPOCH_MS;
    for (let step = 1; step <= 5; step++) progress.record(time - 100 + step, step, null, { loss: 1 });
    const content = NO_FACTS;
    return { key: `fold_${fold}.pt`, series: 'fold_#.pt', time, content, name: factsOfName(`fold_${fold}.pt`) };
  });
  expect(steps.map((file) => labels.of(file, false).step)).toEqual([5, 5, 5]);
});

describe('a script stands at the step', () => {
  const after = (...lines: [step: number, values?: Record<string, number>][]) => {
    const progress = new Progress(600);
    for (const [i, [step, values = { loss: 1 }]] of lines.entries()) progress.record(i, step, null, values);
    return progress.now.step;
  };
  test('that it was resumed from, until it says another: also a lower one', () => {
    expect(after()).toBe(600);
    expect(after([60])).toBe(60);
    expect(after([601], [602])).toBe(602);
  });
  test('of its newest loop: folds, phases, a start anew in the middle', () => {
    expect(after([1], [2], [3], [1], [2])).toBe(2);
    expect(after([100, { loss: 1, val: 1 }], [200, { loss: 1 }], [20, { loss: 1 }])).toBe(20);
    expect(after([1, {}], [2, {}], [1, {}])).toBe(1);
  });
  test('and not at one that an evaluation afterwards is told of, in whatever order', () => {
    const train = [10, 20, 30, 40, 50].map((step) => [step, { loss: 1 }] as [number, Record<string, number>]);
    for (const steps of [
      [50, 40, 30],
      [10, 20, 30],
      [30, 10, 40],
    ])
      expect(after(...train, ...steps.map((step) => [step, { eval: 1 }] as [number, Record<string, number>]))).toBe(50);
  });
});
