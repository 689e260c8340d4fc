/** Metrics of every kind of double, from each producer through its files, the daemon and the store to a client. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client as Agent } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { eventFileHead, scalarEvent } from '../../formats/writers/tfevents.ts';
import type { Run } from '../../protocol/domain.ts';
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { runResume } from '../../protocol/messages/run.ts';
import { fromWireNumber, toWireNumber } from '../../protocol/numbers.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE } from '../../protocol/session.ts';
import { afterwards } from '../support/cleanup.ts';
import { environment, log, start, startJob } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject, show, startSmall, untilStatus } from '../support/daemon.ts';
import { bitsOf, doubles } from '../support/doubles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE, PYTHON, pythonLaunch, runPython } from '../support/python.ts';
import { DIST, events, inbox } from '../support/trainer.ts';
import { trainerText } from '../support/trainer-text.ts';

const COUNT = 1_500;
const EDGES = [Number.NaN, Infinity, -Infinity, -0, 5e-324, -1.7976931348623157e308];

/** Makes a project with a script, and a file for it that contains doubles. */
function fixtureWith(script: string, values: readonly number[], jobs: object = {}): Fixture {
  const fixture = makeFixture({ config: { jobs } });
  const bytes = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) bytes.writeDoubleBE(value, i * 8);
  writeFileSync(join(fixture.root, 'doubles.bin'), bytes);
  writeFileSync(join(fixture.root, 'train.py'), script);
  return fixture;
}

const READ = `
import os, struct, sys, time
raw = open('doubles.bin', 'rb').read()
values = [struct.unpack_from('>d', raw, at)[0] for at in range(0, len(raw), 8)]
`;

async function curveOf(client: Client, fixture: Fixture, run: Run, name: string) {
  const query = { root: fixture.root, run: run.id, names: [name], buckets: 1_000_000 };
  const [series] = (await client.request(metricsQuery, query)).series;
  return series!.steps.map((step, i) => [step, bitsOf(fromWireNumber(series!.values[i]!))]);
}

const bits = (values: readonly number[]) => values.map((value, i) => [i + 1, bitsOf(value)]);

describe.skipIf(!PYTHON)('every double that is told', () => {
  test('in lines and TensorBoard files reaches a client unchanged, and no value prevents a checkpoint', async () => {
    const values = [...doubles(COUNT), ...EDGES];
    const floats = values.slice(0, 400).map(Math.fround);
    const fixture = fixtureWith(
      `${READ}
import zipfile
os.makedirs('logs')
for step, value in enumerate(values[:${COUNT}], 1):
    print(f'trainstash step={step} x={value!r} loss=1', flush=step % 100 == 0)
open('logs/events.out.tfevents.1.test', 'wb').write(open('board.bin', 'rb').read())
for step, value in enumerate(values[${COUNT}:], ${COUNT + 1}):
    time.sleep(0.3)
    print(f'trainstash step={step} x={value!r} loss={value!r}', flush=True)
    with zipfile.ZipFile(f'ckpt_step{step}.pt', 'w') as z: z.writestr('archive/data.pkl', b'x')
`,
      values,
    );
    // By its clock it is written after the checkpoints.
    const later = Date.now() + 3_600_000;
    const board = floats.map((value, i) => scalarEvent(later, i + 1, [{ tag: 'board', value }]));
    writeFileSync(join(fixture.root, 'board.bin'), Buffer.concat([eventFileHead(later), ...board]));
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py']);
    const ended = await untilStatus(client, fixture, run.id, 'completed');
    expect(await curveOf(client, fixture, run, 'x')).toEqual(bits(values));
    expect(await curveOf(client, fixture, run, 'board')).toEqual(bits(floats));
    const { checkpoints } = await show(client, fixture, run.id);
    const trash = await client.request(checkpointList, { root: fixture.root, run: run.id, trashed: true });
    const stored = [...trash.checkpoints, ...checkpoints].sort((a, b) => a.step - b.step);
    expect(stored.map(({ step, metrics }) => [step, metrics.x])).toEqual(
      EDGES.map((value, i) => [COUNT + 1 + i, toWireNumber(value)]),
    );
    expect(ended.notices.filter(({ code }) => code === 'saveFailed')).toEqual([]);
    // Checkpoints with finite losses, and the one that a resume continues from.
    expect(ended.lastCheckpoint?.step).toBe(values.length);
    await expectNoNull(fixture);
  });

  test('by the Python package, of any type, reaches a client unchanged', async () => {
    const values = [...doubles(COUNT), ...EDGES];
    const fixture = fixtureWith(trainerText('typed_values.py'), values);
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py'], {
      environment: { ...environment(), PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1' },
    });
    await untilStatus(client, fixture, run.id, 'completed');
    expect(await curveOf(client, fixture, run, 'x')).toEqual(bits(values));
    const [checkpoint] = (await show(client, fixture, run.id)).checkpoints;
    expect(checkpoint!.metrics).toEqual({ x: EDGES.at(-1), huge: 'Infinity', flag: 1, odd: 2 ** 53 });
    await expectNoNull(fixture);
  });
});

test('every float that the TensorFlow.js trainer logs reaches a client unchanged', async () => {
  // Sums of a mean start at 0, to which −0 adds nothing.
  const values = [...new Set([...doubles(300)].map(Math.fround))].filter((value) => !Object.is(value, -0)).slice(0, 60);
  const wire = JSON.stringify(values.map(toWireNumber));
  const fixture = makeFixture({ config: { jobs: { odd: { module: 'odd.ts' } } } });
  writeFileSync(
    join(fixture.root, 'odd.ts'),
    `import type { Training } from 'trainstash';
const values = ${wire}.map(Number);
let epoch = 0;
export default {
  params: {},
  data: ({ tf }) => {
    const one = { x: tf.ones([1, 1]), y: tf.ones([1, 1]) };
    return { train: one, validation: one };
  },
  model: ({ layers: { layers, sequential } }) => sequential({ layers: [layers.dense({ units: 1, inputShape: [1] })] }),
  optimizer: () => ({ name: 'sgd', learningRate: 0 }),
  loss: 'meanSquaredError',
  metrics: { odd: (target, prediction) => prediction.sum().mul(0).add(values[epoch++ % values.length]) },
  epochs: values.length,
  batchSize: 1,
} satisfies Training;
`,
  );
  const client = await openProject(fixture);
  const run = await startJob(client, fixture, 'odd');
  await untilStatus(client, fixture, run.id, 'completed');
  const told = await curveOf(client, fixture, run, 'val_odd');
  // On some backends the processor flushes subnormals to 0: those are left out.
  const expected = values.map((value) => (Math.abs(value) < 2 ** -126 ? 0 : value));
  expect(told).toEqual(bits(expected.map(Math.fround)));
  await expectNoNull(fixture);
});

describe.skipIf(!PYTHON)('a training that diverges', () => {
  const PAUSING = `
import os, sys, time
def save(step):
    open(f'ckpt_step{step}.pt', 'wb').write(b'\\x80\\x02K%c.' % step)
start = int(sys.argv[1].split('step')[1].split('.')[0]) if len(sys.argv) > 1 else 0
print('FROM', start, flush=True)
for step in range(start + 1, 6):
    loss = 'nan' if step == 4 and not start else 1 / step
    save(step)
    print(f'trainstash step={step} loss={loss}', flush=True)
    # Until somebody asks it to end.
    if loss == 'nan': time.sleep(60)
for step in (5, 4, 3, 2, 1, 5, 2): print(f'trainstash step={step} eval={step + (time.time() % 1) / 4}', flush=True)
print('trainstash step=1 eval=100', flush=True)
`;

  test('in a command is paused as its job has it, and goes on from the newest good checkpoint; what it evaluates is in order', async () => {
    const run = [PYTHON, 'train.py'];
    const fixture = fixtureWith(PAUSING, [], { t: { run, resume: [...run, '${checkpoint}'], onNaN: 'pause' } });
    const client = await openProject(fixture);
    const started = await startJob(client, fixture, 't');
    const paused = await untilStatus(client, fixture, started.id, 'paused');
    expect(paused.reason).toBe('loss was NaN at step 4; its newest good checkpoint is at step 3');
    expect(paused.lastCheckpoint?.step).toBe(3);
    const { checkpoints } = await show(client, fixture, started.id);
    expect(checkpoints.map(({ step, metrics }) => [step, metrics.loss])).toContainEqual([4, 'NaN']);
    expect((await fixture.cli('show', '1')).stdout).toMatch(/ 4 .* file diverged /);
    expect((await fixture.cli('ls')).stdout).toContain('! loss NaN');

    await client.request(runResume, {
      root: fixture.root,
      environment: environment(),
      run: started.id,
      accept: true,
    });
    const ended = await untilStatus(client, fixture, started.id, 'completed');
    expect(await log(client, fixture, started.id)).toContain('FROM 3');
    expect(ended.notices.find(({ code }) => code === 'passedOver')?.text).toContain('It resumes from step 3.');
    expect(ended).toMatchObject({ step: 5, metrics: { loss: { last: 0.2, count: 5, notFinite: 0 } } });
    await fixture.cli('export', '1', '--format', 'csv', '--to', 'm.csv');
    const rows = readFileSync(join(fixture.root, 'm.csv'), 'utf8').trim().split('\r\n').slice(1);
    const table = rows.map((row) => row.split(',').map(Number));
    expect(table.map(([step, , loss]) => [step, loss])).toEqual([1, 2, 3, 4, 5].map((step) => [step, 1 / step]));
    expect(table.map(([, , , value]) => Math.floor(value!))).toEqual([100, 2, 3, 4, 5]);
  });

  test('in the Python package is paused at its step: with a checkpoint where the state is whole, else without', async () => {
    const sessions = temporaryFolder();
    const end = async (option: 'onNaN' | 'onSpike', value: string) => {
      const script = join(sessions, `${option}.py`);
      writeFileSync(
        script,
        `
import trainstash
class Model:
    def state_dict(self): return {}
    def load_state_dict(self, state): pass
run = trainstash.init(model=Model())
while run.steps < 70:
    run.step(loss=${value} if run.steps == 59 else 1.0 + run.steps % 3 / 10)
`,
      );
      const checkpoint = { everySeconds: 0, everySteps: 59, everyEpochs: null, onBest: false };
      const launch = pythonLaunch({ session: option.toLowerCase(), checkpoint, [option]: 'pause' });
      const { directory } = await runPython(sessions, launch, [script]);
      const notices = events(directory).flatMap((event) => (event.type === 'notice' ? [[event.code, event.step]] : []));
      const kept = inbox(directory).map(({ facts }) => [facts.step, facts.reasons]);
      return { exit: directory.exit(), notices, kept };
    };
    const [nan, spike] = await Promise.all([end('onNaN', 'float("nan")'), end('onSpike', '1000')]);
    expect(nan.exit).toMatchObject({ outcome: 'paused', step: 60, reason: 'loss was NaN at step 60' });
    expect(nan).toMatchObject({ notices: [['nan', 60]], kept: [[59, ['steps']]] });
    expect(spike.exit).toMatchObject({
      outcome: 'paused',
      reason: expect.stringContaining('loss jumped to 1000 at step 60'),
    });
    expect(spike).toMatchObject({ notices: [['spike', 60]] });
    expect(spike.kept).toEqual([
      [59, ['steps']],
      [60, ['pause']],
    ]);
  });
});

test('checkpoints that an earlier version set aside because of null metrics are stored at the next start', async () => {
  const fixture = makeFixture();
  const first = await openProject(fixture);
  const { id, session } = await startSmall(first, fixture, { epochs: 1 });
  await untilStatus(first, fixture, id, 'completed');
  await first.request(daemonStop, {});
  await first.closed;
  const taking = join(fixture.store, 'sessions', session!, 'taking');
  const bad = (name: string, facts: object) => {
    mkdirSync(join(taking, name));
    writeFileSync(join(taking, name, 'model.pt'), 'weights');
    writeFileSync(join(taking, name, CHECKPOINT_FILE), JSON.stringify(facts));
  };
  const facts = { ...blankCheckpointFile('aaaaaaaaaaaa', session!, 40, 1), metrics: { loss: null, acc: 0.5 } };
  bad('bad-000000040-000001-aaaaaaaaaaaa', { ...facts, files: [{ name: 'model.pt', bytes: 7 }] });
  bad('bad-000000050-000002-bbbbbbbbbbbb', { ...facts, id: 'bbbbbbbbbbbb', files: [{ name: 'model.pt', bytes: 8 }] });

  const client = await openProject(fixture);
  const { run, checkpoints } = await show(client, fixture, id);
  expect(checkpoints.find(({ step }) => step === 40)?.metrics).toEqual({ loss: 'NaN', acc: 0.5 });
  expect(run).toMatchObject({ status: 'completed', checkpoints: checkpoints.length });
  expect(run.notices.at(-1)).toMatchObject({ code: 'recovered', text: expect.stringMatching(/^1 checkpoint /) });
  // The file was truncated: nothing can be done about it.
  expect(readdirSync(taking)).toEqual(['bad-000000050-000002-bbbbbbbbbbbb']);
});

/** Expects that no metric is null on the command line and for agents. */
async function expectNoNull(fixture: Fixture): Promise<void> {
  const shown = JSON.parse((await fixture.cli('show', '1', '--json')).stdout);
  const listed = JSON.parse((await fixture.cli('ls', '--json')).stdout);
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [join(DIST, 'trainstash.js'), 'mcp'],
    env: fixture.env as Record<string, string>,
    cwd: fixture.root,
    stderr: 'ignore',
  });
  const agent = new Agent({ name: 'test', version: '1' }, { capabilities: {} });
  await agent.connect(transport);
  afterwards(() => agent.close());
  const ask = async (name: string, args: Record<string, unknown>) => {
    const { content } = await agent.callTool({ name, arguments: args });
    return JSON.parse((content as { text: string }[])[0]!.text);
  };
  const answers = [await ask('show_run', { run: '1' }), ...(await ask('list_runs', {})).runs];
  const lasts = [shown.run, ...listed, ...answers].flatMap(
    ({ metrics }) => Object.values(metrics) as { last: unknown }[],
  );
  for (const { last } of lasts) expect(last).not.toBeNull();
  const kept = [...shown.checkpoints, ...answers[0].checkpoints];
  for (const { metrics } of kept) expect(Object.values(metrics)).not.toContain(null);
  for (const { values } of await ask('read_metrics', { run: '1' })) expect(values).not.toContain(null);
}
