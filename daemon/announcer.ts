/** Tells clients, and whoever pushes by itself, what has changed in a project. */
import type { Checkpoint, Run } from '../protocol/domain.ts';
import { checkpointChanged } from '../protocol/messages/checkpoint.ts';
import { metricsAppended } from '../protocol/messages/metrics.ts';
import type { Notification } from '../protocol/messages/request.ts';
import { noticeRaised, runChanged } from '../protocol/messages/run.ts';
import { toWireNumber } from '../protocol/numbers.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import type { Announcer } from './runs/context.ts';

export interface Listeners {
  notify<P>(notification: Notification<P>, params: P): void;
  /** Counts up the revision of the daemon's state. */
  revision(): number;
  /** Hears of checkpoints, and of runs that are over: there may be something to push. */
  noticed(run: string, session: string): void;
  /** Hears that HEAD of a worktree has moved, or that a due switch waits for other writers. */
  projectChanged(root: string): void;
  /** Hears of each change of a run. */
  runChanged(run: Run): void;
}

export function announcerOf(
  store: string,
  { notify, revision, noticed, projectChanged, runChanged: changed }: Listeners,
): Announcer {
  const send = <P extends { revision: number }>(notification: Notification<P>, params: Omit<P, 'revision'>) =>
    notify(notification, { ...params, revision: revision() } as P);
  return {
    project: projectChanged,
    run: (run: Run) => {
      send(runChanged, { store, run });
      changed(run);
      const isOver = !LIVE_STATUSES.includes(run.status) && run.checkpoints > 0;
      if (isOver && run.session) noticed(run.id, run.session);
    },
    checkpoint: (checkpoint: Checkpoint) => {
      send(checkpointChanged, { store, checkpoint });
      if (checkpoint.trashedAt === null) noticed(checkpoint.run, checkpoint.session);
    },
    metrics: (run: Run, step: number, values: Record<string, number>) =>
      notify(metricsAppended, {
        store,
        run: run.id,
        step,
        values: Object.entries(values).map(([name, value]) => ({
          name,
          steps: [step],
          values: [toWireNumber(value)],
          times: [0],
          total: 1,
        })),
      }),
    notice: (run: Run | null, notice: Run['notices'][number]) =>
      notify(noticeRaised, { store, run: run?.id ?? null, notice }),
  };
}
