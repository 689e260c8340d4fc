/** Gets fair numbers on a noisy machine: both sides alternately in one run, medians, ratios. */
import { closeSync, copyFileSync, fdatasyncSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface Result {
  name: string;
  value: number;
  unit: string;
  /** The alternative, and its value in the same unit. */
  versus?: string;
  theirs?: number;
  /** Our value divided by theirs. */
  ratio?: number;
  /** Goal: `at least` or `at most` of `ratio`, or of `value` without a ratio. */
  goal: { atLeast?: number; atMost?: number };
  /** Values of all rounds, ours and theirs. */
  raw?: { ours: number[]; theirs?: number[] };
}

/** Error for a group that cannot be measured on this machine; the message says why. */
export class CannotMeasure extends Error {}

/** Throws if a folder's disk has less room than a group needs: on a full one the store rightly stores nothing. */
export function needRoom(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const gigabytes = (count: number) => `${Math.round(count / 1e9)} GB`;
  if (bavail * bsize >= bytes) return;
  throw new CannotMeasure(
    `it needs ${gigabytes(bytes)} in ${folder}, where ${gigabytes(bavail * bsize)} are free. Set TRAINSTASH_BENCH_FOLDER to a folder on a larger disk.`,
  );
}

export function print(result: Result, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(result));
    return;
  }
  const goal = goalOf(result);
  const ratio = result.ratio === undefined ? '' : `ratio ${round(result.ratio)}`;
  const versus = result.theirs === undefined ? '' : `vs ${round(result.theirs)} (${result.versus})`;
  console.log(
    `${isReached(result) ? '✔' : '✘'} ${result.name.padEnd(20)} ${`${round(result.value)} ${result.unit}`.padEnd(18)} ${ratio.padEnd(12)} ${goal.padEnd(9)} ${versus}`,
  );
}

export function goalOf({ goal: { atLeast, atMost } }: Result): string {
  return atLeast !== undefined ? `≥ ${atLeast}` : atMost !== undefined ? `≤ ${atMost}` : '';
}

export function isReached({ value, ratio, goal: { atLeast, atMost } }: Result): boolean {
  const measured = ratio ?? value;
  return (atLeast === undefined || measured >= atLeast) && (atMost === undefined || measured <= atMost);
}

export function round(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString('en-US', { maximumSignificantDigits: 4 });
}

/** Runs one round and returns its seconds. */
export type Side = () => Promise<number> | number;

/**
 * Returns the seconds per round of both sides, taken alternately; the first pair warms up and is not counted. The number of rounds is
 * even: on some disks a side is twice as fast after itself as after the other, and each must meet both equally often.
 */
export async function alternate(
  rounds: number,
  ours: Side,
  theirs: Side,
): Promise<{ ours: number[]; theirs: number[] }> {
  const seconds = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round <= rounds + (rounds % 2); round++) {
    // The side that goes second meets a busier disk, so the sides take turns.
    const order = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    for (const side of order) {
      const value = await (side === 'ours' ? ours() : theirs());
      if (round > 0) seconds[side].push(value);
    }
  }
  return seconds;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** Makes a ratio of throughputs from seconds: above 1 we are faster. */
export function throughput(
  name: string,
  megabytes: number,
  seconds: { ours: number[]; theirs: number[] },
  versus: string,
  atLeast: number,
): Result {
  const ours = megabytes / median(seconds.ours);
  const theirs = megabytes / median(seconds.theirs);
  return { name, value: ours, unit: 'MiB/s', versus, theirs, ratio: ours / theirs, goal: { atLeast }, raw: seconds };
}

/** Makes a ratio of times: below 1 we are faster. */
export function times(
  name: string,
  seconds: { ours: number[]; theirs: number[] },
  versus: string,
  atMost?: number,
): Result {
  const ours = median(seconds.ours);
  const theirs = median(seconds.theirs);
  return {
    name,
    value: ours * 1000,
    unit: 'ms',
    versus,
    theirs: theirs * 1000,
    ratio: ours / theirs,
    goal: atMost === undefined ? {} : { atMost },
    raw: seconds,
  };
}

export async function timed(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/** Measures `cp` + `fsync`, the counterpart of whatever writes an existing file. The copy is removed afterwards. */
export function copySynced(source: string, target: string): number {
  const started = performance.now();
  copyFileSync(source, target);
  const file = openSync(target, 'r+');
  fsyncSync(file);
  closeSync(file);
  const seconds = (performance.now() - started) / 1000;
  rmSync(target);
  return seconds;
}

export const RAW_BLOCKS = [64 << 10, 1 << 20, 4 << 20] as const;
const SYNC_BYTES = 64 << 20;

/** Writes `bytes` in blocks, with fdatasync every 64 MiB and at the end. `prepare` may hash each block first. */
export function rawWrite(
  folder: string,
  bytes: Uint8Array,
  block: number,
  prepare?: (part: Uint8Array) => void,
): number {
  const path = join(folder, 'raw');
  const started = performance.now();
  const file = openSync(path, 'w');
  let unsynced = 0;
  for (let at = 0; at < bytes.length; at += block) {
    const part = bytes.subarray(at, at + block);
    prepare?.(part);
    writeSync(file, part);
    unsynced += part.length;
    if (unsynced >= SYNC_BYTES) {
      fdatasyncSync(file);
      unsynced = 0;
    }
  }
  fdatasyncSync(file);
  const seconds = (performance.now() - started) / 1000;
  closeSync(file);
  rmSync(path);
  return seconds;
}

/** Finds the block size that this disk currently writes fastest. */
export function fastestBlock(folder: string, bytes: Uint8Array): number {
  const seconds = new Map(RAW_BLOCKS.map((block) => [block, Number.POSITIVE_INFINITY]));
  for (let round = 0; round < 2; round++) {
    for (const block of RAW_BLOCKS) seconds.set(block, Math.min(seconds.get(block)!, rawWrite(folder, bytes, block)));
  }
  return [...seconds].sort((a, b) => a[1] - b[1])[0]![0];
}
