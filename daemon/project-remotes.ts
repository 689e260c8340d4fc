/** Remotes of an open project, with what pushes that happen by themselves need of it. */

import { remotesChanged } from '../protocol/messages/remote.ts';
import type { Notification } from '../protocol/messages/request.ts';
import type { Clock } from './remotes/automatic/automatic.ts';
import { Remotes } from './remotes/remotes.ts';
import { sessionOf } from './runs/context.ts';
import type { OpenProject } from './runs/project.ts';

/** Shortest time between two reports of progress. */
const REPORT_MS = 500;

const CLOCK: Clock = {
  now: () => Date.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

export interface RemotesSurroundings {
  variables: Readonly<Record<string, string>>;
  notify<P>(notification: Notification<P>, params: P): void;
  log(text: string): void;
}

export function remotesOfProject(project: OpenProject, { variables, notify, log }: RemotesSurroundings): Remotes {
  const { store } = project.place;
  let reporting = false;
  const remotes: Remotes = new Remotes({
    store: project.store,
    path: store,
    variables: { ...variables },
    findCheckpoint: (query) => project.findCheckpoint(query),
    announce: project.context.announce,
    automatic: {
      policyOf: (session) => {
        const launch = sessionOf(project.context, session).launch();
        return launch ? launch.push : undefined;
      },
      tell: (run, notice) =>
        void project.runs.requests.tell(run, notice).catch((error: Error) => log(`notice of ${run}: ${error.message}`)),
      changed: () => {
        if (reporting) return;
        reporting = true;
        setTimeout(() => {
          reporting = false;
          notify(remotesChanged, { store, remotes: remotes.states() });
        }, REPORT_MS).unref();
      },
      log: (text) => log(`${store}: ${text}`),
      clock: CLOCK,
    },
  });
  return remotes;
}
