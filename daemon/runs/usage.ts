/** Reads what the sessions of a run used of the machine. */
import type { Run } from '../../protocol/domain.ts';
import { USAGE_NAMES, type UsageName, type UsageSeries, type UsageUnit } from '../../protocol/usage.ts';
import { readSamples, readWaits, type Sample, type WaitSample } from '../../session/usage/samples.ts';
import { type ProjectContext, sessionOf } from './context.ts';

type Gpu = Sample['gpus'][number];

const OF_MACHINE: Partial<Record<UsageName, { unit: UsageUnit; value(sample: Sample): number | null }>> = {
  cpu: { unit: 'processors', value: ({ cpu }) => cpu },
  memory: { unit: 'bytes', value: ({ memory }) => memory },
  machineCpu: { unit: 'share', value: ({ machineCpu }) => machineCpu },
  machineMemory: { unit: 'bytes', value: ({ machineMemory }) => machineMemory },
  diskFree: { unit: 'bytes', value: ({ diskFree }) => diskFree },
};
const OF_GPU: Partial<Record<UsageName, { unit: UsageUnit; value(gpu: Gpu): number | null }>> = {
  gpuBusy: { unit: 'share', value: ({ busy }) => busy },
  gpuMemory: { unit: 'bytes', value: ({ memoryBytes }) => memoryBytes },
  gpuWatts: { unit: 'W', value: ({ watts }) => watts },
  gpuCelsius: { unit: '°C', value: ({ celsius }) => celsius },
};

export async function readUsage(
  context: Pick<ProjectContext, 'place' | 'store'>,
  run: Run,
  buckets: number,
): Promise<UsageSeries[]> {
  const sessions = (await context.store.sessions(run.id)).filter(({ purpose }) => purpose === 'train');
  const samples = sessions.flatMap(({ id }) => readSamples(sessionOf(context, id)));
  samples.sort((a, b) => a.t - b.t);
  const waits = sessions.flatMap(({ id }) => readWaits(sessionOf(context, id))).sort((a, b) => a.t - b.t);
  const from = sessions[0]?.startedAt ?? run.createdAt;
  return [...waitSeries(waits, from, buckets), ...usageSeries(samples, from, buckets)];
}

/** Makes a series of the share of the time in which the loop waited for data. Its samples are for times of different length. */
export function waitSeries(waits: readonly WaitSample[], from: number, buckets: number): UsageSeries[] {
  const value = ({ waited, seconds }: WaitSample) => Math.min(1, waited / seconds);
  const what = { name: 'dataWait', gpu: null, unit: 'share' } as const;
  const seconds = waits.reduce((sum, one) => sum + one.seconds, 0);
  const mean = waits.reduce((sum, one) => sum + value(one) * one.seconds, 0) / seconds;
  return seriesOf(waits, from, buckets, what, value, null).map((series) => ({ ...series, mean }));
}

/** Makes series of samples, each reduced to means of at most `buckets` intervals. A value that is unknown is left out. */
export function usageSeries(samples: readonly Sample[], from: number, buckets: number): UsageSeries[] {
  const gpus = [...new Set(samples.flatMap((sample) => sample.gpus.map(({ index }) => index)))].sort((a, b) => a - b);
  return USAGE_NAMES.flatMap((name) => {
    const machine = OF_MACHINE[name];
    if (machine) return seriesOf(samples, from, buckets, { name, gpu: null, unit: machine.unit }, machine.value, null);
    const ofGpu = OF_GPU[name];
    if (!ofGpu) return [];
    const { unit, value } = ofGpu;
    return gpus.flatMap((gpu) => {
      const find = (sample: Sample) => sample.gpus.find(({ index }) => index === gpu);
      const total =
        name === 'gpuMemory' ? (samples.map((sample) => find(sample)?.totalBytes).find(Boolean) ?? null) : null;
      const own = (sample: Sample) => {
        const found = find(sample);
        return found ? value(found) : null;
      };
      return seriesOf(samples, from, buckets, { name, gpu, unit }, own, total);
    });
  });
}

function seriesOf<S extends { t: number }>(
  samples: readonly S[],
  from: number,
  buckets: number,
  what: Pick<UsageSeries, 'name' | 'gpu' | 'unit'>,
  value: (sample: S) => number | null,
  limit: number | null,
): UsageSeries[] {
  const points = samples.flatMap((sample) => {
    const one = value(sample);
    return one === null ? [] : [{ time: (sample.t - from) / 1000, value: one }];
  });
  if (points.length === 0) return [];
  const each = Math.ceil(points.length / buckets);
  const times: number[] = [];
  const values: number[] = [];
  for (let i = 0; i < points.length; i += each) {
    const bucket = points.slice(i, i + each);
    times.push(bucket.at(-1)!.time);
    values.push(bucket.reduce((sum, one) => sum + one.value, 0) / bucket.length);
  }
  const mean = points.reduce((sum, one) => sum + one.value, 0) / points.length;
  const max = points.reduce((most, one) => Math.max(most, one.value), points[0]!.value);
  return [{ ...what, limit, times, values, mean, max }];
}
