/** Use of the GPU of a Mac, as `ioreg` prints it. Tried on output of that form, not on a Mac. */
import { execFile } from 'node:child_process';
import type { GpuUse } from './nvidia.ts';

const IOREG = '/usr/sbin/ioreg';
const WORDS = ['-r', '-d', '1', '-w', '0', '-c', 'IOAccelerator'];
const TIMEOUT_MS = 2_000;

/** Asks for it; empty on other systems, and if nothing is told. */
export function appleUse(platform = process.platform): Promise<GpuUse[]> {
  if (platform !== 'darwin') return Promise.resolve([]);
  return new Promise((resolve) => {
    execFile(IOREG, WORDS, { timeout: TIMEOUT_MS }, (error, stdout) => resolve(error ? [] : parseIoreg(stdout)));
  });
}

/** Reads the statistics of each accelerator. Power and temperature are not among them; the memory is the machine's. */
export function parseIoreg(text: string): GpuUse[] {
  const statistics = [...text.matchAll(/"PerformanceStatistics" = \{([^}]*)\}/g)].map((one) => one[1]!);
  return statistics.map((line, index) => {
    const of = (name: string) => {
      const found = new RegExp(`"${name}"=(\\d+)`).exec(line)?.[1];
      return found === undefined ? null : Number(found);
    };
    const busy = of('Device Utilization %');
    return {
      index,
      busy: busy === null ? null : busy / 100,
      memoryBytes: of('In use system memory'),
      totalBytes: null,
      watts: null,
      celsius: null,
    };
  });
}
