/** Packs a project's store, and fills in missing checksums, while neither the project nor the machine is in use. */
import { availableParallelism, loadavg } from 'node:os';
import type { Store } from './store/client.ts';

/** Idle time of the project before packing starts. */
const IDLE_MS = Number(process.env.TRAINSTASH_PACK_AFTER_MS ?? 10_000);
/** Age of a checkpoint before it is packed. */
const MIN_AGE_MS = Number(process.env.TRAINSTASH_PACK_AGE_MS ?? 3_600_000);
const RETRY_MS = 600_000;
/** Longest time a writer can be blocked by one packing slice. */
export const PACK_SLICE_MS = 300;

export class IdlePacking {
  /** True while packing, which keeps the project open. */
  busy = false;
  /** Earliest time at which there can be something new to pack. */
  #nextAt = 0;

  /** Fills in checksums, and packs until everything is packed or the project is used. Retries later after a full disk or a closed store. */
  async run(store: Store, usedAt: () => number, liveRuns: () => number, log: (text: string) => void): Promise<void> {
    if (this.busy || Date.now() < this.#nextAt) return;
    this.busy = true;
    let savedBytes = 0;
    try {
      let filling = true;
      while (Date.now() - usedAt() >= IDLE_MS && machineIsFree(liveRuns())) {
        // First, since it makes every read faster.
        if (filling) {
          filling = await store.fillChecksums(PACK_SLICE_MS);
          continue;
        }
        const slice = await store.pack(PACK_SLICE_MS, MIN_AGE_MS);
        savedBytes += slice.savedBytes;
        if (slice.more) continue;
        this.#nextAt = Date.now() + RETRY_MS;
        break;
      }
    } catch (error) {
      this.#nextAt = Date.now() + RETRY_MS;
      log(`packing: ${(error as Error).message}`);
    } finally {
      this.busy = false;
      if (savedBytes > 0) log(`packed, ${savedBytes} bytes smaller`);
    }
  }
}

/**
 * Tells whether the machine is free: a training may need every core for its data. Where the load is unknown, any run
 * counts.
 */
function machineIsFree(liveRuns: number): boolean {
  if (liveRuns === 0) return true;
  const [load] = loadavg();
  return process.platform !== 'win32' && load! < availableParallelism() / 2;
}
