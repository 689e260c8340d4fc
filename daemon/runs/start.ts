/** Makes the record of a run that is started, and what its launch needs. */
import { relative } from 'node:path';
import type { JobConfig } from '../../protocol/config.ts';
import type { Params, Run } from '../../protocol/domain.ts';
import { maskParams, maskWords } from '../../protocol/secrets.ts';
import type { RunSweep } from '../../protocol/sweep.ts';
import { findJob, readConfig } from './config.ts';
import type { ProjectContext } from './context.ts';
import { backendOf } from './control.ts';
import { jobOfCommand, paramsOf, withParams } from './launch/ad-hoc.ts';
import { nameOfCommand } from './launch/command.ts';
import type { Measured } from './launch/identity.ts';
import type { Launching, LaunchOptions } from './launch/launching.ts';
import { kindOf, newRun } from './records.ts';

export interface StartOptions extends LaunchOptions {
  job: string;
  params: Params;
  seed?: number;
  /** Command to run, without a job. */
  command?: readonly string[];
  cwd?: string;
  sweep?: RunSweep;
}

export const FROM_THE_BEGINNING = { checkpoint: null, startsAnew: false, passedOver: [] };

/** Returns the job that the options mean. */
export function jobOf({ job: name, params, command, cwd }: StartOptions, root: string): JobConfig {
  const folder = cwd === undefined ? '' : relative(root, cwd);
  return command ? jobOfCommand(withParams(command, params), folder) : findJob(readConfig(root), name);
}

/** Makes the run. `command` of the result: its real words, where it has no job. */
export async function newLaunching(
  context: ProjectContext,
  { job: name, params: given, seed, command, cwd, sweep, ...options }: StartOptions,
  { job, root, measured, control }: { job: JobConfig; root: string; measured: Measured; control: Partial<Run> },
): Promise<Launching> {
  const params = command ? paramsOf(maskWords(job.run as string[])) : { ...(job.params as Params), ...given };
  const folder = cwd === undefined ? '' : relative(root, cwd);
  const run = await context.store.createRun({
    ...newRun({
      job: command ? nameOfCommand(command) : name,
      kind: kindOf(job),
      command: command ? { words: maskWords(job.run as string[]), cwd: folder } : null,
      params: maskParams(params),
      overrides: Object.keys(given),
      seed: seed ?? job.seed ?? 0,
      backend: backendOf(options, job),
      identity: measured.identity,
      restarts: options.restarts ?? 0,
    }),
    ...control,
    ...(sweep ? { sweep } : {}),
  });
  context.secrets.remember(run.id, params);
  return { run, before: null, set: {}, job, ...FROM_THE_BEGINNING, accept: false, root, measured };
}
