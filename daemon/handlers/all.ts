/** Handlers of all messages, by method. Besides main the only place that sees all parts of the daemon. */

import type { Daemon } from '../daemon.ts';
import type { Handler } from '../server.ts';
import { backendHandlers } from './backend.ts';
import { branchHandlers } from './branch.ts';
import { checkpointHandlers } from './checkpoint.ts';
import { contentHandlers } from './content.ts';
import { daemonHandlers } from './daemon.ts';
import { engineHandlers } from './engine.ts';
import { Access, registerIn } from './handling.ts';
import { importHandlers } from './import.ts';
import { keepHandlers } from './keep.ts';
import { listingHandlers } from './listing.ts';
import { mediaHandlers } from './media.ts';
import { projectHandlers } from './project.ts';
import { queueHandlers } from './queue.ts';
import { remoteHandlers } from './remote.ts';
import { runHandlers } from './run.ts';
import { storeHandlers } from './store.ts';
import { sweepHandlers } from './sweep.ts';

const GROUPS = [
  daemonHandlers,
  projectHandlers,
  branchHandlers,
  backendHandlers,
  runHandlers,
  listingHandlers,
  mediaHandlers,
  checkpointHandlers,
  contentHandlers,
  storeHandlers,
  keepHandlers,
  queueHandlers,
  sweepHandlers,
  importHandlers,
  remoteHandlers,
  engineHandlers,
];

export function makeHandlers(daemon: Daemon): Map<string, Handler> {
  const handlers = new Map<string, Handler>();
  const handling = { on: registerIn(handlers), daemon, access: new Access(daemon) };
  for (const register of GROUPS) register(handling);
  return handlers;
}
