/** The sweeps of an open project, with what they need of the daemon. */
import { join } from 'node:path';
import type { Notification } from '../protocol/messages/request.ts';
import { sweepChanged } from '../protocol/messages/sweep.ts';
import type { OpenProject } from './runs/project.ts';
import { Sweeps } from './sweeps/sweeps.ts';

export interface ForSweeps {
  /** Folder of the bundles. */
  runtime: string;
  isTrusted(root: string): boolean;
  /** Number of runs that may use a device at once. */
  width(): number;
  notify<P>(notification: Notification<P>, params: P): void;
  log(text: string): void;
}

/** Reads the sweeps of a project, and goes on with those that an earlier daemon has left. */
export function sweepsOfProject(project: OpenProject, { runtime, notify, ...rest }: ForSweeps): Sweeps {
  const { store } = project.place;
  const sweeps = new Sweeps({
    ...rest,
    project,
    // A folder of its own: Python looks for modules beside a script first.
    program: join(runtime, 'sweeps', 'optuna_engine.py'),
    announce: (sweep) => notify(sweepChanged, { store, sweep }),
  });
  sweeps.begin();
  return sweeps;
}
