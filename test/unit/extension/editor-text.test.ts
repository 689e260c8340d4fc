/** Names in the editor, which come from stores, scripts and files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newRun } from '../../../daemon/runs/records.ts';
import { lookOfRun, oneLine, plain, statusOf } from '../../../extension/core/text.ts';
import { bestOf } from '../../../pages/run-facts.ts';
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import type { Trash } from '../../../protocol/messages/store.ts';
import { lossLines } from '../../../protocol/trash-words.ts';

const HOSTILE = 'a\u202egnp\u202c\u2066b\u2069\u200e\u200fc\u200b\ufeff\u001b]0;t\u0007$(check)[x](command:y)\r\n\td';
const CONTROLS = '\\u0000-\\u001f\\u007f-\\u009f';
const HIDDEN = new RegExp(`[${CONTROLS}\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]`);

const blank = newRun({
  job: 'x',
  params: {},
  overrides: [],
  seed: 0,
  backend: '',
  identity: { branch: 'main', commit: null, dirty: false, code: null, codeLeftOut: [] },
  restarts: 0,
});

test('a name is shown on one line, with nothing reversed or hidden, and no icon or link', () => {
  expect(oneLine(HOSTILE)).not.toMatch(HIDDEN);
  expect(oneLine(HOSTILE)).toContain('a\ufffdgnp\ufffd\ufffdb\ufffd\ufffd\ufffdc\ufffd \ufffd]0;t\ufffd');
  expect(plain(HOSTILE)).not.toMatch(HIDDEN);
  expect(plain(HOSTILE)).not.toMatch(/\$\(|\]\(/);
  expect(oneLine('größe 模型 🚀')).toBe('größe 模型 🚀');
});

test('the text for a run hides nothing', () => {
  const run: Run = {
    ...blank,
    name: HOSTILE,
    label: HOSTILE,
    status: 'failed',
    endedAt: Date.now(),
  };
  expect(statusOf([run], new Set(), Date.now())!.text).not.toMatch(HIDDEN);
  expect(oneLine(lookOfRun(run, Date.now()).spoken)).not.toMatch(HIDDEN);
});

test('rows, tooltips and names of terminals are made of such lines', () => {
  const folder = join(import.meta.dirname, '../../../extension');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.startsWith('pages'),
  );
  const wrong = files.flatMap((name) =>
    readFileSync(join(folder, name), 'utf8')
      .split('\n')
      .filter((line) => /new vscode\.TreeItem\(|\.appendText\(|\.tooltip = |accessibilityInformation = /.test(line))
      .filter(
        (line) =>
          !/oneLine\(|TreeItem\((?:'|`step |this\.#branchName|vscode\.Uri)|\.appendText\($|\.appendText\((?:` · |`Step \$|waitsText)|= (?:waitsText|this\.#tooltip|tooltipOf)|label: `(?:branch \$\{item\.label\}|project )/.test(
            line,
          ),
      )
      .map((line) => `${name}: ${line.trim()}`),
  );
  expect(wrong).toEqual([]);
});

test('emptying the trash lists what it deletes with counts, names and bytes', () => {
  const trash: Trash = {
    runs: [{ id: 'r', number: 1, name: 'train #1', branch: 'main', trashedAt: 1, checkpoints: 3, bytes: 300 }],
    checkpoints: Array.from({ length: 7 }, (_, i) => ({
      id: `c${i}`,
      run: 'train #2',
      number: 2,
      branch: 'main',
      step: i,
      bytes: 10,
      trashedAt: 1,
    })),
    stashes: [{ branch: 'idea', files: 1 } as never],
    counts: { runs: 1, checkpoints: 10 },
    bytes: 370,
  };
  expect(lossLines(trash)).toEqual([
    '1 run and 3 checkpoints of it: train #1',
    '7 checkpoints of other runs: train #2 at step 0, train #2 at step 1, train #2 at step 2, train #2 at step 3, train #2 at step 4, …',
    '370 B in total, before deduplication',
    '1 dropped stash: 1 file of idea',
  ]);
  expect(lossLines({ runs: [], checkpoints: [], stashes: [], counts: { runs: 0, checkpoints: 0 }, bytes: 0 })).toEqual(
    [],
  );
});

describe('the status bar', () => {
  const at = (name: string, status: Run['status'], endedAt: number, more: Partial<Run> = {}): Run => ({
    ...blank,
    id: name,
    name,
    status,
    endedAt,
    step: 5,
    ...more,
  });
  const textOf = (runs: Run[], seen: string[] = []) => statusOf(runs, new Set(seen), 100)?.text ?? null;

  test('an old failure hides no run that has paused or completed since', () => {
    const failed = at('a #1', 'failed', 10);
    expect(textOf([failed])).toBe('$(error) a #1 failed at step 5');
    expect(textOf([failed, at('a #2', 'paused', 20)])).toBe('$(debug-pause) a #2 5');
    expect(textOf([failed, at('a #2', 'completed', 20)])).toBeNull();
    expect(textOf([{ ...failed, step: 0 }])).toBe('$(error) a #1 failed at its start');
  });

  test('a newer failure is shown, and once it was looked at the paused run again', () => {
    const runs = [at('a #2', 'paused', 20), at('a #3', 'lost', 30)];
    expect(textOf(runs)).toBe('$(warning) a #3 lost at step 5');
    expect(textOf(runs, ['a #3'])).toBe('$(debug-pause) a #2 5');
    expect(textOf([...runs, at('a #4', 'failed', 40, { draft: true })], ['a #3', 'a #4'])).toBe(
      '$(debug-pause) a #2 5',
    );
  });

  test('a proof is shown with its steps, however its sentence begins', () => {
    const proof = {
      code: 'verified',
      level: 'info' as const,
      text: 'The bits of 1,234 steps are equal.',
      step: 5,
      at: 90,
    };
    const shown = (equalSteps?: number) => textOf([at('a #1', 'running', 0, { notices: [{ ...proof, equalSteps }] })]);
    expect(shown(1234)).toBe('$(verified) a #1 1,234 steps equal');
    expect(shown(1)).toBe('$(verified) a #1 1 step equal');
    expect(shown()).toBe('$(verified) a #1 all steps equal');
  });
});

test('the best checkpoint is the one that its run is judged by, and the earlier of two', () => {
  const checkpoint = (id: string, step: number, metrics: Checkpoint['metrics']) =>
    ({ id, step, metrics }) as Checkpoint;
  const all = [
    checkpoint('c', 30, { acc: 0.9, loss: 0.1 }),
    checkpoint('b', 20, { acc: 0.9 }),
    checkpoint('a', 10, { acc: 'NaN' }),
  ];
  expect(bestOf(all, { metric: 'acc', mode: 'max' })?.id).toBe('b');
  expect(bestOf(all, { metric: 'loss', mode: 'min' })?.id).toBe('c');
  expect(bestOf(all, null)).toBeUndefined();
});
