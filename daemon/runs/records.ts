/** Makes new records in their first state. */

import type { JobConfig } from '../../protocol/config.ts';
import type { Params, Run, Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { blankRun, monitorOf } from '../../protocol/records.ts';
import { maskParams } from '../../protocol/secrets.ts';
import type { Launch } from '../../protocol/session.ts';
import { SESSION_FORMAT } from '../../protocol/version.ts';
import { checkpointPolicy, pushPolicy } from './config.ts';

export interface Identity {
  branch: string | null;
  branchId?: string | null;
  commit: string | null;
  dirty: boolean;
  code: string | null;
  /** Files too large for the snapshot. */
  codeLeftOut: string[];
  /** Reason why the code could not be kept. */
  codeProblem?: string | undefined;
}

export function newRun(facts: {
  job: string;
  params: Params;
  overrides: string[];
  seed: number;
  backend: string;
  identity: Identity;
  restarts: number;
  kind?: Run['kind'];
  command?: Run['command'];
}): Run {
  const { identity, restarts, ...rest } = facts;
  const { codeProblem, ...tied } = identity;
  const now = Date.now();
  const notices: Run['notices'] = codeProblem
    ? [
        {
          code: 'codeNotKept',
          level: 'warning',
          text: `Its code could not be kept: ${codeProblem}`,
          step: null,
          at: now,
        },
      ]
    : [];
  return { ...blankRun({ id: randomId(), ...rest, ...tied }, now), restart: { max: restarts, used: 0 }, notices };
}

export function kindOf(job: JobConfig): Run['kind'] {
  return job.module === undefined ? 'command' : 'module';
}

export function newSession(run: Run, purpose: Session['purpose'], resumedFrom: Session['resumedFrom']): Session {
  return {
    id: randomId(),
    run: run.id,
    ordinal: run.sessions + 1,
    purpose,
    startedAt: Date.now(),
    endedAt: null,
    resumedFrom,
    environment: {},
  };
}

/** Makes the record of a session that was not started here, from its launch file. */
export function sessionOfLaunch(run: Run, launch: Launch): Session {
  return {
    id: launch.session,
    run: run.id,
    ordinal: run.sessions + 1,
    purpose: 'train',
    startedAt: launch.createdAt,
    endedAt: null,
    resumedFrom: launch.resume && { checkpoint: launch.resume.checkpoint, step: launch.resume.step },
    environment: {},
    ...(launch.allocation ? { allocation: launch.allocation } : {}),
  };
}

export function newLaunch(
  run: Run,
  session: Session,
  job: JobConfig,
  root: string,
  overrides: Partial<Launch> = {},
): Launch {
  return {
    format: SESSION_FORMAT,
    session: session.id,
    run: run.id,
    runNumber: run.number,
    job: run.job,
    purpose: session.purpose,
    exportAs: null,
    root,
    cwd: root,
    module: job.module ?? '',
    command: null,
    params: maskParams(run.params),
    seed: run.seed,
    backend: run.backend,
    backendOptions: { from: null, threads: 1 },
    files: job.files,
    resume: null,
    untilStep: null,
    untilEpoch: null,
    checkpoint: checkpointPolicy(job),
    onNaN: reactionOf(job.onNaN),
    onSpike: reactionOf(job.onSpike),
    rollback: rollbacksOf(job),
    skip: null,
    recent: {},
    monitor: job.keep.best === undefined ? null : monitorOf(job.keep.best),
    keep: { last: job.keep.last ?? 3, every: job.keep.every ?? null },
    push: pushPolicy(job),
    identity: {
      branch: run.branch,
      branchId: run.branchId ?? null,
      commit: run.commit,
      dirty: run.dirty,
      code: run.code,
      codeLeftOut: run.codeLeftOut,
    },
    stated: statedBy(job),
    variables: null,
    createdAt: Date.now(),
    imported: false,
    ...overrides,
  };
}

/** Returns what a trainer does: for a rollback it pauses. */
function reactionOf(reaction: JobConfig['onNaN']): Launch['onNaN'] {
  return typeof reaction === 'object' ? 'pause' : (reaction ?? 'ignore');
}

function rollbacksOf({ onNaN, onSpike, onFailure }: JobConfig): Launch['rollback'] {
  return {
    ...(typeof onNaN === 'object' ? { nan: onNaN } : {}),
    ...(typeof onSpike === 'object' ? { spike: onSpike } : {}),
    ...(typeof onFailure === 'object' ? { failure: onFailure } : {}),
  };
}

function statedBy({ checkpoint, keep }: JobConfig): Launch['stated'] {
  const keeps = keep.last !== undefined || keep.every !== undefined;
  return [...(checkpoint.every === undefined ? [] : ['every' as const]), ...(keeps ? ['keep' as const] : [])];
}
