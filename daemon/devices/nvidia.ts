/** Lists the GPUs of this machine, as `nvidia-smi` names them. */
import { execFile } from 'node:child_process';
import type { Device } from './allocate.ts';

const TIMEOUT_MS = 10_000;
/** Age up to which it is believed that there is no such program. */
const ABSENT_MS = 30_000;
const MIB = 2 ** 20;

const NO_GPU: Device = { index: 0, uuid: null, name: 'this machine', totalBytes: 0, usedBytes: 0, processes: [] };

export interface Listing {
  devices: readonly Device[];
  /** Why the GPUs are unknown although there is an `nvidia-smi`; null: they are known. */
  problem: string | null;
}

export class DeviceListing {
  #last: Listing = { devices: [NO_GPU], problem: null };
  #until = 0;
  #looking: Promise<Listing> | null = null;

  /** Newest listing. Before the first look it is that of a machine without GPUs. */
  get last(): Listing {
    return this.#last;
  }

  /** Asks `nvidia-smi`, unless there was none a moment ago. Never rejects. */
  look(): Promise<Listing> {
    if (performance.now() < this.#until) return Promise.resolve(this.#last);
    this.#looking ??= listDevices()
      .then((listing) => {
        this.#last = listing;
        const isAbsent = listing.devices[0] === NO_GPU;
        // A listing of GPUs is never used again: one may have vanished since.
        this.#until = isAbsent ? performance.now() + ABSENT_MS : 0;
        return listing;
      })
      .finally(() => {
        this.#looking = null;
      });
    return this.#looking;
  }
}

async function listDevices(): Promise<Listing> {
  const gpus = await ask('--query-gpu=index,uuid,name,memory.total,memory.used');
  if (gpus === null) return { devices: [NO_GPU], problem: null };
  if (typeof gpus !== 'string') return { devices: [], problem: gpus.problem };
  const apps = await ask('--query-compute-apps=gpu_uuid,pid');
  return { devices: parseDevices(gpus, typeof apps === 'string' ? apps : ''), problem: null };
}

/** Parses the two tables. Lines that are not of the expected form are left out. */
export function parseDevices(gpus: string, apps: string): Device[] {
  const processes = new Map<string, number[]>();
  for (const [uuid, pid] of rowsOf(apps)) {
    if (uuid === undefined || !/^\d+$/.test(pid ?? '')) continue;
    processes.set(uuid, [...(processes.get(uuid) ?? []), Number(pid)]);
  }
  return rowsOf(gpus).flatMap(([index, uuid, name, total, used]) =>
    /^\d+$/.test(index ?? '') && uuid
      ? [
          {
            index: Number(index),
            uuid,
            name: name ?? '',
            totalBytes: mib(total),
            usedBytes: mib(used),
            processes: processes.get(uuid) ?? [],
          },
        ]
      : [],
  );
}

function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split(',').map((cell) => cell.trim()));
}

/** Parses a number of MiB; `[N/A]` and the like are 0. */
function mib(text: string | undefined): number {
  const number = Number(text);
  return Number.isFinite(number) ? number * MIB : 0;
}

/** Runs `nvidia-smi`. Null: there is no such program. */
function ask(query: string): Promise<string | { problem: string } | null> {
  return new Promise((resolve) => {
    const words = [query, '--format=csv,noheader,nounits'];
    execFile('nvidia-smi', words, { timeout: TIMEOUT_MS, windowsHide: true }, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (error.code === 'ENOENT' || error.code === 'EACCES') resolve(null);
      else {
        const [said = ''] = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
        resolve({ problem: error.killed ? 'it did not answer within 10 seconds' : said || error.message });
      }
    });
  });
}
