/** Checks the options of a start about the queue against what is there. */
import type { GpuDemand } from '../../protocol/devices.ts';
import type { Run } from '../../protocol/domain.ts';
import type { Store } from '../store/client.ts';
import { conditionsOf, deviceTaken, interruptLoses } from './control.ts';
import { ownEnvironment } from './launch/environments.ts';
import type { Device, LaunchOptions } from './launch/launching.ts';
import type { QueueConditions } from './launch/queued.ts';
import { moverIn } from './moving/words.ts';

/**
 * Resolves the options about the queue, and brings the list of GPUs up to date. Rejects with `notFound`, `interruptLoses` and
 * `deviceTaken`; then nothing has changed. `failed`: why `cuda-checkpoint` has failed, which is not tried again.
 */
export async function resolveConditions(
  store: Pick<Store, 'findRun'>,
  device: Device,
  options: LaunchOptions,
  gpu: GpuDemand | undefined,
  failed?: string,
): Promise<QueueConditions> {
  const after = options.after === undefined ? null : (await store.findRun(options.after)).id;
  await device.look();
  const grant = device.admit(gpu, options.environment, '');
  if (!grant.granted && grant.never) throw deviceTaken(grant, gpu);
  if (options.urgent !== 'interrupt' || grant.granted) return conditionsOf(options, after);
  const conditions = conditionsOf(options, after);
  const accepted = new Set(options.accepted);
  const losing = device
    .interruptionsFor(gpu, options.environment)
    .filter(({ id, cooperative }) => !cooperative && !accepted.has(id));
  if (losing.length === 0) return conditions;
  const why = failed ?? (await whyNotMovable(device, options, losing));
  if (why !== MOVABLE) throw interruptLoses(losing, why);
  return { ...conditions, movable: losing.map(({ id }) => id) };
}

const MOVABLE = Symbol('movable');

/** Says why `cuda-checkpoint` cannot move runs out of the way; null: it is not installed. */
async function whyNotMovable(
  device: Device,
  options: LaunchOptions,
  losing: readonly Run[],
): Promise<string | null | typeof MOVABLE> {
  const { environment = {} } = options;
  if (moverIn(environment, ownEnvironment()) === null) return null;
  // Nobody knows today what will be on the GPUs then.
  if (options.after !== undefined || options.at !== undefined) return 'the urgent run does not start at once';
  return (await device.obstacleToMove(losing, environment)) ?? MOVABLE;
}
