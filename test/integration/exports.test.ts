import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { ExportManifest } from '../../protocol/export.ts';
import { exportWrite } from '../../protocol/messages/export.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import {
  type Fixture,
  isAlive,
  makeFixture,
  openProject,
  SMALL_JOB,
  shellEnvironment,
  show,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON, script } from '../support/python.ts';

const MODULES = resolve(import.meta.dirname, '../../node_modules');

function manifest(path: string): ExportManifest {
  return JSON.parse(readFileSync(`${path}.trainstash.json`, 'utf8'));
}

async function trained(params: Record<string, unknown> = {}, config?: unknown) {
  const fixture = makeFixture(config ? { config } : {});
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { epochs: 1, ...params });
  await untilStatus(client, fixture, run.id, 'completed');
  return { fixture, client, run };
}

function write(client: Client, fixture: Fixture, format: string, path: string, signal?: AbortSignal) {
  const params = { root: fixture.root, source: '1', format, path, environment: shellEnvironment() };
  return client.request(exportWrite, params, signal);
}

/** Lists files that remain in the folder and the store beside outputs. */
function leftovers({ root, store }: Fixture): string[] {
  return [
    ...readdirSync(root).filter((name) => name.startsWith('.trainstash')),
    ...['exports', 'sessions'].flatMap((name) => (existsSync(join(store, name)) ? readdirSync(join(store, name)) : [])),
  ];
}

describe('a layers model', () => {
  test('as ONNX and for TensorFlow.js: built from the code snapshot, with the parity of sample inputs', async () => {
    const { fixture, client } = await trained();
    const before = readdirSync(join(fixture.store, 'sessions'));
    // The current code has another model, which the weights would not fit.
    const module = join(fixture.root, 'small.ts');
    writeFileSync(module, readFileSync(module, 'utf8').replace('filters: 4', 'filters: 5'));
    const alone = await write(client, fixture, 'onnx', join(fixture.root, 'alone.onnx'));
    expect(alone.parity).toMatchObject({ largestDifference: null, why: expect.stringContaining('onnxruntime-web') });

    mkdirSync(join(fixture.root, 'node_modules'));
    for (const name of ['onnxruntime-web', 'onnxruntime-common'])
      symlinkSync(join(MODULES, name), join(fixture.root, 'node_modules', name));
    const listed = await fixture.cli('export', '1');
    expect(listed.stdout).toMatch(/^onnx +a layers model/m);
    expect(listed.stdout).toContain('state_dict: its weights have another layout than PyTorch’s');
    const printed = await fixture.cli('export', '1', '--format', 'onnx');
    expect(printed.stderr).toBe('');
    const [, path] = /✔ (\S+\.onnx)/.exec(printed.stdout)!;
    expect(path).toMatch(/\/small_epoch_0001_val_loss_[\d.]+\.onnx$/);
    expect(printed.stdout).toMatch(/parity +largest difference \S+ over 8 samples \(onnxruntime-web\)/);
    const { parity } = manifest(path!);
    expect(parity!.largestDifference).toBeLessThan(1e-5);
    // Dropout and batch normalization are in inference mode, and only necessary transposes exist.
    if (PYTHON) {
      const found = spawnSync(PYTHON, [script('exports.py'), 'read', path!], { encoding: 'utf8' });
      expect(Object.values(JSON.parse(found.stdout))).toMatchObject([
        {
          operators: [
            'Transpose',
            'Conv',
            'Relu',
            'Transpose',
            'Mul',
            'Add',
            'Transpose',
            'MaxPool',
            'Transpose',
            'Flatten',
            'MatMul',
            'Add',
            'Relu',
            'MatMul',
            'Add',
            'Identity',
          ],
        },
      ]);
    }
    const tfjs = await write(client, fixture, 'tfjs', join(fixture.root, 'web'));
    expect(tfjs.parity).toMatchObject({ largestDifference: 0, samples: 8 });
    expect(readdirSync(tfjs.path).sort()).toEqual(['group1-shard1of1.bin', 'model.json']);
    expect(manifest(tfjs.path).files.map(({ name }) => name)).toEqual(['model.json', 'group1-shard1of1.bin']);
    expect(readdirSync(join(fixture.store, 'sessions'))).toEqual(before);
  });

  test('with a layer that the ONNX export does not support is refused by name, and nothing is written', async () => {
    const { fixture, client } = await trained({ model: 'lstm' });
    const before = leftovers(fixture);
    const path = join(fixture.root, 'model.onnx');
    await expect(write(client, fixture, 'onnx', path)).rejects.toMatchObject({
      code: 'formatUnavailable',
      message: expect.stringContaining('LSTM'),
      data: { available: expect.arrayContaining(['safetensors', 'tfjs']) },
    });
    expect(existsSync(path)).toBe(false);
    expect(leftovers(fixture)).toEqual(before);
    expect((await write(client, fixture, 'tfjs', join(fixture.root, 'web'))).parity).toMatchObject({
      largestDifference: 0,
    });
  });

  test('made of variables is not a layers model, but its weights can be exported', async () => {
    const { fixture, client } = await trained({ model: 'transformer' });
    await expect(write(client, fixture, 'tfjs', join(fixture.root, 'web'))).rejects.toMatchObject({
      code: 'formatUnavailable',
      message: expect.stringContaining('variables'),
    });
    // A mistake in trainstash.json must not prevent an export of weights.
    writeFileSync(join(fixture.root, 'trainstash.json'), '{ "jobs": ');
    const { files } = await write(client, fixture, 'npz', join(fixture.root, 'weights.npz'));
    expect(files[0]!.bytes).toBeGreaterThan(1_000);
  });
});

test('metrics: what spreadsheets, programs and TensorBoard read is what was logged', async () => {
  const { fixture, client, run } = await trained({ nanAt: 5 });
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id, buckets: 0 });
  const loss = series.find(({ name }) => name === 'loss')!;
  const values = loss.values.map(fromWireNumber);
  expect(values.some(Number.isNaN)).toBe(true);
  await fixture.cli('export', '1', '--format', 'csv');
  const [head, ...lines] = readFileSync(join(fixture.root, 'small_1_metrics.csv'), 'utf8').trimEnd().split('\r\n');
  const column = head!.split(',').indexOf('loss');
  const rows = lines.map((line) => line.split(','));
  expect(rows.flatMap((row) => (row[column] === '' ? [] : [[Number(row[0]), Number(row[column])]]))).toEqual(
    loss.steps.map((step, i) => [step, values[i]]),
  );
  // A run exports all of its points; a checkpoint exports those up to its step.
  const [first] = (await show(client, fixture, run.id)).checkpoints;
  const upTo = join(fixture.root, 'some.csv');
  expect((await fixture.cli('export', first!.id, '--to', upTo)).code).toBe(0);
  expect(Number(readFileSync(upTo, 'utf8').trimEnd().split('\r\n').at(-1)!.split(',')[0])).toBe(first!.step);
  const json = await write(client, fixture, 'json', join(fixture.root, 'metrics.json'));
  expect(JSON.parse(readFileSync(json.path, 'utf8')).metrics).toEqual(
    series.map(({ name, steps, times, values: own }) => ({ name, steps, seconds: times, values: own })),
  );
  const board = await write(client, fixture, 'tfevents', join(fixture.root, 'board'));
  const [name] = readdirSync(board.path);
  expect(name).toMatch(/^events\.out\.tfevents\.\d{10}\./);
  if (!PYTHON) return;
  const read = spawnSync(PYTHON, [script('exports.py'), 'read', join(board.path, name!)], { encoding: 'utf8' });
  expect(read.stderr).toBe('');
  const [{ events }] = Object.values(JSON.parse(read.stdout.replaceAll('NaN', '"NaN"'))) as [
    { events: [number, number, Record<string, number>, string][] },
  ];
  expect(events[0]![3]).toBe('brain.Event:2');
  expect(events.slice(1).flatMap(([step, , all]) => ('loss' in all ? [[step, all.loss]] : []))).toEqual(
    loss.steps.map((step, i) => [step, Number.isNaN(values[i]) ? 'NaN' : Math.fround(values[i]!)]),
  );
});

describe.skipIf(!PYTHON)('a job’s own export command', () => {
  const SCRIPT = `
import os, sys, time
mode, checkpoint, out = sys.argv[1:]
print('reading', os.path.basename(checkpoint), os.path.getsize(checkpoint), flush=True)
if mode == 'fail': sys.exit('no such thing')
if mode == 'slow':
    open('started', 'w').write(str(os.getpid())); open(out, 'w').write('half'); time.sleep(600)
if mode != 'nothing': open(out, 'wb').write(open(checkpoint, 'rb').read()[:100])
print('trainstash parity=2.5e-07 samples=16 runtime=libtorch')
`;
  const commands = Object.fromEntries(
    ['good', 'fail', 'slow', 'nothing'].map((mode) => [mode, `python3 export.py ${mode} \${checkpoint} \${out}`]),
  );

  async function withCommands() {
    const made = await trained(
      {},
      { jobs: { small: { ...SMALL_JOB, export: { ...commands, state_dict: commands.good } } } },
    );
    writeFileSync(join(made.fixture.root, 'export.py'), SCRIPT);
    return made;
  }

  test('makes its own format, or one that is not available for the checkpoint otherwise', async () => {
    const { fixture, client } = await withCommands();
    const path = join(fixture.root, 'model.good');
    const result = await write(client, fixture, 'good', path);
    expect(result).toMatchObject({
      files: [{ name: '', bytes: 100 }],
      parity: { largestDifference: 2.5e-7, samples: 16, runtime: 'libtorch' },
    });
    expect(manifest(path)).toMatchObject({ format: 'good', checkpoint: { epoch: 1 } });
    expect((await write(client, fixture, 'state_dict', join(fixture.root, 'model.pt'))).files[0]!.bytes).toBe(100);
    expect((await fixture.cli('export', '1')).stdout).toMatch(/^good +by the job's own command/m);
  });

  test('that fails, or writes nothing, is reported with the end of its output, and leaves nothing', async () => {
    const { fixture, client } = await withCommands();
    const before = readdirSync(fixture.root);
    await expect(write(client, fixture, 'fail', join(fixture.root, 'a'))).rejects.toMatchObject({
      code: 'exportFailed',
      message: expect.stringMatching(/ended with 1[\s\S]*reading state\.safetensors \d+\s+no such thing/),
    });
    await expect(write(client, fixture, 'nothing', join(fixture.root, 'a'))).rejects.toMatchObject({
      code: 'exportFailed',
      message: expect.stringContaining('wrote nothing'),
    });
    expect(readdirSync(fixture.root)).toEqual(before);
    expect(readdirSync(join(fixture.store, 'exports'))).toEqual([]);
  });

  test('is ended when it is cancelled', async () => {
    const { fixture, client } = await withCommands();
    const cancel = new AbortController();
    const work = write(client, fixture, 'slow', join(fixture.root, 'a'), cancel.signal);
    const started = join(fixture.root, 'started');
    const pid = Number(
      await until('the command has started', () => existsSync(started) && readFileSync(started, 'utf8')),
    );
    cancel.abort();
    await expect(work).rejects.toMatchObject({ code: 'cancelled' });
    await until('the command has ended', () => !isAlive(pid));
    await until('nothing is left', () => readdirSync(join(fixture.store, 'exports')).length === 0);
    expect(existsSync(join(fixture.root, 'a'))).toBe(false);
  });

  test('that cannot be started is reported', async () => {
    const { fixture, client } = await trained(
      {},
      { jobs: { small: { ...SMALL_JOB, cwd: 'gone', export: { good: 'python3 x ${out}' } } } },
    );
    await expect(write(client, fixture, 'good', join(fixture.root, 'a'))).rejects.toMatchObject({
      code: 'exportFailed',
      message: expect.stringContaining('could not be started'),
    });
    expect(readdirSync(join(fixture.store, 'exports'))).toEqual([]);
  });

  test('is not run in a folder that nobody trusts', async () => {
    const { fixture } = await withCommands();
    expect((await fixture.cli('daemon', 'stop')).code).toBe(0);
    // Simulates another machine.
    rmSync(join(fixture.folder, 'state/projects.json'));
    const client = await fixture.connect();
    await client.request(projectOpen, { root: fixture.root, trusted: false });
    for (const format of ['good', 'onnx'])
      await expect(write(client, fixture, format, join(fixture.root, 'a'))).rejects.toMatchObject({
        code: 'untrusted',
      });
    expect((await write(client, fixture, 'safetensors', join(fixture.root, 'a.safetensors'))).files).toHaveLength(1);
  });
});

test('a report about two runs is one file, and replaces nothing unasked', async () => {
  const { fixture, client } = await trained();
  await untilStatus(client, fixture, (await startSmall(client, fixture, { learningRate: 0.02 })).id, 'completed');
  const written = await fixture.cli('report', '1', '2', '--to', 'sent.html', '--json');
  const path = join(fixture.root, 'sent.html');
  const page = readFileSync(path, 'utf8');
  expect(JSON.parse(written.stdout)).toEqual({ path, bytes: Buffer.byteLength(page) });
  for (const text of ['small #1', 'small #2', '<figcaption>val_loss', 'learningRate', 'complete'])
    expect(page).toContain(text);
  const refused = await fixture.cli('report', '--to', 'sent.html');
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('exists already and was not changed') });
  expect(readFileSync(path, 'utf8')).toBe(page);
  expect(await fixture.cli('report', '2', '--to', 'sent.html', '--force')).toMatchObject({ code: 0 });
  expect(readFileSync(path, 'utf8')).not.toContain('small #1');
});
