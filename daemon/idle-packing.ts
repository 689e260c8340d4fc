/** Makes a project's store smaller as long as nobody needs it, or the machine. */
import { availableParallelism, loadavg } from 'node:os';
import type { Store } from './store/client.ts';

/** After nothing was asked of the project for so long. */
const AFTER_MS = Number(process.env.TRAINSTASH_PACK_AFTER_MS ?? 10_000);
/** Newer checkpoints stay as they are. */
const AGE_MS = Number(process.env.TRAINSTASH_PACK_AGE_MS ?? 3_600_000);
const AGAIN_MS = 600_000;
/** How long what changes the store may have to wait for it. */
export const PACK_SLICE_MS = 300;

export class IdlePacking {
  /** The project stays open meanwhile. */
  busy = false;
  /** Not before there can be something new to pack. */
  #nextAt = 0;

  /** Packs until all is packed or somebody needs the project. A full disk, or a store that is closed meanwhile: later. */
  async run(store: Store, usedAt: () => number, liveRuns: () => number, log: (text: string) => void): Promise<void> {
    if (this.busy || Date.now() < this.#nextAt) return;
    this.busy = true;
    let savedBytes = 0;
    try {
      while (Date.now() - usedAt() >= AFTER_MS && machineIsFree(liveRuns())) {
        const slice = await store.pack(PACK_SLICE_MS, AGE_MS);
        savedBytes += slice.savedBytes;
        if (slice.more) continue;
        this.#nextAt = Date.now() + AGAIN_MS;
        break;
      }
    } catch (error) {
      this.#nextAt = Date.now() + AGAIN_MS;
      log(`packing: ${(error as Error).message}`);
    } finally {
      this.busy = false;
      if (savedBytes > 0) log(`packed, ${savedBytes} bytes smaller`);
    }
  }
}

/** A training may need every core for its data. Where the load is not told, any run counts. */
function machineIsFree(liveRuns: number): boolean {
  if (liveRuns === 0) return true;
  const [load] = loadavg();
  return process.platform !== 'win32' && load! < availableParallelism() / 2;
}
