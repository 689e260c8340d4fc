/** Samples of what a run uses of the machine: taken beside it, and shown with it. */

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { usageQuery } from '../../protocol/messages/metrics.ts';
import { commandFixture, start } from '../support/commands.ts';
import { isAlive, openProject, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { trainerText } from '../support/trainer-text.ts';

/** Prints lines as the real one does with `--loop-ms`, and notes its process. */
const NVIDIA_SMI = `#!/bin/sh
case "$*" in *loop-ms*) ;; *) exit 9;; esac
echo $$ > "$(dirname "$0")/pid"
while true; do
  echo "0, 87, 12000, 24000, 210.50, 61"
  echo "1, [N/A], 10, 24000, [Not Supported], 30"
  sleep 0.2
done
`;

/** Computes with one processor and holds 200 MB until it is told to end. */
const SCRIPT = `
const held = Buffer.alloc(200e6, 1);
const { existsSync } = require('node:fs');
while (!existsSync('end')) for (let i = 0, x = held[0]; i < 3e6; i++) x = Math.sin(x + i);
`;

test.skipIf(process.platform !== 'linux')(
  'a command’s processors, memory, disk and GPUs are sampled while it runs',
  async () => {
    const fixture = commandFixture();
    const tools = join(fixture.folder, 'tools');
    mkdirSync(tools);
    writeFileSync(join(tools, 'nvidia-smi'), NVIDIA_SMI);
    chmodSync(join(tools, 'nvidia-smi'), 0o755);
    writeFileSync(join(fixture.root, 'busy.cjs'), SCRIPT);
    const client = await openProject(fixture);
    const PATH = `${tools}${delimiter}${process.env.PATH}`;
    const run = await start(client, fixture, [process.execPath, 'busy.cjs'], {
      environment: { ...process.env, PATH } as never,
    });
    const ask = async () => (await client.request(usageQuery, { root: fixture.root, run: run.id })).series;
    const series = await until('there are two samples with GPUs', async () => {
      const found = await ask();
      return (found.find(({ name, gpu }) => name === 'gpuBusy' && gpu === 0)?.values.length ?? 0) > 1 && found;
    });
    const of = (name: string, gpu: number | null = null) => series.find((one) => one.name === name && one.gpu === gpu)!;
    expect(of('cpu').mean).toBeGreaterThan(0.1);
    expect(of('cpu').max).toBeLessThan(3);
    expect(of('memory').max).toBeGreaterThan(200e6);
    expect(of('memory').max).toBeLessThan(2e9);
    expect(of('machineCpu').max).toBeLessThanOrEqual(1);
    expect(of('diskFree').values[0]).toBeGreaterThan(0);
    expect(of('gpuBusy', 0)).toMatchObject({ mean: 0.87, unit: 'share' });
    expect(of('gpuMemory', 0)).toMatchObject({ max: 12000 * 2 ** 20, limit: 24000 * 2 ** 20 });
    expect(of('gpuWatts', 1)).toBeUndefined();
    expect(of('gpuCelsius', 1).mean).toBe(30);
    writeFileSync(join(fixture.root, 'end'), '');
    await untilStatus(client, fixture, run.id, 'completed');
    const pid = Number(readFileSync(join(tools, 'pid'), 'utf8'));
    await until('it has ended with the run', () => !isAlive(pid));
    const shown = await fixture.cli('show', run.id);
    expect(shown.stdout).toMatch(/used\s+GPU 0: 87 % busy, 12\.6 GB of 25\.2 GB, 211 W;/);
    expect((await ask()).length).toBe(series.length);
  },
);

/** Trains on data that takes longer to read than a step takes, until it is told to end. */
const WAITING = trainerText('waits_for_data.py');

test('how long a PyTorch loop waits for its data is told beside what it uses', async (context) => {
  if (!PYTHON) return context.skip('there is no Python with torch');
  const fixture = commandFixture();
  writeFileSync(join(fixture.root, 'waiting.py'), WAITING);
  const client = await openProject(fixture);
  const run = await start(client, fixture, [PYTHON, 'waiting.py']);
  const wait = await until('a sample is there', async () => {
    const { series } = await client.request(usageQuery, { root: fixture.root, run: run.id });
    return series.find(({ name }) => name === 'dataWait');
  });
  expect(wait.mean).toBeGreaterThan(0.5);
  expect(wait.max).toBeLessThanOrEqual(1);
  writeFileSync(join(fixture.root, 'end'), '');
  await untilStatus(client, fixture, run.id, 'completed');
  expect((await fixture.cli('show', run.id)).stdout).toMatch(/used .*\d+ % of the time waiting for data/);
});
