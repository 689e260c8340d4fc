/**
 * Detects that the kernel killed a command because memory ran out: from the kernel log, else from its control group.
 */
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

  /** Starts observing; call it when the command starts. */
  constructor(pid: number) {
    this.#pid = pid;
    this.#startedAtMicros = microsSinceBoot();
    this.#counters = countersOf(pid).map((path) => ({ path, kills: killsIn(path) }));
  }

  get wasKilled(): boolean {
    return this.#counters.some(({ path, kills }) => killsIn(path) > kills) || this.#isInLog();
  }

  /** Records are `6,339,5140900,-;text`; the third field is the time in microseconds since boot. */
  #isInLog(): boolean {
    return recordsOfLog().some((record) => {
      const time = Number(record.split(',', 3)[2]);
      return time >= this.#startedAtMicros && killedBy(record) === this.#pid;
    });
  }
}

/** Returns the process that the kernel says it killed; null for any other record of its log. */
export function killedBy(record: string): number | null {
  const [, pid] = /out of memory.*\bkill(?:ed)? process (\d+)/i.exec(record) ?? [];
  return pid === undefined ? null : Number(pid);
}

/** Lists the files that count such kills in the control groups named by `groups` (the text of `/proc/PID/cgroup`). */
export function counterPaths(groups: string): string[] {
  return groups.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === '') return [join(GROUPS, path, 'memory.events')];
    // Inside a container the path may be the host's.
    if (controllers!.split(',').includes('memory'))
      return [join(GROUPS, 'memory', path, 'memory.oom_control'), join(GROUPS, 'memory', 'memory.oom_control')];
    return [];
  });
}

function countersOf(pid: number): string[] {
  try {
    // A counter for the whole machine would include unrelated processes.
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
    return []; // Restricted to privileged users.
  }
  const records: string[] = [];
  const buffer = Buffer.alloc(MAX_RECORD_BYTES);
  try {
    for (let i = 0; i < MAX_RECORDS; i++) {
      try {
        records.push(buffer.toString('utf8', 0, readSync(log, buffer)));
      } catch (error) {
        // Skips records that were overwritten meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') break;
      }
    }
    return records;
  } finally {
    closeSync(log);
  }
}
