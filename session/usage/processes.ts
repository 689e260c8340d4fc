/** Processor time and memory of the processes of one session, from Linux's /proc. Elsewhere they are unknown. */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second in /proc: Linux shows 100 to programs on all architectures. */
const TICKS = 100;
const PAGE_BYTES = 4096;

export interface ProcessesUse {
  /** Processor seconds used so far, also by children that have ended. */
  cpuSeconds: number;
  /** Resident memory; what processes share is counted once. */
  memoryBytes: number;
}

/** Sums up the processes whose process session is that of `leader`. Null: unknown here. */
export function processesUse(leader: number, proc = '/proc'): ProcessesUse | null {
  let names: string[];
  try {
    names = readdirSync(proc);
  } catch {
    return null;
  }
  let ticks = 0;
  let privatePages = 0;
  let sharedPages = 0;
  let found = false;
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = fieldsOf(readFileSync(`${proc}/${name}/stat`, 'utf8'));
      if (Number(name) !== leader && fields.session !== leader) continue;
      const [, resident = 0, shared = 0] = readFileSync(`${proc}/${name}/statm`, 'utf8').split(' ').map(Number);
      found = true;
      ticks += fields.ticks;
      privatePages += Math.max(0, resident - shared);
      sharedPages = Math.max(sharedPages, shared);
    } catch {
      // It has ended meanwhile.
    }
  }
  if (!found) return null;
  return { cpuSeconds: ticks / TICKS, memoryBytes: (privatePages + sharedPages) * PAGE_BYTES };
}

/** Parses a line of /proc/PID/stat. The name in parentheses may itself hold spaces and parentheses. */
export function fieldsOf(stat: string): { state: string; group: number; session: number; ticks: number } {
  const after = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Fields 3, 5, 6 and 14 to 17 of proc(5): state, pgrp, session, utime, stime, cutime, cstime.
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(after[at] ?? 0), 0);
  return { state: after[0] ?? '', group: Number(after[2]), session: Number(after[3]), ticks };
}
