/** The start of an urgent run for which others are moved off their GPUs. */
import type { Run } from '../../../protocol/domain.ts';
import { resolveConditions } from '../conditions.ts';
import type { ProjectContext } from '../context.ts';
import type { Launcher } from '../launch/launcher.ts';
import type { Device, LaunchOptions } from '../launch/launching.ts';
import type { QueuedRuns } from '../launch/queued.ts';

interface Parts {
  context: ProjectContext;
  device: Device;
  launcher: Launcher;
  queued: QueuedRuns;
}

/**
 * Waits until the runs in the way of a queued urgent one are off their GPUs. Rejects with `interruptLoses` if one could not be moved;
 * then nothing has changed: a person decides about the loss. `before`: record of the urgent run before; null: there was none.
 */
export async function startedAfterMove(
  { context, device, launcher, queued }: Parts,
  urgent: Run,
  before: Run | null,
  options: LaunchOptions,
): Promise<Run> {
  const since = Date.now();
  const why = await device.moved(urgent.id);
  if (why !== null && queued.has(urgent.id))
    await resolveConditions(context.store, device, options, urgent.gpu, why).catch(async (error) => {
      queued.remove(urgent.id);
      await launcher.undo(urgent.id, before, since);
      device.changed();
      throw error;
    });
  return launcher.find(urgent.id)?.run ?? context.store.requireRun(urgent.id);
}
