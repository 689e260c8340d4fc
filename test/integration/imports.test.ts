/** Imports of histories that the real packages of other tools have written: first what goes wrong. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { type ImportPlan, type ImportReport, importPlan, importRun } from '../../protocol/messages/import.ts';
import { storeQuota } from '../../protocol/messages/keep.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { runList, runRemove } from '../../protocol/messages/run.ts';
import { aim } from '../../scripts/python-environments.ts';
import { type Fixture, kill, makeFixture, openProject, shellEnvironment, show } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { FULL } from '../support/sample.ts';

const { python: AIM } = aim(true);
const HISTORIES = join(import.meta.dirname, '../fixtures/histories.tar.gz');

function histories(): string {
  const folder = temporaryFolder();
  execFileSync('tar', ['-xzf', HISTORIES, '-C', folder]);
  return folder;
}

const plan = (client: Client, { root }: Fixture, ...paths: string[]): Promise<ImportPlan> =>
  client.request(importPlan, { root, paths });
const take = (client: Client, { root }: Fixture, paths: string[], more: object = {}): Promise<ImportReport> =>
  client.request(importRun, { root, paths, ...more });
const runs = async (client: Client, { root }: Fixture): Promise<Run[]> =>
  (await client.request(runList, { root })).runs;

const countOf = async (client: Client, { root }: Fixture): Promise<number> =>
  (await client.request(runList, { root, limit: 1 })).total;

/** Makes a folder of Lightning's with that many runs. */
function manyVersions(count: number): string {
  const folder = temporaryFolder();
  for (let i = 0; i < count; i++) {
    const version = join(folder, `lightning_logs/version_${i}`);
    mkdirSync(join(version, 'checkpoints'), { recursive: true });
    writeFileSync(
      join(version, 'metrics.csv'),
      `epoch,step,loss\n${Array.from({ length: 300 }, (_, s) => `0,${s},${s}`).join('\n')}\n`,
    );
  }
  return folder;
}

/** Lists all files with what a change of them would change. */
function stateOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs, mode } = statSync(path);
      return `${path} ${size} ${mtimeMs} ${mode}`;
    })
    .sort();
}

describe('an import', () => {
  test('of what is no history, is half written or hostile says so, and takes the rest', async () => {
    const folder = temporaryFolder();
    const version = join(folder, 'lightning_logs/version_0');
    mkdirSync(join(version, 'checkpoints'), { recursive: true });
    writeFileSync(join(version, 'hparams.yaml'), 'lr: !!python/object:os.system [rm]\n__proto__: 1\nn: &a [*a]\n');
    writeFileSync(join(version, 'metrics.csv'), 'epoch,step,loss\n0,0,1\n0,x,2\n0,1,nan\n0,-5,3\n0,2,"4"\n0,3');
    writeFileSync(join(version, 'checkpoints/epoch=0-step=2.ckpt'), Buffer.from('PK\x03\x04 cut off'));
    mkdirSync(join(folder, 'wandb/run-1'), { recursive: true });
    writeFileSync(
      join(folder, 'wandb/run-1/run-1.wandb'),
      Buffer.from(':W&B\0\0\0\xff\xff\xff\xff\xff\xff\xff garbage'),
    );
    writeFileSync(join(folder, 'broken.db'), 'SQLite format 3\0 and no more');
    writeFileSync(join(folder, 'events.out.tfevents.1'), Buffer.alloc(64, 255));
    mkdirSync(join(folder, '.aim'));
    mkdirSync(join(folder, 'mlruns/1/long/metrics'), { recursive: true });
    writeFileSync(join(folder, 'mlruns/1/meta.yaml'), `name: ${'x'.repeat(3_000)}\n`);
    writeFileSync(join(folder, 'mlruns/1/long/meta.yaml'), 'status: 3\n');
    writeFileSync(join(folder, 'mlruns/1/long/metrics/loss'), '1000 0.5 1\n');
    symlinkSync('/etc', join(folder, 'link'));
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const report = await take(client, fixture, [folder, join(folder, 'nowhere')]);
    const said = report.problems.map(({ path, problem }) => `${path.slice(folder.length)}: ${problem}`);
    expect(said).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/step=2\.ckpt: it is half written/),
        expect.stringMatching(/broken\.db: it cannot be read as a database/),
        expect.stringMatching(
          /\.aim: only Aim itself can read its store, and it is not installed: no Python was found/,
        ),
        expect.stringMatching(/nowhere: there is no such file/),
        expect.stringMatching(/version_0: 2 values could not be read/),
      ]),
    );
    const mlflow = (await runs(client, fixture)).find(({ imported }) => imported?.tool === 'MLflow')!;
    expect(mlflow.metrics.loss).toMatchObject({ last: 0.5, count: 1 });
    const lightning = (await runs(client, fixture)).find(({ imported }) => imported?.tool === 'Lightning')!;
    expect(lightning.metrics.loss).toMatchObject({ last: 4, count: 3, notFinite: 1 });
  });

  test('whose checkpoints do not fit below the quota takes nothing, and none asks for them without their metrics', async () => {
    const folder = histories();
    const fixture = makeFixture();
    const client = await openProject(fixture);
    await client.request(storeQuota, { root: fixture.root, bytes: 100_000 });
    await expect(take(client, fixture, [folder])).rejects.toMatchObject({ code: 'storeFull' });
    expect(await runs(client, fixture)).toEqual([]);
    const report = await take(client, fixture, [join(folder, 'output')], { metricsOnly: true });
    expect(report.counts).toMatchObject({ added: 1, checkpoints: 0 });
    const [run] = await runs(client, fixture);
    expect(run!.notices[0]).toMatchObject({ code: 'notKept', text: expect.stringContaining('(steps 2, 4)') });
    expect((await fixture.cli('import', join(folder, 'lightning_logs'))).stderr).toContain(
      '--metrics-only without them',
    );
  });

  test('whose daemon is killed, three times, is taken up by the next one, and has each run once', async () => {
    const count = FULL ? 200 : 60;
    const folder = manyVersions(count);
    const fixture = makeFixture();
    let client = await openProject(fixture);
    for (const least of [1, 0.3 * count, 0.6 * count]) {
      void take(client, fixture, [folder]).catch(() => {});
      await until('some runs are there', async () => (await countOf(client, fixture)) >= least);
      kill(client.daemon.pid, 'SIGKILL');
      await client.closed;
      client = await openProject(fixture);
    }
    await take(client, fixture, [folder]);
    expect(await plan(client, fixture, folder)).toMatchObject({ counts: { new: 0, grown: 0, same: count } });
    expect(await countOf(client, fixture)).toBe(count);
    const [newest] = await runs(client, fixture);
    expect(newest).toMatchObject({ status: 'completed', metrics: { loss: { count: 300, last: 299 } } });
    expect(readdirSync(join(fixture.store, 'sessions')).length).toBe(count);
  });

  test.runIf(FULL)('of 100,000 files finds the runs among them', async () => {
    const folder = manyVersions(3);
    for (let i = 0; i < 1_000; i++) {
      mkdirSync(join(folder, `other${i}`));
      for (let file = 0; file < 100; file++) writeFileSync(join(folder, `other${i}/${file}.txt`), '');
    }
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const found = await plan(client, fixture, folder);
    expect(found).toMatchObject({ counts: { new: 3 }, problems: [] });
    expect(found.files).toBeGreaterThan(100_000);
  });

  test('that is cancelled keeps what it has taken, and the next one takes the rest', async () => {
    const folder = manyVersions(300);
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const cancel = new AbortController();
    const importing = client
      .request(importRun, { root: fixture.root, paths: [folder], task: 'import' }, cancel.signal)
      .catch((error: { code: string }) => error.code);
    await until('some runs are there', async () => (await runs(client, fixture)).length > 0);
    cancel.abort();
    await importing;
    const report = await take(client, fixture, [folder]);
    expect(report.counts.added + report.counts.updated).toBeLessThan(300);
    const { counts } = await plan(client, fixture, folder);
    expect(counts).toMatchObject({ new: 0, grown: 0, same: 300 });
    expect(existsSync(join(fixture.store, 'importing')) && readdirSync(join(fixture.store, 'importing'))).toEqual([]);
  });
});

test('histories of all tools become runs, once, and the originals stay as they are', async () => {
  const folder = histories();
  const before = stateOf(folder);
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const seen = await plan(client, fixture, folder);
  expect(seen.counts).toEqual({ new: 8, grown: 0, same: 0, trashed: 0 });
  expect(seen.checkpoints).toBe(4);
  const report = await take(client, fixture, [folder]);
  expect(report).toMatchObject({ counts: { added: 8, updated: 0, leftOut: 0 }, problems: [] });
  const all = new Map(
    (await runs(client, fixture)).map((run) => [run.imported!.tool + run.imported!.path.slice(folder.length), run]),
  );
  const of = (tool: string) => [...all].find(([key]) => key.startsWith(tool))![1];
  expect(of('W&B')).toMatchObject({
    status: 'completed',
    branch: 'main',
    params: { lr: 0.1, net: { width: 3 } },
    metrics: { loss: { last: 0.02, count: 50 }, 'nested.a': { last: 49 }, bad: { notFinite: 1 } },
    note: expect.stringContaining('blue'),
  });
  expect(of('MLflow/mlflow.db')).toMatchObject({
    job: 'trees',
    params: { depth: 4 },
    metrics: { inf: { last: 'Infinity' }, nan: { last: 'NaN' }, rmse: { count: 20 } },
  });
  expect(of('MLflow/mlruns')).toMatchObject({
    job: 'forest',
    params: { depth: 3, kind: 'x' },
    metrics: { 'a/b': { notFinite: 1 }, inf: { notFinite: 1 } },
  });
  expect(of('TensorBoard')).toMatchObject({ metrics: { loss: { count: 30 } }, step: 29 });
  expect(of('DVCLive')).toMatchObject({
    params: { lr: 0.2 },
    metrics: { 'train/loss': { count: 10 }, acc: { last: 9 } },
  });
  expect(of('Trackio')).toMatchObject({ job: 'tr', params: { lr: 3 }, metrics: { loss: { count: 5 } } });
  expect(of('Lightning')).toMatchObject({
    params: { lr: 0.1, width: 2 },
    metrics: { train_loss: { count: 4 } },
    checkpoints: 2,
  });
  expect(of('Hugging Face')).toMatchObject({ metrics: { loss: { count: 4 } }, params: { max_steps: 4 } });
  const { checkpoints } = await show(client, fixture, of('Hugging Face').id);
  expect(checkpoints.map(({ step, grade, reasons }) => [step, grade, reasons])).toEqual([
    [2, 'partial', ['imported']],
    [4, 'partial', ['imported']],
  ]);
  const back = join(fixture.folder, 'back');
  expect((await fixture.cli('restore', checkpoints[1]!.id, back)).code).toBe(0);
  const restored = readdirSync(back, { recursive: true })
    .map(String)
    .find((name) => name.endsWith('model.safetensors'))!;
  expect(readFileSync(join(back, restored))).toEqual(
    readFileSync(join(folder, 'output/checkpoint-4/model.safetensors')),
  );
  expect(await take(client, fixture, [folder])).toMatchObject({ counts: { added: 0, updated: 0 } });
  expect(stateOf(folder)).toEqual(before);
  // Loose points of a curve stand in the order of their steps.
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: of('W&B').id, names: ['loss'] });
  expect(series[0]!.steps).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

/** Writes a run as a training does that tracks with Aim. */
const AIM_RUN = `
import math, sys
from aim import Run
run = Run(repo=sys.argv[1], experiment='vision', log_system_params=False, capture_terminal_logs=False, system_tracking_interval=None)
run['hparams'] = {'lr': 0.1, 'net': {'width': 3}}
run.name, run.description = sys.argv[2], 'a note'
for step in range(20):
    run.track(1 / (step + 1), name='loss', step=step, epoch=step // 10, context={'subset': 'train'})
    run.track(float(step), name='acc', step=step, context={'fold': 2})
run.track(math.nan, name='bad', step=0)
run.track(math.inf, name='bad', step=1)
run.close()
`;

test.skipIf(!AIM)(
  'a store of Aim is read by Aim, once, and stays as it is; one that is damaged is named',
  { timeout: 120_000 },
  async () => {
    const folder = temporaryFolder();
    const track = (name: string) => execFileSync(AIM!, ['-c', AIM_RUN, folder, name], { stdio: 'pipe' });
    track('plum');
    const before = stateOf(folder);
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const shell = { environment: shellEnvironment(), interpreter: AIM! };
    // Another Python does not have it.
    const without = await take(client, fixture, [folder], { environment: { PATH: '/nowhere' } });
    expect(without.problems).toEqual([
      { path: join(folder, '.aim'), problem: expect.stringContaining('only Aim itself') },
    ]);
    const report = await take(client, fixture, [folder], shell);
    expect(report).toMatchObject({ counts: { added: 1, points: 42, leftOut: 0 }, problems: [] });
    expect(stateOf(folder)).toEqual(before);
    const [run] = await runs(client, fixture);
    expect(run).toMatchObject({
      job: 'vision',
      status: 'completed',
      params: { lr: 0.1, net: { width: 3 } },
      metrics: {
        'train/loss': { count: 20, last: 0.05 },
        'acc (fold=2)': { count: 20, last: 19 },
        bad: { notFinite: 2, last: 'Infinity' },
      },
      note: expect.stringContaining('plum'),
    });
    track('pear');
    expect(await take(client, fixture, [folder], shell)).toMatchObject({ counts: { added: 1, updated: 0 } });
    // Half of a store, as of a copy that was broken off.
    for (const { name, parentPath } of readdirSync(join(folder, '.aim'), { recursive: true, withFileTypes: true }))
      if (/^(MANIFEST|CURRENT)/.test(name)) truncateSync(join(parentPath, name), 5);
    const broken = await take(client, fixture, [folder], shell);
    expect(broken.counts).toMatchObject({ added: 0, updated: 0 });
    expect(broken.problems.map(({ problem }) => problem).join()).toMatch(/Aim (cannot|could not) read it/);
    expect(await runs(client, fixture)).toHaveLength(2);
  },
);

test('a history that has grown is brought up to date, and one whose run is in the trash stays there', async () => {
  const folder = histories();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const version = join(folder, 'lightning_logs/version_0');
  await take(client, fixture, [version], { job: 'train' });
  appendFileSync(join(version, 'metrics.csv'), '2,9,0.001\n');
  cpSync(join(version, 'checkpoints/epoch=1-step=8.ckpt'), join(version, 'checkpoints/epoch=2-step=12.ckpt'));
  expect((await plan(client, fixture, version)).counts).toMatchObject({ grown: 1 });
  expect((await take(client, fixture, [version])).counts).toMatchObject({ added: 0, updated: 1, checkpoints: 1 });
  const [run, ...others] = await runs(client, fixture);
  expect(others).toEqual([]);
  expect(run).toMatchObject({ job: 'train', checkpoints: 3, metrics: { train_loss: { count: 5, last: 0.001 } } });
  await client.request(runRemove, { root: fixture.root, target: [run!.id] });
  rmSync(join(version, 'checkpoints/epoch=0-step=4.ckpt'));
  expect((await plan(client, fixture, version)).counts).toMatchObject({ trashed: 1 });
  expect((await take(client, fixture, [version])).counts).toMatchObject({ added: 0, updated: 0 });
});
