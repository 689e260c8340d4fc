/** The language server in trainstash.json, over the real protocol: `trainstash lsp` and a daemon. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Diagnostic, Hover, Location, WorkspaceEdit } from 'vscode-languageserver-protocol';
import { type Fixture, makeFixture } from '../../support/daemon.ts';
import { until } from '../../support/folder.ts';
import { cursor, TestEditor, uriOf } from '../../support/language.ts';

async function editor(options: object = {}): Promise<{ fixture: Fixture; client: TestEditor; path: string }> {
  const fixture = makeFixture();
  const client = new TestEditor(fixture);
  await client.initialize(options);
  return { fixture, client, path: join(fixture.root, 'trainstash.json') };
}

function marked(text: string, diagnostics: readonly Diagnostic[]): string[] {
  const lines = text.split('\n');
  return diagnostics.map(({ code, range, message }) => {
    const part = lines[range.start.line]!.slice(
      range.start.character,
      range.end.line === range.start.line ? range.end.character : undefined,
    );
    return `${code} ${part}: ${message}`;
  });
}

describe('faults', () => {
  test('text that is broken in any place is answered, and so is what comes after it', async () => {
    const { client, path } = await editor();
    const whole = '{"jobs": {"a": {"run": "python a.py ${params.lr}", "keep": {"best": "loss"}}}}';
    await client.open(path, whole);
    for (const end of [0, 1, 9, 17, 24, 40, 60]) {
      const text = whole.slice(0, end);
      expect((await client.change(path, text)).map(({ code }) => code)).toContain('configSyntax');
      for (const method of ['hover', 'definition', 'prepareRename', 'completion'])
        await client.ask(method, path, { line: 0, character: end });
    }
  });

  test('a method that does not exist, and params that are none, are errors of that request alone', async () => {
    const { client, path } = await editor();
    await expect(client.request('textDocument/nonsense', {})).rejects.toMatchObject({ code: -32601 });
    await expect(client.request('textDocument/hover', 3)).rejects.toThrow();
    expect(await client.open(path, '{"jobs": {}}')).toEqual([]);
  });

  test('a daemon that is killed is replaced, and knows the text as it was typed', async () => {
    const { fixture, client, path } = await editor();
    await client.open(path, '{}');
    expect((await client.change(path, '{"jbos": 1}')).map(({ code }) => code)).toEqual(['configKey']);
    process.kill(fixture.daemonPid(), 'SIGKILL');
    const hover = await until('an answer of the next daemon', () =>
      client.ask<Hover | null>('hover', path, { line: 0, character: 3 }).then(
        () => true,
        () => undefined,
      ),
    );
    expect(hover).toBe(true);
    expect((await client.change(path, '{"jobs": 1}')).map(({ message }) => message)).toEqual([
      '"jobs" must be an object.',
    ]);
  });

  test('a daemon that was stopped on purpose is not started again, and the next one is found', async () => {
    const { fixture, client, path } = await editor();
    await client.open(path, '{"jbos": 1}');
    expect((await fixture.cli('daemon', 'stop')).code).toBe(0);
    const hover = client.ask<Hover | null>('hover', path, { line: 0, character: 3 }).then(
      () => 'answered',
      () => 'given up',
    );
    await expect(fixture.connect({ start: false })).rejects.toMatchObject({ code: 'daemonUnavailable' });
    await fixture.connect();
    await hover;
    expect((await client.change(path, '{"jobs": 1}')).map(({ code }) => code)).toEqual(['configValue']);
  });

  test('a document outside of any project, an unsaved one, and one with a byte-order mark are looked at', async () => {
    const { fixture, client } = await editor();
    const outside = join(fixture.folder, 'elsewhere/trainstash.jsonc');
    expect((await client.open(outside, '\uFEFF{"jbos": {}}')).map(({ code }) => code)).toEqual(['configKey']);
  });
});

test('each mistake has one marker, at its place, with a sentence and the page that explains it', async () => {
  const { fixture, client, path } = await editor();
  writeFileSync(join(fixture.root, 'train.py'), '');
  const text = `{
  // two letters in the wrong order
  "jbos": {},
  "jobs": {
    "a": { "run": "python trian.py --lr \${params.nope} \${checkpiont} \${node}", "params": { "node": 1 } },
    "b": { "run": "cd x && python train.py | tee log", "resume": "python train.py" },
    "c": { "run": "python -m package.train", "module": "smal.ts" },
    "d": { "module": "smal.ts", "checkpoint": { "every": "5 min" } }
  }
}`;
  const found = await client.open(path, text);
  expect(marked(text, found)).toEqual([
    'configKey "jbos": The file has an unknown key "jbos", which is ignored; did you mean "jobs"?',
    'configJob "module": The job "c" needs either "run" (a command, such as "python train.py") or "module" (a TensorFlow.js module), and it has both: remove one of them.',
    'configValue "5 min": In the job "d", "checkpoint.every" must be an interval, such as "5m", "500 steps" or "1 epoch", not "5 min"; did you mean "5m"?',
    'configScript trian.py: The project has no file trian.py; did you mean train.py?',
    'configParam ${params.nope}: "params" of the job "a" has no "nope", so each run has to be given one (-p nope=…); did you mean ${params.node}?',
    'configPlaceholder ${checkpiont}: ${checkpiont} is no placeholder; here ${run}, ${dir} and ${params.NAME} are.',
    'configPlaceholder ${node}: ${node} is no placeholder; here ${run}, ${dir} and ${params.NAME} are; did you mean ${params.node}?',
    `configShell cd: "cd" is for a shell, and commands run without one; write a script, or start one: bash -c '…'. For the folder there is "cwd".`,
    'configResume "python train.py": "resume" names neither ${checkpoint} nor ${stem}, so its script has to find the file to load by itself.',
    'configModule smal.ts: The project has no file smal.ts; did you mean small.ts?',
    'configModule smal.ts: The project has no file smal.ts; did you mean small.ts?',
  ]);
  for (const { code, codeDescription, source } of found) {
    expect(source).toBe('trainstash');
    expect(codeDescription?.href).toMatch(new RegExp(`^file:.*/docs/diagnostics.md#${String(code).toLowerCase()}$`));
  }
});

test('mistakes are told while typing, and taken back when they are mended', async () => {
  const { client, path } = await editor();
  expect(await client.open(path, '{"jobs": {"a": "python small.ts"}}')).toEqual([]);
  expect(await client.change(path, '{"jbos": {}}')).toHaveLength(1);
  expect(await client.change(path, '{"jobs": {}}')).toEqual([]);
});

test('an editor that checks JSON by itself is not told the same twice', async () => {
  const { client, path } = await editor({ editorChecksJson: true });
  expect(await client.open(path, '{"jobs": {}, "jobs": {')).toEqual([]);
});

test('a near miss has a quick fix', async () => {
  const { client, path } = await editor();
  const found = await client.open(
    path,
    '{"jobs": {"a": {"module": "small.ts", "checkpoint": {"every": "5 minutes"}}}}',
  );
  const [action] = await client.actions(path, found[0]!);
  expect(action).toMatchObject({ title: 'Replace with "5m"', kind: 'quickfix', isPreferred: true });
  expect(action!.edit!.changes![uriOf(path)]).toEqual([{ range: found[0]!.range, newText: '"5m"' }]);
});

const COMPLETIONS: [string, string, string[]][] = [
  ['keys of the file', '{"|"}', ['jobs', 'files', 'onBranchSwitch']],
  ['keys of a job', '{"jobs": {"a": {"|"}}}', ['module', 'run', 'keep', 'checkpoint', 'onNaN']],
  ['nested keys', '{"jobs": {"a": {"keep": {"|"}}}}', ['last', 'best', 'every']],
  ['keys of a sweep', '{"jobs": {"a": {"sweep": {"|"}}}}', ['params', 'sampler', 'samples', 'metric', 'pruner']],
  ['ranges of a sweep', '{"jobs": {"a": {"sweep": {"params": {"lr": {"|"}}}}}}', ['choice', 'logUniform', 'int']],
  ['pruners', '{"jobs": {"a": {"sweep": {"pruner": {"kind": |}}}}}', ['"asha"', '"hyperband"', '"median"']],
  ['keys of a rollback', '{"jobs": {"a": {"onNaN": {"|"}}}}', ['do', 'then', 'skip', 'times']],
  ['values', '{"jobs": {"a": {"args": |}}}', ['"flags"', '"hydra"', '"env"', '"none"']],
  ['truth', '{"jobs": {"a": {"rehearse": |}}}', ['true', 'false']],
  ['intervals', '{"jobs": {"a": {"checkpoint": {"every": "|"}}}}', ['"5m"', '"1 epoch"']],
  ['modules', '{"jobs": {"a": {"module": "|"}}}', ['small.ts']],
  ['scripts in a command', '{"jobs": {"a": {"run": "python |"}}}', ['small.ts']],
  ['placeholders', '{"jobs": {"a": {"run": "x ${|", "params": {"lr": 1}}}}', ['${run}', '${params.lr}']],
  ['placeholders of an export', '{"jobs": {"a": {"export": {"x": "y ${|"}}}}', ['${checkpoint}', '${out}']],
];

test('keys, values, files and placeholders are completed', async () => {
  const { client, path } = await editor();
  await client.open(path, '');
  for (const [name, marked_, expected] of COMPLETIONS) {
    const { text, position } = cursor(marked_);
    await client.change(path, text);
    const labels = (await client.complete(path, position)).map(({ label }) => label);
    expect(labels, name).toEqual(expect.arrayContaining(expected));
  }
});

test('a hover explains the key at its place: the same word means different things', async () => {
  const { client, path } = await editor();
  await client.open(path, '');
  const text = async (marked_: string) => {
    const { text: whole, position } = cursor(marked_);
    await client.change(path, whole);
    return ((await client.ask<Hover | null>('hover', path, position))?.contents as { value: string } | undefined)
      ?.value;
  };
  expect(await text('{"jobs": {"a": {"checkpoint": {"ev|ery": "5m"}}}}')).toMatch(/^Interval between checkpoints/);
  expect(await text('{"jobs": {"a": {"keep": {"ev|ery": 5}}}}')).toMatch(
    /^Interval in steps: checkpoints at its multiples are kept/,
  );
  expect(await text('{"jobs": {"a": {"checkpoint": {"be|st": true}}}}')).toMatch(/^Whether a checkpoint is taken/);
  expect(await text('{"jobs": {"a": {"keep": {"be|st": "x"}}}}')).toMatch(/^Metric whose best/);
  expect(await text('{"jobs": {"a": {"sweep": {"met|ric": "x"}}}}')).toMatch(/^Metric by which runs are judged/);
  expect(await text('{"fi|les": []}')).toMatch(/^Files that follow the branch/);
  expect(await text('{"nons|ense": []}')).toBeUndefined();
});

test('a job leads to its script, from its name and from its command', async () => {
  const { fixture, client, path } = await editor();
  const script = join(fixture.root, 'train.py');
  writeFileSync(script, '');
  await client.open(path, '');
  for (const marked_ of [
    '{"jobs": {"a|": {"run": "python train.py"}}}',
    '{"jobs": {"a": {"run": "python tr|ain.py"}}}',
    '{"jobs": {"a": "python -u tra|in.py"}}',
    '{"jobs": {"a": {"run": ["python", "-m", "tra|in"]}}}',
  ]) {
    const { text, position } = cursor(marked_);
    await client.change(path, text);
    const found = await client.ask<Location[]>('definition', path, position);
    expect(
      found.map(({ uri }) => uri),
      marked_,
    ).toEqual([uriOf(script)]);
  }
});

test('a job is renamed by its key, not to a name that is taken', async () => {
  const { client, path } = await editor();
  await client.open(path, '{"jobs": {"a": "x", "b": "y"}}');
  const at = { line: 0, character: 11 };
  const range = { start: { line: 0, character: 11 }, end: { line: 0, character: 12 } };
  expect(await client.ask('prepareRename', path, at)).toEqual(range);
  const edit = await client.ask<WorkspaceEdit>('rename', path, at, { newName: 'wide "1"' });
  expect(edit.changes![uriOf(path)]).toEqual([{ range, newText: 'wide \\"1\\"' }]);
  await expect(client.ask('rename', path, at, { newName: 'b' })).rejects.toThrow(/There is a job "b" already/);
  expect(await client.ask('prepareRename', path, { line: 0, character: 17 })).toBeNull();
});

test('shutdown and exit end the bridge with 0, and the daemon stays', async () => {
  const { fixture, client } = await editor();
  const ended = new Promise((resolve) => client.child.once('exit', resolve));
  expect(await client.request('shutdown')).toBeNull();
  await client.connection.sendNotification('exit');
  expect(await ended).toBe(0);
  expect(() => process.kill(fixture.daemonPid(), 0)).not.toThrow();
});

test('a data set that an editor opens beside the configuration is left alone, and so is one that is pasted', async () => {
  const fixture = makeFixture();
  const client = new TestEditor(fixture);
  await client.initialize();
  const uri = uriOf(join(fixture.root, 'train.json'));
  const large = { uri, languageId: 'json', version: 1, text: `[${'0,'.repeat(20 << 20)}0]` };
  await client.connection.sendNotification('textDocument/didOpen', { textDocument: large });
  const path = join(fixture.root, 'trainstash.json');
  expect((await client.open(path, '{ "jbos": {} }')).map(({ code }) => code)).toEqual(['configKey']);
  await client.connection.sendNotification('textDocument/didChange', {
    textDocument: { uri: uriOf(path), version: 2 },
    contentChanges: [{ text: large.text }],
  });
  expect(
    await client.request('textDocument/hover', { textDocument: { uri }, position: { line: 0, character: 0 } }),
  ).toBe(null);
  await client.connection.sendNotification('textDocument/didClose', { textDocument: { uri: uriOf(path) } });
  expect((await client.open(path, '{ "jbos": {} }')).map(({ code }) => code)).toEqual(['configKey']);
});
