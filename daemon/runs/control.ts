/** Options of a person for the time and the place of a run. */
import type { JobConfig } from '../../protocol/config.ts';
import { demandWords, type GpuDemand, notMoved } from '../../protocol/devices.ts';
import type { Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { counted, integer } from '../../protocol/words.ts';
import type { Grant } from '../devices/allocate.ts';
import type { QueueConditions } from './launch/queued.ts';

export interface RunControl {
  gpu?: GpuDemand | undefined;
  maxHours?: number | undefined;
  maxSteps?: number | undefined;
  priority?: number | undefined;
  /** Query of the run that must have completed first. */
  after?: string | undefined;
  /** Time before which it does not start. */
  at?: number | undefined;
  /** `interrupt`: live runs make way. `wait`: it goes first, but interrupts nobody. */
  urgent?: 'interrupt' | 'wait' | undefined;
  /** Ids of runs that cannot save on request and may be interrupted all the same. */
  accepted?: readonly string[] | undefined;
}

/** Returns the facts for the run's record: options first, then those of the job, then those that the run had. */
export function controlOf(
  options: RunControl,
  job: Pick<JobConfig, 'gpu' | 'maxHours' | 'maxSteps'>,
  before?: Run,
): Partial<Run> {
  const hours = options.maxHours ?? job.maxHours ?? before?.limits?.hours;
  const steps = options.maxSteps ?? job.maxSteps ?? before?.limits?.steps;
  return {
    gpu: options.gpu ?? job.gpu ?? before?.gpu,
    devices: null,
    ...(hours === undefined && steps === undefined ? {} : { limits: { hours, steps } }),
    ...(options.urgent ? { urgent: true as const } : {}),
  };
}

/** Returns the backend for a new run: that of the request, of the job, or of the client's settings. Commands have none. */
export function backendOf(
  { backend, backendSetting }: { backend?: string | undefined; backendSetting?: string | undefined },
  job: Pick<JobConfig, 'module' | 'backend'>,
): string {
  return backend ?? (job.module === undefined ? '' : (job.backend ?? backendSetting ?? 'auto'));
}

/** Returns the place in the queue that the options ask for. `after`: id of the run. */
export function conditionsOf({ priority, at, urgent, accepted }: RunControl, after: string | null): QueueConditions {
  return {
    priority: priority ?? 0,
    notBefore: at ?? null,
    after,
    urgent: urgent !== undefined,
    interrupts: urgent === 'interrupt',
    accepted: [...(accepted ?? [])],
  };
}

/** Tells whether the run has to wait in the queue, whatever is free. */
export function mustQueue({ after, at, urgent }: RunControl): boolean {
  return after !== undefined || (at !== undefined && at > Date.now()) || urgent !== undefined;
}

/** Throws `paramInvalid` for a run that has reached the step of its limit: it would end at once. */
export function requireBelowLimit({ name, number, limits }: Run, step: number): void {
  if (limits?.steps === undefined || step < limits.steps) return;
  throw new TrainstashError(
    'paramInvalid',
    `${name} has reached its limit of ${counted(limits.steps, 'step')} (it is at step ${integer(step)}). Nothing was started; \`trainstash resume ${number} --max-steps N\` raises the limit.`,
    { param: 'maxSteps', expected: `more than ${step}` },
  );
}

/** Makes the error of a run that was to start at once and cannot have its devices. */
export function deviceTaken(grant: Grant & { granted: false }, gpu: GpuDemand | undefined): TrainstashError {
  const why = grant.waits.replace(/^waits /, '');
  const next = grant.never
    ? 'Ask for fewer GPUs or others with --gpu, or check with `nvidia-smi`.'
    : '--queue waits for it, --urgent lets the runs there save and make way.';
  return new TrainstashError('deviceTaken', `Not started, since it has to wait ${why}. Nothing was changed. ${next}`, {
    wanted: demandWords(gpu),
    never: grant.never,
  });
}

/**
 * Makes the error of an urgent run that would cost others their work. `runs`: those that cannot save on request; `mover`: why
 * `cuda-checkpoint` could not move them, where it is installed.
 */
export function interruptLoses(runs: readonly Run[], mover: string | null): TrainstashError {
  const losses = runs.map((run) => {
    const kept = run.lastCheckpoint?.step ?? null;
    return {
      run: run.id,
      name: run.name,
      step: run.step,
      checkpointStep: kept,
      text:
        kept === null
          ? `${run.name} has no checkpoint and would start again from the beginning`
          : `${run.name} would lose ${counted(Math.max(0, run.step - kept), 'step')} since its checkpoint at step ${integer(kept)}`,
    };
  });
  return new TrainstashError(
    'interruptLoses',
    `Not started, since runs that cannot save on request are in the way: ${losses.map(({ text }) => text).join('; ')}. Nothing was interrupted.${mover === null ? '' : ` ${notMoved(mover)}`}`,
    { runs: losses.map(({ text, ...facts }) => facts), mover },
  );
}

/** Drops undefined options: an absent option must not hide a known value. */
export function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
