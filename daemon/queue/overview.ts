/** Shows and changes the queue of the machine for people. */

import type * as v from 'valibot';
import { TrainstashError } from '../../protocol/errors.ts';
import type { QueueState, queueChange } from '../../protocol/messages/queue.ts';
import { foreignUse } from '../devices/allocate.ts';
import type { QueueEntry } from '../runs/launch/queue.ts';
import type { OpenProject } from '../runs/project.ts';
import type { DeviceQueue } from './device-queue.ts';
import { newPlace } from './reorder.ts';

export type QueueChange = Omit<
  v.InferInput<typeof queueChange.schema> & NonNullable<typeof queueChange.params>,
  'root'
>;

export async function queueState(device: DeviceQueue): Promise<QueueState> {
  await device.look();
  const situation = device.situation(new Set());
  const holders = device.holders();
  const queued = await Promise.all(
    device.waiters.map(async ({ project, entry }) => ({
      root: project.place.root,
      run: await project.store.requireRun(entry.run),
      gpu: entry.gpu,
      priority: entry.priority,
      urgent: entry.urgent,
      paused: entry.paused,
      after: entry.after && ((await project.store.run(entry.after))?.name ?? entry.after),
      notBefore: entry.notBefore,
      interruptedFor: entry.interruption?.byName ?? null,
    })),
  );
  return {
    devices: situation.devices.map((one) => {
      const runs = holders.filter(({ devices }) => devices === 'all' || devices.includes(one.index));
      return {
        index: one.index,
        name: one.name,
        totalBytes: one.totalBytes,
        usedBytes: one.usedBytes,
        runs: runs.map(({ name }) => name),
        taken: runs.length > 0 ? null : foreignUse(situation, one),
      };
    }),
    problem: device.problem,
    ...device.settings.current,
    queued,
    away: device.away,
  };
}

/** Changes the queue, and looks for a run that may start now. Rejects with `notFound`, `wrongStatus`, `paramInvalid`. */
export async function changeQueue(device: DeviceQueue, project: OpenProject, change: QueueChange): Promise<void> {
  const { width, paused } = change;
  if (change.run === undefined) {
    if ([change.move, change.priority, change.at, change.after].some((one) => one !== undefined))
      throw new TrainstashError('paramInvalid', 'Name the queued run to change. Nothing was changed.', {
        param: 'run',
        expected: 'a queued run',
      });
    device.settings.change({ ...(width === undefined ? {} : { width }), ...(paused === undefined ? {} : { paused }) });
  } else {
    const entry = await entryOf(project, change.run);
    project.runs.queued.change(entry.run, await patchOf(device, project, entry, change));
    if (width !== undefined) device.settings.change({ width });
  }
  await device.changed();
}

async function patchOf(
  device: DeviceQueue,
  project: OpenProject,
  entry: QueueEntry,
  { move, priority, paused, at, after }: QueueChange,
): Promise<Partial<QueueEntry>> {
  const others = device.waiters.map((waiter) => waiter.entry).filter(({ run }) => run !== entry.run);
  const where = typeof move === 'object' ? await entryOf(project, move.before) : move;
  if (typeof where === 'object' && where.run === entry.run)
    throw new TrainstashError('paramInvalid', 'A run cannot go before itself. Nothing was changed.', {
      param: 'before',
      expected: 'another queued run',
    });
  const place =
    where && newPlace(others, typeof where === 'object' ? others.find(({ run }) => run === where.run)! : where);
  const first = after == null ? null : await project.store.findRun(after);
  if (first) project.runs.queued.requireNoCircle(entry.run, first.id);
  return {
    ...place,
    ...(priority === undefined ? {} : { priority }),
    ...(paused === undefined ? {} : { paused }),
    ...(at === undefined ? {} : { notBefore: at }),
    ...(after === undefined ? {} : { after: first?.id ?? null }),
  };
}

async function entryOf({ store, runs }: OpenProject, query: string): Promise<QueueEntry> {
  const run = await store.findRun(query);
  const entry = runs.queued.entries.find((one) => one.run === run.id);
  if (entry) return entry;
  const where = runs.moves.isAway(run.id)
    ? 'is off its GPU, and comes back before all that is not urgent'
    : `is ${run.status}, and not in the queue`;
  throw new TrainstashError('wrongStatus', `${run.name} ${where}. Nothing was changed.`, {
    run: run.id,
    status: run.status,
    allowed: ['queued'],
  });
}
