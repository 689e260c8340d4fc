/** Checkpoints that a Python script names, over the real protocol: what is in them, where they are, what a script can resume from. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { CodeLens, CompletionItem, Hover, Location } from 'vscode-languageserver-protocol';
import { commandFixture, start, untilCheckpoints } from '../../support/commands.ts';
import { makeFixture, openProject, untilStatus } from '../../support/daemon.ts';
import { until } from '../../support/folder.ts';
import { TestEditor, uriOf } from '../../support/language.ts';

/** Makes a safetensors file of tensors of two zeros. */
function tensors(names: readonly string[]): Buffer {
  const entries = names.map((name, i) => [name, { dtype: 'F32', shape: [2], data_offsets: [8 * i, 8 * i + 8] }]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(8 * names.length)]);
}

const SCRIPT = `import torch
model = load("out/best.safetensors")
other = load(r"missing.pt"), load('broken.pt'), load("out/best.safetensors\\n"), load(f"{x}.pt")
`;

test('a path shows the tensors, and leads to the file; one of no file, or of a damaged one, says no more than is known', async () => {
  const fixture = makeFixture();
  const path = join(fixture.root, 'load.py');
  mkdirSync(join(fixture.root, 'out'));
  const names = Array.from({ length: 20 }, (_, i) => (i === 0 ? 'a`]($x)\u202e' : `layer.${i}.weight`));
  writeFileSync(join(fixture.root, 'out/best.safetensors'), tensors(names));
  writeFileSync(join(fixture.root, 'broken.pt'), 'no checkpoint');
  symlinkSync('/dev/zero', join(fixture.root, 'endless.pt'));
  const client = new TestEditor(fixture);
  await client.initialize();
  await client.open(path, `${SCRIPT}load("endless.pt")\n`, 'python');
  const at = <T>(method: string, line: number, character: number) =>
    client.request<T>(`textDocument/${method}`, {
      textDocument: { uri: uriOf(path) },
      position: { line, character },
    });
  const hover = await at<Hover>('hover', 1, 20);
  expect(hover.range).toEqual({ start: { line: 1, character: 14 }, end: { line: 1, character: 34 } });
  const { value } = hover.contents as { value: string };
  expect(value).toMatch(/^\*\*safetensors\*\*, [\d.]+ .B: 20 tensors, 40 numbers\n\n```text\n/);
  expect(value).toContain("a']($x)\ufffd");
  expect(value).toContain('… and 8 more');
  expect(value.split('```')).toHaveLength(3);
  const found = await at<Location[]>('definition', 1, 20);
  expect(found).toEqual([
    {
      uri: uriOf(join(fixture.root, 'out/best.safetensors')),
      range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } },
    },
  ]);
  expect(await at('hover', 0, 3)).toBeNull();
  expect(await at('hover', 2, 18)).toBeNull();
  expect(await at('definition', 2, 18)).toEqual([]);
  const broken = await at<Hover>('hover', 2, 38);
  expect((broken.contents as { value: string }).value).toMatch(/broken\.pt/);
  expect(await at('hover', 3, 8)).toBeNull();
});

test('a file that a run keeps shows run, step and grade, until it is written anew', async () => {
  const fixture = commandFixture();
  const { root } = fixture;
  writeFileSync(join(root, 'state'), tensors(['weight']));
  const save = `const { copyFileSync, existsSync, mkdirSync } = require('fs'); mkdirSync('out'); copyFileSync('state', 'out/model_step_40.safetensors');
    const timer = setInterval(() => existsSync('end') && clearInterval(timer), 50)`;
  const daemon = await openProject(fixture);
  const run = await start(daemon, fixture, [process.execPath, '-e', save]);
  await untilCheckpoints(daemon, fixture, run.id, 1);
  const path = join(root, 'load.py');
  const client = new TestEditor(fixture);
  await client.initialize();
  await client.open(path, 'model = load("out/model_step_40.safetensors")\n', 'python');
  const shown = async () => {
    const place = { textDocument: { uri: uriOf(path) }, position: { line: 0, character: 20 } };
    return ((await client.request<Hover>('textDocument/hover', place)).contents as { value: string }).value;
  };
  expect(await shown()).toMatch(
    new RegExp(`^Checkpoint of \`${run.name}\` at step 40: weights only\n\n\\*\\*safetensors`),
  );
  writeFileSync(join(root, 'end'), '');
  await untilStatus(daemon, fixture, run.id, 'completed');
  writeFileSync(join(root, 'out/model_step_40.safetensors'), tensors(['another', 'tensor']));
  expect(await shown()).toMatch(/^\*\*safetensors/);
});

test('after resume= stand the newest checkpoint and the files that there are, while it is typed', async () => {
  const fixture = makeFixture();
  const path = join(fixture.root, 'train.py');
  mkdirSync(join(fixture.root, 'out'));
  writeFileSync(join(fixture.root, 'out/state.pt'), '');
  writeFileSync(join(fixture.root, 'out/notes.txt'), '');
  const client = new TestEditor(fixture);
  await client.initialize();
  await client.open(path, '', 'python');
  const items = async (typed: string) => {
    const text = `import trainstash\nrun = trainstash.init(model=model, resume="${typed}`;
    await client.change(path, text);
    const found = await client.request<CompletionItem[]>('textDocument/completion', {
      textDocument: { uri: uriOf(path) },
      position: { line: text.split('\n').length - 1, character: text.split('\n').at(-1)!.length },
    });
    return found.map(({ label }) => label);
  };
  expect((await items('')).slice(0, 1)).toEqual(['last']);
  expect(await items('o')).toContain('out/');
  expect(await items('out/')).toEqual(['out/state.pt']);
  expect(await items('../../../../../nowhere/')).toEqual([]);
  expect(await items('last")\nprint("')).toEqual([]);
});

test('in a notebook the lens stands on the cell that starts the run, and a path leads from its own cell', async () => {
  const fixture = makeFixture();
  const script = 'import trainstash\n\nrun = trainstash.init()\nfor value in (0.5, 0.25):\n    run.step(loss=value)\n';
  writeFileSync(join(fixture.root, 'digits.py'), script);
  writeFileSync(join(fixture.root, 'w.safetensors'), tensors(['a']));
  const client = new TestEditor(fixture);
  await client.initialize({ commands: true, hints: true });
  const ran = await fixture.cli('run', '--', 'python3', 'digits.py');
  expect(ran.code, ran.stderr).toBe(0);
  const notebook = uriOf(join(fixture.root, 'digits.ipynb'));
  const texts = [
    '# nothing',
    'import trainstash\nload("w.safetensors")',
    '\nrun = trainstash.init()',
    'run.step(loss=1)',
  ];
  const uri = (index: number) => `vscode-notebook-cell:/digits.ipynb#${index}`;
  await client.connection.sendNotification('notebookDocument/didOpen', {
    notebookDocument: {
      uri: notebook,
      notebookType: 'jupyter-notebook',
      version: 1,
      cells: texts.map((_, index) => ({ kind: 2, document: uri(index) })),
    },
    cellTextDocuments: texts.map((text, index) => ({ uri: uri(index), languageId: 'python', version: 1, text })),
  });
  const lenses = (index: number) =>
    client.request<CodeLens[]>('textDocument/codeLens', { textDocument: { uri: uri(index) } });
  const found = await until('a lens', async () => {
    const own = await lenses(2);
    return own.length > 0 && own;
  });
  expect(new Set(found.map(({ range }) => range.start.line))).toEqual(new Set([1]));
  expect(await Promise.all([lenses(0), lenses(1), lenses(3)])).toEqual([[], [], []]);
  const hover = await client.request<Hover>('textDocument/hover', {
    textDocument: { uri: uri(1) },
    position: { line: 1, character: 8 },
  });
  expect(hover.range?.start).toEqual({ line: 1, character: 6 });
  const [definition] = await client.request<Location[]>('textDocument/definition', {
    textDocument: { uri: uri(1) },
    position: { line: 1, character: 8 },
  });
  expect(definition?.uri).toBe(uriOf(join(fixture.root, 'w.safetensors')));
});
