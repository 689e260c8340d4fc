/** Marks in Python scripts: never a false alarm, whatever the text, and quick fixes that mend what they are for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { Notebook } from '../../../../daemon/language/notebooks.ts';
import { checkScript } from '../../../../daemon/language/python-scripts/python.ts';
import { labelledScripts, measure, scoreOf } from '../../../labelled/labelled.ts';

const document = (text: string) => TextDocument.create('file:///train.py', 'python', 1, text);
const codes = (text: string) => checkScript(document(text)).map(({ code, range }) => `${range.start.line + 1} ${code}`);
const withoutLabels = (path: string) => readFileSync(path, 'utf8').replaceAll(/\s*# <- [\w, ]+$/gm, '');

const LOOP = `import torch
import trainstash

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)
`;

describe('faults', () => {
  test('a script that is cut off anywhere is no crash', () => {
    for (const path of labelledScripts()) {
      const text = withoutLabels(path);
      for (let end = 0; end < text.length; end += 41)
        expect(() => checkScript(document(text.slice(0, end)))).not.toThrow();
    }
  });

  test('a byte-order mark, page breaks, and all ends of lines are fine', () => {
    const text = `${LOOP}best = 0\nfor epoch in run.epochs(3):\n    for x in run.batches(loader):\n        best += run.step(loss=step(model, x))\n        if best > 9: break\n`;
    const wanted = codes(text);
    expect(wanted.length).toBeGreaterThan(0);
    expect(codes(`\ufeff${text}`)).toEqual(wanted);
    expect(codes(text.replace('\nfor', '\n\f\nfor')).length).toBe(wanted.length);
    expect(codes(text.replaceAll('\n', '\r\n'))).toEqual(wanted);
  });

  test('a table of 200,000 numbers in a script is read over', () => {
    expect(codes(`${LOOP}table = [${'1, '.repeat(200_000)}]\n`)).toEqual(codes(LOOP));
  });

  test('a long chain of conditions is followed', () => {
    const chain = Array.from({ length: 400 }, (_, at) => `        elif kind == ${at}:\n            best += ${at}\n`);
    const text = `${LOOP}best = 0\nfor epoch in run.epochs(3):\n    for x in run.batches(loader):\n        if x: run.step()\n${chain.join('')}        if best > 9: break\n`;
    expect(codes(text)).toEqual(['7 loopVariable']);
  });

  test('a function that is no Python says nothing, and the others do', () => {
    const broken = `def broken(:\n    with (a as\n\n`;
    const whole = `${LOOP}for epoch in run.epochs(3):\n    for x in run.batches(loader):\n        optimizer.zero_grad()\n        step(model, x).backward()\n        optimizer.step()\n`;
    expect(codes(whole)).toEqual(['8 noStep']);
    expect(codes(`${whole}\n\ndef other():\n    return 1\n\n${broken}`)).not.toContain('8 loopVariable');
  });

  test('Python that the grammar does not know is no broken text', () => {
    const loop = `for epoch in run.epochs(3):\n    for x in run.batches(loader):\n        step(model, x).backward()\n        optimizer.step()\n`;
    for (const head of [
      'x = 1. if a else f(10., b=2.)',
      'with (open("a") as b, open("c)") as d):\n    pass',
      'with (\n    open("a") as b,  # (one\n    open("c") as d,\n):\n    pass',
      'def f():\n    x = (yield)',
      'with (lock):\n    pass',
    ])
      expect(codes(`${LOOP}${head}\n${loop}`), head).toEqual([`${8 + head.split('\n').length} noStep`]);
    // What ends nowhere is broken, and takes no time.
    for (const head of ['with (', 'with (a as b', 'with ("', `${'with (a as b,\n'.repeat(3_000)}`])
      expect(() => codes(`${LOOP}${head}\n${loop}`)).not.toThrow();
  });

  test('20,000 lines are looked at', () => {
    const line = 'def f(a):\n    b = a + 1\n    for q in range(a):\n        b += q\n    return b\n';
    const text = `${LOOP}${line.repeat(4_000)}`;
    expect(text.split('\n').length).toBeGreaterThan(20_000);
    expect(codes(text)).toEqual([]);
  });

  test('an expression that is nested without end is an error of its own, not of the process', () => {
    const text = `${LOOP}x = ${'('.repeat(20_000)}1${')'.repeat(20_000)}\n`;
    const look = () => checkScript(document(text));
    // Either it is understood, or the server notes that it is not.
    try {
      look();
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
    }
  });
});

test('each labelled script has the marks that it should have, and no others', () => {
  const measured = labelledScripts().map(measure);
  for (const { name, made, wanted } of measured) expect(made, name).toEqual(wanted);
  expect(measured.length).toBeGreaterThanOrEqual(40);
  expect(scoreOf(measured)).toMatchObject({ precision: 1, recall: 1, false: 0, missed: 0 });
});

test('a quick fix mends what it is for, and makes no other mark', () => {
  let applied = 0;
  for (const path of labelledScripts()) {
    const text = withoutLabels(path);
    for (const finding of checkScript(document(text))) {
      for (const fix of finding.fixes!) {
        const edits = fix.edits.map(({ range, newText }) => ({ range, newText }));
        const mended = TextDocument.applyEdits(document(text), edits);
        const before = codes(text);
        const after = codes(mended).map((mark) => mark.split(' ')[1]);
        expect(after.length, `${path}: ${fix.title}\n${mended}`).toBeLessThan(before.length);
        applied++;
      }
    }
  }
  expect(applied).toBeGreaterThan(40);
});

test('a variable moves into a state, in each place where it is used', () => {
  const text = `${LOOP}best = None\nfor epoch in run.epochs(3):\n    total = 0.0\n    for x in run.batches(loader):\n        loss = step(model, x)\n        total += loss.item()\n        run.step(loss=loss)\n    if best is None or total < best:\n        best = total\nprint(best)\n`;
  let mended = text;
  for (const name of ['best', 'total']) {
    const finding = checkScript(document(mended)).find((one) => one.text.startsWith(`\`${name}\``))!;
    expect(finding.fixes![0]!.title).toBe(`Keep "${name}" in run.state`);
    mended = TextDocument.applyEdits(document(mended), finding.fixes![0]!.edits);
  }
  expect(mended).toBe(
    `${LOOP}s = run.state(best=None, total=0.0)\nfor epoch in run.epochs(3):\n    s.total = 0.0\n    for x in run.batches(loader):\n        loss = step(model, x)\n        s.total += loss.item()\n        run.step(loss=loss)\n    if s.best is None or s.total < s.best:\n        s.best = s.total\nprint(s.best)\n`,
  );
  expect(codes(mended)).toEqual([]);
});

test('a variable that a function shares, or whose beginning is computed, has no such fix', () => {
  const loop = `for epoch in run.epochs(3):\n    for x in run.batches(loader):\n        total += step(model, x).item()\n        run.step(total=total)\n`;
  for (const begin of ['total = begin()\n', 'total = 0.0\ndef show():\n    print(total)\n']) {
    const [finding] = checkScript(document(`${LOOP}${begin}${loop}`));
    expect(finding!.code).toBe('loopVariable');
    expect(finding!.fixes!.map(({ title }) => title)).toEqual(['Silence loopVariable here']);
  }
});

test('a comment silences its line, the line below it, one code or all', () => {
  const script = (begin: string) =>
    `${LOOP}${begin}\nfor epoch in run.epochs(3):\n    for x in run.batches(loader):\n        total += step(model, x).item()\n        run.step(total=total)\n`;
  expect(codes(script('total = 0.0'))).toEqual(['7 loopVariable']);
  expect(codes(script('total = 0.0  # trainstash: ignore'))).toEqual([]);
  expect(codes(script('total = 0.0  # trainstash: ignore[noStep, loopVariable]'))).toEqual([]);
  expect(codes(script('# trainstash: ignore[loopVariable]\ntotal = 0.0'))).toEqual([]);
  expect(codes(script('total = 0.0  # trainstash: ignore[noStep]'))).toEqual(['7 loopVariable']);
});

test('the cells of a notebook are one script, and a mark stands in its cell', () => {
  const cells = [
    `%pip install torch\n${LOOP}`,
    'total = 0.0',
    '%%bash\nfor x in run.batches(',
    'for epoch in run.epochs(3):\n    for x in run.batches(loader):\n        total += step(model, x).item()\n        run.step(total=total)',
  ];
  const uri = (index: number) => `vscode-notebook-cell:/n.ipynb#${index}`;
  const notebook = new Notebook({
    notebookDocument: { uri: 'file:///n.ipynb', cells: cells.map((_, index) => ({ kind: 2, document: uri(index) })) },
    cellTextDocuments: cells.map((text, index) => ({ uri: uri(index), languageId: 'python', version: 1, text })),
  });
  const found = () => {
    const { document: script, placeOf } = notebook.script('file:///n.ipynb');
    return checkScript(script.text).map((finding) => placeOf(finding)!);
  };
  expect(found().map((one) => [one.uri, one.finding.range.start.line, one.finding.code])).toEqual([
    [uri(1), 0, 'loopVariable'],
  ]);
  // What would change several cells is no quick fix of one.
  expect(found()[0]!.finding.fixes!.map(({ title }) => title)).toEqual(['Silence loopVariable here']);
  notebook.change({
    notebookDocument: { uri: 'file:///n.ipynb' },
    change: {
      cells: {
        structure: { array: { start: 0, deleteCount: 0, cells: [{ kind: 1, document: uri(9) }] } },
        textContent: [{ document: { uri: uri(1), version: 2 }, changes: [{ text: '\ntotal = 0.0' }] }],
      },
    },
  });
  expect(found().map((one) => [one.uri, one.finding.range.start.line])).toEqual([[uri(1), 1]]);
});

test('the example of the guide has no mark', () => {
  const guide = readFileSync(join(import.meta.dirname, '../../../../docs/guides/pytorch.md'), 'utf8');
  const blocks = Array.from(guide.matchAll(/```python\n([\s\S]*?)```/g), ([, text]) => text!);
  for (const text of blocks) expect(codes(text)).toEqual([]);
});
