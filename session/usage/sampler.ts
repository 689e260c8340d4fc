/** Samples what a session uses while it runs. Its failures are silent: they never fail or slow down a training. */
import { statfs } from 'node:fs/promises';
import { cpus, freemem, totalmem } from 'node:os';
import type { SessionDirectory } from '../directory.ts';
import { amdUse } from './amd.ts';
import { appleUse } from './apple.ts';
import { NvidiaWatch } from './nvidia.ts';
import { processesUse } from './processes.ts';
import { SampleFile } from './samples.ts';

/** Usual interval; it doubles when the file is full, and grows while a sample costs more than its share. */
const INTERVAL_MS = 5_000;
/** First interval, so that a short run has samples, too: each is twice as long as the one before, up to the usual one. */
const FIRST_MS = 1_000;
/** Interval at which `nvidia-smi` prints: each sample has its newest line. */
const GPU_MS = 2_000;
/** Share of one processor that sampling may use. */
const SHARE = 0.005;

export interface SamplerOptions {
  directory: SessionDirectory;
  /** Process that leads the session's processes. */
  leader: number;
  /** Folder whose disk is watched. */
  root: string;
  /** Variables of the session's processes, which say what GPUs they see. */
  environment: Readonly<Record<string, string | undefined>>;
}

export class UsageSampler {
  readonly #options: SamplerOptions;
  readonly #file: SampleFile;
  readonly #gpus: NvidiaWatch;
  #intervalMs = INTERVAL_MS;
  #nextMs = FIRST_MS;
  #timer: NodeJS.Timeout | null = null;
  #before: { at: number; cpuSeconds: number | null; busy: number; idle: number };
  #isOver = false;

  constructor(options: SamplerOptions) {
    this.#options = options;
    this.#file = new SampleFile(options.directory);
    this.#gpus = new NvidiaWatch(GPU_MS, visibleGpus(options.environment));
    const use = processesUse(options.leader);
    this.#before = { at: performance.now(), cpuSeconds: use?.cpuSeconds ?? null, ...machineTimes() };
    this.#schedule();
  }

  close(): void {
    this.#isOver = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#gpus.close();
  }

  #schedule(): void {
    this.#timer = setTimeout(() => void this.#sample(), this.#nextMs);
    this.#nextMs = Math.min(2 * this.#nextMs, this.#intervalMs);
    this.#timer.unref();
  }

  async #sample(): Promise<void> {
    const [diskFree, apple] = await Promise.all([freeBytes(this.#options.root), appleUse()]);
    if (this.#isOver) return;
    const started = process.cpuUsage();
    try {
      const before = this.#before;
      const use = processesUse(this.#options.leader);
      const now = { at: performance.now(), cpuSeconds: use?.cpuSeconds ?? null, ...machineTimes() };
      this.#before = now;
      const seconds = (now.at - before.at) / 1000;
      const spent =
        now.cpuSeconds === null || before.cpuSeconds === null ? null : Math.max(0, now.cpuSeconds - before.cpuSeconds);
      const [busy, idle] = [now.busy - before.busy, now.idle - before.idle];
      const isFull = this.#file.add({
        t: Date.now(),
        cpu: spent === null ? null : rounded(spent / seconds),
        memory: use?.memoryBytes ?? null,
        machineCpu: busy + idle > 0 ? rounded(busy / (busy + idle)) : null,
        machineMemory: totalmem() - freemem(),
        diskFree,
        gpus: [...this.#gpus.last, ...amdUse(visibleAmd(this.#options.environment)), ...apple],
      });
      if (isFull) this.#intervalMs *= 2;
    } catch {
      // The disk is full: the sample is lost.
    }
    const { user, system } = process.cpuUsage(started);
    const least = (user + system) / 1000 / SHARE;
    if (least > this.#intervalMs) this.#intervalMs = least;
    if (this.#nextMs >= INTERVAL_MS) this.#nextMs = this.#intervalMs;
    this.#schedule();
  }
}

/** Lists the GPUs that a process sees by their index; null: all, or they are named in another way. */
export function visibleGpus({ CUDA_VISIBLE_DEVICES: listed }: SamplerOptions['environment']): number[] | null {
  if (listed === undefined || !/^(\d+(,\d+)*)?$/.test(listed)) return null;
  return listed === '' ? [] : listed.split(',').map(Number);
}

/** Lists the GPUs that a process sees of AMD's; HIP obeys CUDA's variable, too. */
function visibleAmd({
  ROCR_VISIBLE_DEVICES: rocr,
  HIP_VISIBLE_DEVICES: hip,
  CUDA_VISIBLE_DEVICES: cuda,
}: SamplerOptions['environment']): number[] | null {
  // HIP counts among those that ROCm's runtime leaves.
  if (rocr !== undefined && (hip ?? cuda) !== undefined) return null;
  return visibleGpus({ CUDA_VISIBLE_DEVICES: rocr ?? hip ?? cuda });
}

function machineTimes(): { busy: number; idle: number } {
  let busy = 0;
  let idle = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    busy += times.user + times.nice + times.sys + times.irq;
  }
  return { busy, idle };
}

async function freeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
