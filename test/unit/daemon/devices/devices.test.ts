/** The choice of the devices that a run gets. */
import { expect, test } from 'vitest';
import {
  allocate,
  chooseInterruptions,
  type Device,
  deviceVariables,
  type Holder,
  type Situation,
} from '../../../../daemon/devices/allocate.ts';
import { parseDevices } from '../../../../daemon/devices/nvidia.ts';
import type { GpuDemand } from '../../../../protocol/devices.ts';
import { Generator } from '../../../support/generator.ts';

const GIB = 2 ** 30;
const gpu = (index: number, more: Partial<Device> = {}): Device => ({
  index,
  uuid: `GPU-${index}`,
  name: 'H200',
  totalBytes: 140 * GIB,
  usedBytes: 0,
  processes: [],
  ...more,
});
const NO_GPU: Device = { index: 0, uuid: null, name: 'this machine', totalBytes: 0, usedBytes: 0, processes: [] };
const holder = (run: string, devices: Holder['devices']): Holder => ({ run, name: `${run} #1`, devices });
const situation = (more: Partial<Situation>): Situation => ({
  devices: [gpu(0), gpu(1)],
  holders: [],
  width: 1,
  isOurs: () => false,
  reserved: new Set(),
  ...more,
});

test('a table of nvidia-smi is read, and what is not one is left out', () => {
  const gpus = '0, GPU-a, NVIDIA H200, 143771, 512\n1, GPU-b, Old Card, [N/A], [N/A]\nFailed to initialize NVML\n\n';
  expect(parseDevices(gpus, 'GPU-a, 17\nGPU-a, 18\nGPU-b, [Not Found]\n')).toEqual([
    {
      ...gpu(0),
      uuid: 'GPU-a',
      name: 'NVIDIA H200',
      totalBytes: 143771 * 2 ** 20,
      usedBytes: 2 ** 29,
      processes: [17, 18],
    },
    { ...gpu(1), uuid: 'GPU-b', name: 'Old Card', totalBytes: 0 },
  ]);
});

test('what others use counts as taken, whether their processes are listed or only their memory is', () => {
  for (const use of [{ processes: [77] }, { usedBytes: 20 * GIB }]) {
    const given = situation({ devices: [gpu(0, use), gpu(1)] });
    expect(allocate(given, 1)).toEqual({ granted: true, devices: [1] });
    expect(allocate(given, [0])).toMatchObject({ granted: false, never: false });
    // A run that says nothing about GPUs may not need one.
    expect(allocate(given, undefined)).toEqual({ granted: true, devices: null });
  }
  // A display takes a little; our own processes are no others.
  expect(allocate(situation({ devices: [gpu(0, { usedBytes: GIB })] }), 1)).toMatchObject({ granted: true });
  expect(allocate(situation({ devices: [gpu(0, { processes: [7] })], isOurs: () => true }), 1)).toMatchObject({
    granted: true,
  });
});

test('a GPU that has vanished is named, and one that the shell hides is not given', () => {
  const gone = allocate(situation({ devices: [gpu(0)] }), [1]);
  expect(gone).toMatchObject({ granted: false, never: true, waits: expect.stringContaining('only GPU 0') });
  expect(allocate(situation({ devices: [] }), 1)).toMatchObject({ never: true });
  expect(allocate(situation({ visible: '1' }), 1)).toEqual({ granted: true, devices: [1] });
  expect(allocate(situation({ visible: 'GPU-0' }), 2)).toMatchObject({ never: true });
  expect(allocate(situation({ visible: '' }), 1)).toMatchObject({ never: true });
  // CUDA stops at the first name that it does not know.
  expect(allocate(situation({ visible: '1,-1,0' }), 1)).toEqual({ granted: true, devices: [1] });
  expect(allocate(situation({ visible: '1,-1,0' }), 2)).toMatchObject({ never: true });
  expect(allocate(situation({ visible: '-1,0' }), 1)).toMatchObject({ never: true });
});

test('a machine without nvidia-smi is one device without a name', () => {
  const machine = situation({ devices: [NO_GPU] });
  expect(allocate(machine, 1)).toEqual({ granted: true, devices: null });
  expect(allocate(machine, 2)).toMatchObject({ never: true });
  expect(allocate(situation({ devices: [NO_GPU], holders: [holder('a', 'all')] }), 1)).toMatchObject({
    granted: false,
    behind: 'a',
  });
});

test('a run sees its devices and no others, and one without a demand sees all', () => {
  expect(deviceVariables([1, 3])).toEqual({ CUDA_VISIBLE_DEVICES: '1,3', CUDA_DEVICE_ORDER: 'PCI_BUS_ID' });
  expect(deviceVariables([])).toMatchObject({ CUDA_VISIBLE_DEVICES: '' });
  expect(deviceVariables(null)).toEqual({});
});

test('no device is ever given to more runs than the width, and none that is kept; as few as possible are interrupted', () => {
  const random = new Generator(20261129);
  const int = (end: number) => random.below(end);
  for (let round = 0; round < 2_000; round++) {
    const devices = Array.from({ length: 1 + int(4) }, (_, i) => gpu(i, int(5) === 0 ? { processes: [7] } : {}));
    const width = 1 + int(2);
    const some = () => devices.map(({ index }) => index).filter(() => int(2) === 0);
    const holders: Holder[] = [];
    const reserved = new Set(int(3) === 0 ? some() : []);
    for (let i = 0; i < 6; i++) {
      const demand: GpuDemand | undefined = random.pick<GpuDemand | undefined>([
        undefined,
        0,
        1,
        2,
        'shared',
        [int(5)],
      ]);
      const given = situation({ devices, holders: [...holders], width, reserved });
      const grant = allocate(given, demand);
      if (!grant.granted) {
        const chosen = chooseInterruptions(given, demand, holders);
        if (chosen === null) continue;
        const left = holders.filter((one) => !chosen.includes(one));
        expect(allocate({ ...given, holders: left }, demand).granted).toBe(true);
        for (const spared of chosen) {
          const fewer = holders.filter((one) => one === spared || !chosen.includes(one));
          expect(allocate({ ...given, holders: fewer }, demand).granted).toBe(false);
        }
        continue;
      }
      const held = demand === undefined ? 'all' : demand === 'shared' ? [] : (grant.devices ?? []);
      holders.push(holder(String(i), held));
      for (const { index, processes } of devices) {
        const on = holders.filter((one) => one.devices === 'all' || one.devices.includes(index));
        expect(on.length).toBeLessThanOrEqual(width);
        if (held !== 'all' && held.includes(index)) {
          expect(reserved.has(index)).toBe(false);
          if (on.length === 1) expect(processes).toEqual([]);
        }
      }
    }
  }
});
