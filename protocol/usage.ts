/** Use of the machine by a run, over time. */
import { bytes, metric } from './words.ts';

export const USAGE_NAMES = [
  'gpuBusy',
  'gpuMemory',
  'gpuWatts',
  'gpuCelsius',
  'dataWait',
  'cpu',
  'memory',
  'machineCpu',
  'machineMemory',
  'diskFree',
] as const;
export type UsageName = (typeof USAGE_NAMES)[number];
export type UsageUnit = 'processors' | 'share' | 'bytes' | 'W' | '°C';

/** One series. The arrays have equal length. */
export interface UsageSeries {
  name: UsageName;
  /** Index of the GPU; null: it is not about one. */
  gpu: number | null;
  unit: UsageUnit;
  /** Largest possible value, such as the memory of a GPU; null: unknown. */
  limit: number | null;
  /** Seconds since the run's first start. */
  times: number[];
  values: number[];
  /** Mean and largest value of all samples, also of those between the points. */
  mean: number;
  max: number;
}

const TITLES: Record<UsageName, string> = {
  gpuBusy: 'busy',
  gpuMemory: 'memory',
  gpuWatts: 'power',
  gpuCelsius: 'temperature',
  dataWait: 'waiting for data',
  cpu: 'processors, by the run',
  memory: 'memory, of the run',
  machineCpu: 'processors, by all',
  machineMemory: 'memory, of all',
  diskFree: 'free on the disk',
};

export function usageTitle({ name, gpu }: Pick<UsageSeries, 'name' | 'gpu'>): string {
  return gpu === null ? TITLES[name] : `GPU ${gpu} ${TITLES[name]}`;
}

/** Formats a value of a series: `87 %`, `12.1 GB`, `210 W`. */
export function usageValue(value: number, unit: UsageUnit): string {
  if (unit === 'share') return `${Math.round(value * 100)} %`;
  if (unit === 'bytes') return bytes(value);
  return unit === 'processors' ? metric(value) : `${Math.round(value)} ${unit}`;
}

/** Sums up a run's use in a few phrases: GPUs first; empty: nothing was sampled. */
export function usageWords(series: readonly UsageSeries[]): string[] {
  const of = (name: UsageName, gpu: number | null) => series.find((one) => one.name === name && one.gpu === gpu);
  const words: string[] = [];
  for (const gpu of new Set(series.flatMap((one) => (one.gpu === null ? [] : [one.gpu])))) {
    const [busy, memory, watts] = [of('gpuBusy', gpu), of('gpuMemory', gpu), of('gpuWatts', gpu)];
    const parts = [
      busy && `${usageValue(busy.mean, busy.unit)} busy`,
      memory && `${bytes(memory.max)}${memory.limit === null ? '' : ` of ${bytes(memory.limit)}`}`,
      watts && usageValue(watts.mean, watts.unit),
    ];
    words.push(`GPU ${gpu}: ${parts.filter(Boolean).join(', ')}`);
  }
  const wait = of('dataWait', null);
  if (wait) words.push(`${usageValue(wait.mean, wait.unit)} of the time waiting for data`);
  const [cpu, memory, disk] = [of('cpu', null), of('memory', null), of('diskFree', null)];
  if (cpu)
    words.push(`${metric(Number(cpu.mean.toPrecision(2)))} ${cpu.limit === null ? '' : `of ${cpu.limit} `}processors`);
  if (memory) words.push(`${bytes(memory.max)} of memory at most`);
  if (disk) words.push(`${bytes(disk.values.at(-1)!)} free on the disk`);
  return words;
}
