/** Finds the processes that have one of these files open for writing. Works on Linux only; elsewhere it finds none. */
import { readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { namesIn } from '../../base/files.ts';

const O_ACCMODE = 3;

/** Returns names for people: `python3 (process 4711)`. Only processes of the same user can be inspected. */
export async function processesWriting(paths: ReadonlySet<string>): Promise<string[]> {
  if (process.platform !== 'linux' || paths.size === 0) return [];
  const found: string[] = [];
  for (const pid of namesIn('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const open = namesIn(`/proc/${pid}/fd`).some((fd) => {
      try {
        return paths.has(readlinkSync(`/proc/${pid}/fd/${fd}`)) && isForWriting(pid, fd);
      } catch {
        return false;
      }
    });
    if (open) found.push(`${nameOf(pid)} (process ${pid})`);
    await breathe();
  }
  return found;
}

function isForWriting(pid: string, fd: string): boolean {
  const flags = /^flags:\s*(?<octal>\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.groups?.octal;
  return (Number.parseInt(flags ?? '0', 8) & O_ACCMODE) !== 0;
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'a process';
  }
}
