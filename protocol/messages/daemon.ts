/** Messages about the daemon itself. */
import * as v from 'valibot';
import type { Project, Run } from '../domain.ts';
import type { Build } from '../version.ts';
import type { Notification } from './request.ts';
import { request, text } from './request.ts';

export const daemonHello = request<{ protocol: number; build: Build; pid: number }>()(
  'daemon/hello',
  v.object({
    protocol: v.number(),
    build: v.object({ version: text, builtAt: v.number() }),
    token: text,
    client: text,
  }),
);

export interface DaemonStatus {
  pid: number;
  build: Build;
  node: string;
  sqlite: string;
  startedAt: number;
  clients: number;
  residentBytes: number;
  live: { root: string; run: string; name: string; status: string }[];
  stateDirectory: string;
  log: string;
}
export const daemonStatus = request<DaemonStatus>()('daemon/status', v.object({}));

/** Ends the daemon. Trainings continue: they do not need it. */
export const daemonStop = request<{ live: number }>()('daemon/stop', v.object({}));

/** Sent by a client of a newer build: the daemon exits and leaves its sessions to the daemon that the client starts. */
export const daemonHandOver = request<{ accepted: boolean }>()(
  'daemon/handOver',
  v.object({ build: v.object({ version: text, builtAt: v.number() }) }),
);

export interface DaemonState {
  /** Counter that every change raises. After a gap in the notifications' revisions, ask again. */
  revision: number;
  projects: Project[];
  live: Run[];
}
export const daemonState = request<DaemonState>()('daemon/state', v.object({}));

/** Sent last by an orderly daemon; if it is missing, the daemon was killed. Trainings continue. */
export const daemonLeaving: Notification<{ reason: 'asked' | 'handOver' | 'other' }> = { method: 'daemon/leaving' };

/** Value of `$/progress`, sent only to the client that put `task` into its request; lossy, about ten a second. Mostly bytes. */
export interface TaskProgress {
  done: number;
  total: number;
}
