/**
 * Use of AMD's GPUs on Linux: the kernel's driver tells it in files, whose reading costs less than a start of `rocm-smi`. Tried on files of
 * that form, not on a GPU.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GpuUse } from './nvidia.ts';

const CARDS = '/sys/class/drm';

/** Reads each card that the driver `amdgpu` runs, in their order. `only`: the GPUs that the run was given; null: all. */
export function amdUse(only: readonly number[] | null, cards = CARDS): GpuUse[] {
  const devices = names(cards)
    .filter((name) => /^card\d+$/.test(name))
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
    .map((name) => join(cards, name, 'device'))
    .filter((device) => numberIn(join(device, 'mem_info_vram_total')) !== null);
  return devices.map(useOf).filter(({ index }) => only === null || only.includes(index));
}

function useOf(device: string, index: number): GpuUse {
  const busy = numberIn(join(device, 'gpu_busy_percent'));
  const sensors = names(join(device, 'hwmon')).map((name) => join(device, 'hwmon', name));
  const first = (file: string) => sensors.map((sensor) => numberIn(join(sensor, file))).find((one) => one !== null);
  // Newer chips tell the momentary power only.
  const [microwatts, millidegrees] = [first('power1_average') ?? first('power1_input'), first('temp1_input')];
  return {
    index,
    busy: busy === null ? null : busy / 100,
    memoryBytes: numberIn(join(device, 'mem_info_vram_used')),
    totalBytes: numberIn(join(device, 'mem_info_vram_total')),
    watts: microwatts === undefined ? null : microwatts / 1e6,
    celsius: millidegrees === undefined ? null : millidegrees / 1e3,
  };
}

function numberIn(path: string): number | null {
  try {
    const text = readFileSync(path, 'utf8').trim();
    return /^\d+$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
