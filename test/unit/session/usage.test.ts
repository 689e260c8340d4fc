/** Samples of what a run uses: read from the machine, thinned in a long run, summed up for people. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { usageSeries } from '../../../daemon/runs/usage.ts';
import { usageTitle, usageWords } from '../../../protocol/usage.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { amdUse } from '../../../session/usage/amd.ts';
import { parseIoreg } from '../../../session/usage/apple.ts';
import { parseLine } from '../../../session/usage/nvidia.ts';
import { fieldsOf, processesUse } from '../../../session/usage/processes.ts';
import { visibleGpus } from '../../../session/usage/sampler.ts';
import { MOST_SAMPLES, readSamples, type Sample, SampleFile } from '../../../session/usage/samples.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trainstash-usage-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const nothing = { cpu: null, memory: null, machineCpu: null, machineMemory: null, diskFree: null, gpus: [] };
const sample = (t: number, more: Partial<Sample> = {}): Sample => ({ t, ...nothing, ...more });

test('AMD’s GPUs are read from the driver’s files, and cards of other drivers are no GPUs', () => {
  const put = (path: string, text: string) => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), `${text}\n`);
  };
  put('card0/device/vendor', '0x1a03');
  put('card0-VGA-1/status', 'connected');
  put('card10/device/mem_info_vram_total', '17163091968');
  put('card2/device/mem_info_vram_total', '25753026560');
  put('card2/device/mem_info_vram_used', '1073741824');
  put('card2/device/gpu_busy_percent', '93');
  put('card2/device/hwmon/hwmon4/power1_average', '281000000');
  put('card2/device/hwmon/hwmon4/temp1_input', '64000');
  const big = {
    ...{ index: 0, busy: 0.93, memoryBytes: 2 ** 30, totalBytes: 25753026560 },
    ...{ watts: 281, celsius: 64 },
  };
  const other = { index: 1, busy: null, memoryBytes: null, totalBytes: 17163091968, watts: null, celsius: null };
  expect(amdUse(null, folder)).toEqual([big, other]);
  expect(amdUse([1], folder)).toEqual([other]);
  expect(amdUse(null, join(folder, 'none'))).toEqual([]);
});

test('a Mac’s GPU is read from what ioreg prints', () => {
  const text = `+-o AGXAcceleratorG13X  <class AGXAcceleratorG13X, id 0x100000367, registered, matched, active>
    {
      "PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=3207659520,"Tiler Utilization %"=21,"Device Utilization %"=42,"Renderer Utilization %"=40,"In use system memory"=536870912}
      "model" = "Apple M1 Pro"
    }`;
  const nothing = { totalBytes: null, watts: null, celsius: null };
  expect(parseIoreg(text)).toEqual([{ index: 0, busy: 0.42, memoryBytes: 2 ** 29, ...nothing }]);
  expect(parseIoreg('')).toEqual([]);
});

describe('what a GPU is said to use', () => {
  test.each([
    ['[Insufficient Permissions]', null],
    ['0, GPU-1, NVIDIA H200, 143771, 4096', null],
    ['No devices were found', null],
    ['', null],
    [
      '0, [N/A], 12000, 24000, [Not Supported], 61',
      { index: 0, busy: null, memoryBytes: 12000 * 2 ** 20, totalBytes: 24000 * 2 ** 20, watts: null, celsius: 61 },
    ],
    [
      '1, 87, 1, 2, 210.52, 61',
      { index: 1, busy: 0.87, memoryBytes: 2 ** 20, totalBytes: 2 ** 21, watts: 210.52, celsius: 61 },
    ],
  ])('%j', (line, use) => {
    expect(parseLine(line)).toEqual(use);
  });

  test('is left out for GPUs that the run does not see', () => {
    expect(visibleGpus({})).toBeNull();
    expect(visibleGpus({ CUDA_VISIBLE_DEVICES: 'GPU-8932f937' })).toBeNull();
    expect(visibleGpus({ CUDA_VISIBLE_DEVICES: '' })).toEqual([]);
    expect(visibleGpus({ CUDA_VISIBLE_DEVICES: '1,3' })).toEqual([1, 3]);
  });
});

test('processes are those of the session, whatever their names are, and what they share counts once', () => {
  const add = (pid: number, session: number, ticks: number, resident: number, shared: number) => {
    mkdirSync(join(folder, `${pid}`));
    const times = `${ticks} 0 0 0`;
    writeFileSync(join(folder, `${pid}/stat`), `${pid} (a) (b) c) S 1 ${pid} ${session} 0 0 0 0 0 0 0 ${times} 20`);
    writeFileSync(join(folder, `${pid}/statm`), `900 ${resident} ${shared} 1 0 1 0\n`);
  };
  add(10, 10, 100, 50, 20);
  add(11, 10, 200, 30, 20);
  add(12, 9, 4000, 9000, 0);
  mkdirSync(join(folder, '13'));
  writeFileSync(join(folder, 'version'), 'Linux');
  expect(processesUse(10, folder)).toEqual({ cpuSeconds: 3, memoryBytes: (30 + 10 + 20) * 4096 });
  expect(processesUse(99, folder)).toBeNull();
  expect(processesUse(10, join(folder, 'none'))).toBeNull();
  expect(fieldsOf('7 (x) R 1 7 5 0 0 0 0 0 0 0 1 2 3 4 20')).toEqual({ state: 'R', group: 7, session: 5, ticks: 10 });
});

test('a long session has fewer samples per hour and never too many; half a line is left out', () => {
  const directory = new SessionDirectory(folder);
  const file = new SampleFile(directory);
  let halved = 0;
  for (let i = 0; i < MOST_SAMPLES + 10; i++) if (file.add(sample(i))) halved++;
  expect(halved).toBe(1);
  writeFileSync(directory.file('usage'), `${readFileSync(directory.file('usage'), 'utf8')}{"t":5,"cp`);
  const times = readSamples(directory).map(({ t }) => t);
  expect(times).toHaveLength(MOST_SAMPLES / 2 + 10);
  expect(times.slice(0, 3)).toEqual([0, 2, 4]);
  expect(readSamples(new SessionDirectory(join(folder, 'none')))).toEqual([]);
});

test('series hold means of intervals, and the words are about the whole run', () => {
  const gpu = (busy: number, memoryBytes: number) => [
    { index: 0, busy, memoryBytes, totalBytes: 24e9, watts: 200, celsius: 60 },
  ];
  const samples = [
    sample(1000, { cpu: 1, memory: 1e9, diskFree: 5e9, gpus: gpu(0.5, 2e9) }),
    sample(2000, { cpu: 2, memory: 3e9, diskFree: 4e9, gpus: gpu(1, 12e9) }),
    sample(3000, { cpu: null, memory: 2e9, diskFree: 3e9 }),
  ];
  const series = usageSeries(samples, 500, 1);
  const cpu = series.find(({ name }) => name === 'cpu')!;
  expect(cpu).toMatchObject({ times: [1.5], values: [1.5], mean: 1.5, max: 2, unit: 'processors' });
  expect(series.some(({ name }) => name === 'machineCpu')).toBe(false);
  expect(usageTitle(series[0]!)).toBe('GPU 0 busy');
  const all = usageSeries(samples, 500, 100);
  expect(usageWords(all)).toEqual([
    'GPU 0: 75 % busy, 12.0 GB of 24.0 GB, 200 W',
    '1.5 processors',
    '3.0 GB of memory at most',
    '3.0 GB free on the disk',
  ]);
  expect(usageWords([])).toEqual([]);
});
