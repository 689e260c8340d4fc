import { cpus } from 'node:os';

/** What is known of the machine from outside of a script. */
export function machineFacts(): Record<string, string> {
  return { platform: `${process.platform} ${process.arch}`, device: cpus()[0]?.model.trim() ?? 'cpu' };
}
