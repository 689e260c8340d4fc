/** Checks the options of a start about the queue against what is there. */
import type { GpuDemand } from '../../protocol/devices.ts';
import type { Store } from '../store/client.ts';
import { conditionsOf, deviceTaken, interruptLoses } from './control.ts';
import { programOf } from './launch/environments.ts';
import type { Device, LaunchOptions } from './launch/launching.ts';
import type { QueueConditions } from './launch/queued.ts';

/** Finds NVIDIA's program that could move a process off its GPU. It is only named, since nobody has run it with Trainstash. */
function moverIn(environment: Record<string, string> = {}): string | null {
  return programOf(['cuda-checkpoint'], { cwd: '/', root: '/', environment, interpreter: undefined });
}

/**
 * Resolves the options about the queue, and brings the list of GPUs up to date. Rejects with `notFound`, `interruptLoses` and
 * `deviceTaken`; then nothing has changed.
 */
export async function resolveConditions(
  store: Pick<Store, 'findRun'>,
  device: Device,
  options: LaunchOptions,
  gpu: GpuDemand | undefined,
): Promise<QueueConditions> {
  const after = options.after === undefined ? null : (await store.findRun(options.after)).id;
  await device.look();
  const grant = device.admit(gpu, options.environment, '');
  if (!grant.granted && grant.never) throw deviceTaken(grant, gpu);
  if (options.urgent !== 'interrupt' || grant.granted) return conditionsOf(options, after);
  const accepted = new Set(options.accepted);
  const losing = device
    .interruptionsFor(gpu, options.environment)
    .filter(({ id, cooperative }) => !cooperative && !accepted.has(id));
  if (losing.length > 0) throw interruptLoses(losing, moverIn(options.environment));
  return conditionsOf(options, after);
}
