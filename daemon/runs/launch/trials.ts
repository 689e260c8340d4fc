/** Runs of sweeps: they start and go on through the queue, with the code and the environment of their sweep. */
import type { Checkpoint, CodeIdentity, Params, Run } from '../../../protocol/domain.ts';
import { maskParams } from '../../../protocol/secrets.ts';
import type { RunSweep, SweepRecord } from '../../../protocol/sweep.ts';
import type { RunFields } from '../../store/catalog/run-change.ts';
import { findJob, readConfig } from '../config.ts';
import type { ProjectContext } from '../context.ts';
import { controlOf } from '../control.ts';
import { kindOf, newRun } from '../records.ts';
import type { Environment } from './environments.ts';
import type { Launcher } from './launcher.ts';
import type { Device } from './launching.ts';
import { factsOf } from './queue-entries.ts';
import type { QueuedRuns } from './queued.ts';

/** Facts of a sweep that its runs share. */
export type TrialFacts = Pick<
  SweepRecord,
  'job' | 'root' | 'identity' | 'codeLeftOut' | 'interpreter' | 'program' | 'variables' | 'backend' | 'gpu' | 'priority'
>;

export interface Trial {
  params: Params;
  seed: number | undefined;
  sweep: RunSweep;
}

export class Trials {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #queued: QueuedRuns;
  readonly #device: Device;

  constructor(context: ProjectContext, launcher: Launcher, queued: QueuedRuns, device: Device) {
    this.#context = context;
    this.#launcher = launcher;
    this.#queued = queued;
    this.#device = device;
  }

  /** Makes a run and queues it. `environment` undefined: the daemon that knew it is gone, and the queue finds one. */
  async add(facts: TrialFacts, trial: Trial, environment: Environment | undefined): Promise<Run> {
    const { params, seed, sweep } = trial;
    const job = findJob(readConfig(facts.root), facts.job);
    const all = { ...(job.params as Params), ...params };
    const run = await this.#context.store.createRun({
      ...newRun({
        job: facts.job,
        kind: kindOf(job),
        params: maskParams(all),
        overrides: Object.keys(params),
        seed: seed ?? job.seed ?? 0,
        backend: facts.backend,
        identity: { ...facts.identity, codeLeftOut: facts.codeLeftOut },
        restarts: 0,
      }),
      ...controlOf({ gpu: facts.gpu }, job),
      // A daemon that dies before the entry is written leaves a queued run, which the next one takes up.
      status: 'queued',
      sweep,
    });
    this.#context.secrets.remember(run.id, all);
    return this.#queue(facts, run, {}, null, environment, facts.priority);
  }

  /** Queues an ended run again, ahead of new ones. It goes on from its newest good checkpoint. */
  async goOn(facts: TrialFacts, run: Run, sweep: RunSweep, environment: Environment | undefined): Promise<Run> {
    const checkpoint = run.lastCheckpoint && (await this.#context.store.checkpoint(run.lastCheckpoint.id));
    const set = { sweep, endedAt: null, draft: false, failure: null, devices: null };
    return this.#queue(facts, { ...run, ...set }, set, checkpoint ?? null, environment, facts.priority + 1);
  }

  async #queue(
    facts: TrialFacts,
    run: Run,
    set: RunFields,
    checkpoint: Checkpoint | null,
    environment: Environment | undefined,
    priority: number,
  ): Promise<Run> {
    if (this.#launcher.isLaunching(run.id) || this.#launcher.find(run.id)) return run;
    const { root, interpreter, program, variables, identity } = facts;
    const job = findJob(readConfig(root), run.job);
    const measured = { identity: { ...identity, codeLeftOut: facts.codeLeftOut }, at: Date.now() };
    const launching = {
      ...{ run, before: null, set, job, checkpoint, startsAnew: false, passedOver: [], accept: false, root, measured },
    };
    const queued = await this.#queued.add(launching, environment, { priority, interpreter, program, variables });
    void this.#device.changed();
    return queued;
  }
}

/** Finds out what another environment would have to have in common with this one, for a sweep's record. */
export function factsOfEnvironment(root: string, name: string, own: Environment) {
  return factsOf(root, findJob(readConfig(root), name), own);
}

/** Takes the parts of an identity that a record keeps. */
export function plainIdentity({ branch, branchId, commit, dirty, code }: CodeIdentity): CodeIdentity {
  return { branch, branchId: branchId ?? null, commit, dirty, code };
}
