import { cpus } from 'node:os';

/** Describes the machine, as seen from outside the script. */
export function machineFacts(): Record<string, string> {
  return { platform: `${process.platform} ${process.arch}`, device: cpus()[0]?.model.trim() ?? 'cpu' };
}
