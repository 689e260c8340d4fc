/** Messages about projects and their jobs. */
import * as v from 'valibot';
import type { Params, Project, StoreUsage } from '../domain.ts';
import type { Notification } from './request.ts';
import { request, root, text } from './request.ts';

/**
 * Opens a project. `trusted` comes from the command line or a trusted window and holds until the daemon's state is removed.
 * `create` makes a project of a folder that is none. `acceptStore`: a person has accepted the store, wherever it was made.
 */
export const projectOpen = request<Project>()(
  'project/open',
  v.object({
    root,
    trusted: v.boolean(),
    create: v.optional(v.boolean()),
    acceptStore: v.optional(v.boolean()),
    /** Keeps the project open, and its HEAD watched, until this client disconnects. */
    watch: v.optional(v.boolean()),
  }),
);

export interface Initialised {
  config: string;
  created: boolean;
  /** Command of the job, with the reason for choosing it in `why`; null: the file existed. */
  runs: string | null;
  why: string | null;
}
export const projectInit = request<Initialised & { project: Project }>()(
  'project/init',
  v.object({ root, module: v.optional(text) }),
);

export interface JobSummary {
  name: string;
  /** Path of the module, or the command. */
  what: string;
  /** True if Python runs it directly, so that it can be debugged. */
  python: boolean;
  /** Path, relative to the project, of the script or module that it runs; null: it runs none. */
  script: string | null;
  params: Params;
}
export const projectJobs = request<{ file: string | null; jobs: JobSummary[]; warnings: string[] }>()(
  'project/jobs',
  v.object({ root }),
);

/** Writes the command of a run without a job into trainstash.json as a job. Comments in the file are kept. */
export const jobKeep = request<{ config: string; job: string }>()(
  'job/keep',
  v.object({ root, run: text, name: v.optional(text) }),
);

/** Remembers a folder on a local disk of this machine for stores of projects on network file systems. */
export const storesFolder = request<{ folder: string }>()('project/storesFolder', v.object({ folder: text }));

/** Describes a project. `gitVersion` is that of the git the daemon finds; null: it finds none. */
export const projectWhere = request<{ project: Project; usage: StoreUsage; gitVersion: string | null }>()(
  'project/where',
  v.object({ root }),
);

/** Sent when HEAD moved or trust was given. */
export const projectChanged: Notification<{ revision: number; project: Project }> = { method: 'project/changed' };
