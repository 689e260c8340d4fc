/** The language server in Python scripts and notebooks, over the real protocol, and in a real Neovim. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CodeLens, Diagnostic, InlayHint } from 'vscode-languageserver-protocol';
import { makeFixture } from '../../support/daemon.ts';
import { until } from '../../support/folder.ts';
import { TestEditor, uriOf } from '../../support/language.ts';
import { hasNeovim, runNeovim } from '../../support/neovim.ts';
import { DIST } from '../../support/trainer.ts';

const SCRIPT = `import trainstash
run = trainstash.init(model=model, optimizer=optimizer)
best = None
for epoch in run.epochs(3):
    for x in run.batches(loader):
        run.step(loss=step(model, x))
    if best is None or evaluate(model) < best:
        best = evaluate(model)
`;

describe('faults', () => {
  test('20,000 lines, an endless expression and half a script are answered, and do not hold up anything else', async () => {
    const fixture = makeFixture();
    const client = new TestEditor(fixture);
    await client.initialize();
    const path = join(fixture.root, 'train.py');
    const large = join(fixture.root, 'large.py');
    const deep = join(fixture.root, 'deep.py');
    await client.open(path, SCRIPT, 'python');
    const functions = 'def f(a):\n    for q in range(a):\n        a += q\n    return a\n'.repeat(5_000);
    await client.open(large, `${SCRIPT}${functions}`, 'python');
    void client.open(deep, `${SCRIPT}x = ${'('.repeat(100_000)}`, 'python').catch(() => {});
    expect((await client.change(path, SCRIPT.slice(0, 200))).length).toBeLessThan(2);
    expect((await client.change(path, SCRIPT)).map(({ code }) => code)).toEqual(['loopVariable']);
  });
});

test('a variable that starts again is marked while typing, with a fix, a page and a comment that silences it', async () => {
  const fixture = makeFixture();
  const client = new TestEditor(fixture);
  await client.initialize();
  const path = join(fixture.folder, 'outside.py');
  expect(await client.open(path, '', 'python')).toEqual([]);
  const [found] = await client.change(path, SCRIPT);
  expect(found).toMatchObject({
    code: 'loopVariable',
    severity: 2,
    message: '`best` starts again on a resume: this loop carries it, and no checkpoint has it.',
    range: { start: { line: 2, character: 0 }, end: { line: 2, character: 4 } },
  });
  expect(found!.codeDescription!.href).toMatch(/docs\/diagnostics\.md#loopvariable$/);
  expect((await client.actions(path, found!)).map(({ title }) => title)).toEqual([
    'Keep "best" in run.state',
    'Silence loopVariable here',
  ]);
  expect(await client.change(path, SCRIPT.replace('best = None', 'best = None  # trainstash: ignore'))).toEqual([]);
});

test('above the call that starts a script stand its newest run and what can be done, and beside its reports the last values', async () => {
  const fixture = makeFixture();
  const path = join(fixture.root, 'loop.py');
  const text = 'import trainstash\n\nrun = trainstash.init()\nfor value in (0.5, 0.25):\n    run.step(loss=value)\n';
  writeFileSync(path, text);
  const client = new TestEditor(fixture);
  await client.initialize({ commands: true, hints: true });
  await client.open(path, text, 'python');
  const ask = <T>(method: string) =>
    client.request<T>(`textDocument/${method}`, {
      textDocument: { uri: uriOf(path) },
      range: { start: { line: 0, character: 0 }, end: { line: 9, character: 0 } },
    });
  expect(await ask('codeLens')).toEqual([]);
  const refreshed = new Promise((resolve) =>
    client.connection.onRequest('workspace/codeLens/refresh', () => resolve(null)),
  );
  const run = await fixture.cli('run', '--', 'python3', 'loop.py');
  expect(run.code, run.stderr).toBe(0);
  await refreshed;
  const lenses = await until('the lenses', async () => {
    const found = await ask<CodeLens[]>('codeLens');
    return found.length > 0 && found;
  });
  expect(
    lenses.map(({ range, command }) => [
      range.start.line,
      command!.title.replace(/ completed.*/, ' completed'),
      command!.command,
    ]),
  ).toEqual([
    [2, '$(play) Run', 'trainstash.runFile'],
    [2, '$(graph-line) loop #1 completed', 'trainstash.openRun'],
  ]);
  const hints = await ask<InlayHint[]>('inlayHint');
  expect(hints.map(({ position, label }) => [position, label])).toEqual([[{ line: 4, character: 23 }, ' 0.25']]);
});

test('a notebook of 500 cells is one script', async () => {
  const fixture = makeFixture();
  const client = new TestEditor(fixture);
  await client.initialize();
  const published = new Map<string, Diagnostic[]>();
  client.connection.onNotification(
    'textDocument/publishDiagnostics',
    ({ uri, diagnostics }) => void published.set(uri, diagnostics),
  );
  const cells = [...SCRIPT.split(/(?=^for)/m), ...Array.from({ length: 498 }, (_, index) => `print(${index})`)];
  const uri = (index: number) => `vscode-notebook-cell:/n.ipynb#${index}`;
  await client.connection.sendNotification('notebookDocument/didOpen', {
    notebookDocument: {
      uri: 'file:///n.ipynb',
      notebookType: 'jupyter-notebook',
      version: 1,
      cells: cells.map((_, index) => ({ kind: 2, document: uri(index) })),
    },
    cellTextDocuments: cells.map((text, index) => ({ uri: uri(index), languageId: 'python', version: 1, text })),
  });
  await until('a mark in the first cell', () => published.get(uri(0))?.length === 1);
  await client.connection.sendNotification('notebookDocument/didChange', {
    notebookDocument: { uri: 'file:///n.ipynb', version: 2 },
    change: {
      cells: { textContent: [{ document: { uri: uri(0), version: 2 }, changes: [{ text: 'import trainstash' }] }] },
    },
  });
  await until('no mark any more', () => published.get(uri(0))?.length === 0);
});

test.skipIf(!hasNeovim())('Neovim marks a variable, and moves it into a state', async () => {
  const fixture = makeFixture();
  const path = join(fixture.root, 'train.py');
  writeFileSync(path, SCRIPT);
  const said = await runNeovim(
    fixture.folder,
    [process.execPath, join(DIST, 'trainstash.js'), 'lsp'],
    fixture.env,
    `
    vim.cmd('edit ${path}')
    local client = vim.lsp.get_client_by_id(attach())
    wait('a mark', function() return #vim.diagnostic.get(0) == 1 end)
    say(vim.diagnostic.get(0)[1].message)
    local range = { start = { line = 2, character = 0 }, ['end'] = { line = 2, character = 0 } }
    local params = { textDocument = { uri = vim.uri_from_bufnr(0) }, range = range, context = { diagnostics = {} } }
    local action = client.request_sync('textDocument/codeAction', params, 10000, 0).result[1]
    vim.lsp.util.apply_workspace_edit(action.edit, client.offset_encoding)
    wait('no mark', function() return #vim.diagnostic.get(0) == 0 end)
    say(vim.api.nvim_buf_get_lines(0, 2, 9, false))
    vim.cmd('silent write')
    `,
  );
  expect(said).toEqual([
    expect.stringMatching(/^`best` starts again/),
    [
      's = run.state(best=None)',
      'for epoch in run.epochs(3):',
      '    for x in run.batches(loader):',
      '        run.step(loss=step(model, x))',
      '    if s.best is None or evaluate(model) < s.best:',
      '        s.best = evaluate(model)',
    ],
  ]);
});
