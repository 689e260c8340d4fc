/** Whether the kernel ended a command for want of memory, as far as it may be asked: by its log, else by its control group. */
import { closeSync, constants, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

const LOG = '/dev/kmsg';
const GROUPS = '/sys/fs/cgroup';
const MAX_RECORD_BYTES = 16 << 10;
const MAX_RECORDS = 200_000;

export class MemoryWatch {
  readonly #pid: number;
  readonly #startedAtMicros: number;
  readonly #counters: readonly { path: string; kills: number }[];

  /** From the command's start on. */
  constructor(pid: number) {
    this.#pid = pid;
    this.#startedAtMicros = microsSinceBoot();
    this.#counters = countersOf(pid).map((path) => ({ path, kills: killsIn(path) }));
  }

  get wasKilled(): boolean {
    return this.#counters.some(({ path, kills }) => killsIn(path) > kills) || this.#isInLog();
  }

  /** Records are `6,339,5140900,-;text`: the third is when, in microseconds since boot. */
  #isInLog(): boolean {
    return recordsOfLog().some((record) => {
      const time = Number(record.split(',', 3)[2]);
      return time >= this.#startedAtMicros && killedBy(record) === this.#pid;
    });
  }
}

/** The process that the kernel says it has ended; null in any other record of its log. */
export function killedBy(record: string): number | null {
  const [, pid] = /out of memory.*\bkill(?:ed)? process (\d+)/i.exec(record) ?? [];
  return pid === undefined ? null : Number(pid);
}

/** Files that count such ends in the control groups which `groups` (of `/proc/PID/cgroup`) names. */
export function counterPaths(groups: string): string[] {
  return groups.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === '') return [join(GROUPS, path, 'memory.events')];
    // Seen from inside a container its path may be that of the host.
    if (controllers!.split(',').includes('memory'))
      return [join(GROUPS, 'memory', path, 'memory.oom_control'), join(GROUPS, 'memory', 'memory.oom_control')];
    return [];
  });
}

function countersOf(pid: number): string[] {
  try {
    // A counter of the whole machine would tell of anybody's process.
    return counterPaths(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
      .filter((path) => existsSync(path))
      .slice(0, 1);
  } catch {
    return [];
  }
}

function killsIn(path: string): number {
  try {
    return Number(/^oom_kill (\d+)/m.exec(readFileSync(path, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function microsSinceBoot(): number {
  try {
    return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1e6;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function recordsOfLog(): string[] {
  let log: number;
  try {
    log = openSync(LOG, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return []; // Not for everybody's eyes.
  }
  const records: string[] = [];
  const buffer = Buffer.alloc(MAX_RECORD_BYTES);
  try {
    for (let i = 0; i < MAX_RECORDS; i++) {
      try {
        records.push(buffer.toString('utf8', 0, readSync(log, buffer)));
      } catch (error) {
        // Records that were overwritten meanwhile are skipped.
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') break;
      }
    }
    return records;
  } finally {
    closeSync(log);
  }
}
