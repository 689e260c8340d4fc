/** Tries what a remote has to allow: write, read, list, overwrite, delete. Leaves nothing behind. */
import { TrainstashError, toWire, type WireError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { type Driver, damagedObject, keysOf } from './drivers/driver.ts';

export interface ProbeStep {
  does: 'write' | 'read' | 'list' | 'overwrite' | 'delete';
  ms: number;
  error: WireError | null;
}

export interface Probe {
  steps: ProbeStep[];
  /** True if the remote refuses to write over an object when asked to; nothing relies on it. */
  refusesTaken: boolean;
}

const BYTES = Buffer.from('Trainstash writes this to see whether it can, and deletes it again.\n');

export async function probe(name: string, driver: Driver): Promise<Probe> {
  const key = `probe/${randomId()}`;
  const steps: ProbeStep[] = [];
  let refusesTaken = false;
  const attempt = async (does: ProbeStep['does'], work: () => Promise<void>) => {
    const started = performance.now();
    let error: WireError | null = null;
    try {
      await work();
    } catch (thrown) {
      if (!(thrown instanceof TrainstashError)) throw thrown;
      error = toWire(thrown);
    }
    steps.push({ does, ms: performance.now() - started, error });
    return error === null;
  };
  const written = await attempt('write', async () => {
    await driver.put(key, BYTES);
    await driver.settle();
  });
  if (!written) return { steps, refusesTaken };
  await attempt('read', async () => {
    const bytes = await driver.get(key, { maxBytes: 1 << 10 });
    if (!bytes || !BYTES.equals(bytes)) throw damagedObject(name, key, 'it gives other bytes than were written');
  });
  await attempt('list', async () => {
    const keys = (await keysOf(driver, 'probe/')).map((entry) => entry.key);
    if (!keys.includes(key)) throw damagedObject(name, key, 'it is not in the list right after it was written');
  });
  await attempt('overwrite', async () => {
    await driver.put(key, BYTES);
    await driver.settle();
    refusesTaken = (await driver.put(key, BYTES, { ifAbsent: true })) === 'taken';
  });
  await attempt('delete', async () => {
    await driver.delete(key);
    if (await driver.stat(key)) throw damagedObject(name, key, 'it is still there after it was deleted');
  });
  return { steps, refusesTaken };
}
