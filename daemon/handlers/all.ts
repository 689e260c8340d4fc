/** Handlers of all messages, by method. Besides main the only place that sees all parts of the daemon. */

import type { Daemon } from '../daemon.ts';
import type { Handler } from '../server.ts';
import { backendHandlers } from './backend.ts';
import { branchHandlers } from './branch.ts';
import { checkpointHandlers } from './checkpoint.ts';
import { contentHandlers } from './content.ts';
import { daemonHandlers } from './daemon.ts';
import { Access, registerIn } from './handling.ts';
import { importHandlers } from './import.ts';
import { keepHandlers } from './keep.ts';
import { listingHandlers } from './listing.ts';
import { projectHandlers } from './project.ts';
import { queueHandlers } from './queue.ts';
import { remoteHandlers } from './remote.ts';
import { runHandlers } from './run.ts';
import { storeHandlers } from './store.ts';

const GROUPS = [
  daemonHandlers,
  projectHandlers,
  branchHandlers,
  backendHandlers,
  runHandlers,
  listingHandlers,
  checkpointHandlers,
  contentHandlers,
  storeHandlers,
  keepHandlers,
  queueHandlers,
  importHandlers,
  remoteHandlers,
];

export function makeHandlers(daemon: Daemon): Map<string, Handler> {
  const handlers = new Map<string, Handler>();
  const handling = { on: registerIn(handlers), daemon, access: new Access(daemon) };
  for (const register of GROUPS) register(handling);
  return handlers;
}
