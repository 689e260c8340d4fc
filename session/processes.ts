/** Signals the processes of a session, and waits for their end. */
import { readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProcessRecord } from '../protocol/session.ts';
import { bootId, type SessionDirectory, startTimeOf } from './directory.ts';
import { fieldsOf } from './usage/processes.ts';

/** Time after which a killed process is no longer waited for: it hangs in the kernel. */
const GONE_MS = 10_000;
const POLL_MS = 50;

/** Signals the runner's process group, if the pid is still that process. Returns whether it did. */
export function signalRunner(directory: SessionDirectory, signal: NodeJS.Signals): boolean {
  const record = directory.process();
  if (!record || record.host !== hostname() || record.bootId !== bootId()) return false;
  // The command first: the end of its runner would only hang up its terminal.
  const reached = [record.child, record].map((target) => target !== null && signalGroup(target, signal));
  return reached.some(Boolean);
}

/**
 * Waits until the processes of a killed session are gone, for at most ten seconds. A runner's lock is free before a script with much memory
 * has ended, and the script holds its devices until then.
 */
export async function untilGone(record: ProcessRecord | null): Promise<void> {
  if (!record || record.host !== hostname() || record.bootId !== bootId()) return;
  const groups = [record, record.child].filter((process) => process !== null).map(({ pid }) => pid);
  const deadline = performance.now() + GONE_MS;
  while (groups.some(isGroupAlive) && performance.now() < deadline) await delay(POLL_MS);
}

function signalGroup({ pid, startTime }: { pid: number; startTime: string | null }, signal: NodeJS.Signals): boolean {
  if (startTime !== null && startTimeOf(pid) !== startTime) return false;
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, signal);
      return true;
    } catch {
      // Not a group leader, or already gone.
    }
  }
  return false;
}

/** Tells whether a process of the group lives. A dead one that nobody has collected holds nothing. */
function isGroupAlive(group: number): boolean {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return isReachable(-group);
  }
  return names.some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const process = fieldsOf(readFileSync(`/proc/${name}/stat`, 'utf8'));
      return process.group === group && !'ZX'.includes(process.state);
    } catch {
      return false;
    }
  });
}

function isReachable(target: number): boolean {
  try {
    process.kill(target, 0);
    return true;
  } catch {
    return false;
  }
}
