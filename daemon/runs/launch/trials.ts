/**
 * Runs of sweeps, with the code and the environment of their sweep: they start and go on through the queue, or on the engine of their
 * sweep.
 */
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
import type { Device, Launching } from './launching.ts';
import { factsOf } from './queue-entries.ts';
import type { QueuedRuns } from './queued.ts';

/** Facts of a sweep that its runs share. */
export type TrialFacts = Pick<
  SweepRecord,
  | 'job'
  | 'root'
  | 'identity'
  | 'codeLeftOut'
  | 'interpreter'
  | 'program'
  | 'variables'
  | 'backend'
  | 'engine'
  | 'nodes'
  | 'gpu'
  | 'priority'
>;

/** Sends runs to an engine as one job. It leaves nothing behind where it fails. */
type Submit = (
  launchings: readonly [Launching, ...Launching[]],
  engine: string,
  nodes: number | undefined,
  given: Partial<Environment>,
) => Promise<unknown>;

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
  readonly #submit: Submit;

  constructor(context: ProjectContext, launcher: Launcher, queued: QueuedRuns, device: Device, submit: Submit) {
    this.#context = context;
    this.#launcher = launcher;
    this.#queued = queued;
    this.#device = device;
    this.#submit = submit;
  }

  /**
   * Makes runs and queues them, or sends all to the engine of their sweep as one array. `environment` undefined: the daemon that knew it
   * is gone, and the queue finds one.
   */
  async add(
    facts: TrialFacts,
    trials: readonly [Trial, ...Trial[]],
    environment: Environment | undefined,
  ): Promise<void> {
    const [first, ...rest] = trials;
    const launchings: [Launching, ...Launching[]] = [await this.#make(facts, first)];
    for (const trial of rest) launchings.push(await this.#make(facts, trial));
    await this.#begin(facts, launchings, environment, facts.priority);
  }

  /** Starts an ended run again, ahead of new ones. It goes on from its newest good checkpoint. */
  async goOn(facts: TrialFacts, run: Run, sweep: RunSweep, environment: Environment | undefined): Promise<void> {
    if (this.#launcher.isLaunching(run.id) || this.#launcher.find(run.id)) return;
    const checkpoint = run.lastCheckpoint && (await this.#context.store.checkpoint(run.lastCheckpoint.id));
    const set = { sweep, endedAt: null, draft: false, failure: null, devices: null };
    const launching = this.#launchingOf(facts, { ...run, ...set }, set, checkpoint ?? null);
    const before = facts.engine === undefined ? null : run;
    await this.#begin(facts, [{ ...launching, before }], environment, facts.priority + 1);
  }

  async #make(facts: TrialFacts, { params, seed, sweep }: Trial): Promise<Launching> {
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
      // A daemon that dies before the entry is written leaves a queued run, which the next one takes up. One for an engine must not
      // train here: it is found lost, and the sweep sends it again.
      ...(facts.engine === undefined ? { status: 'queued' as const } : {}),
      sweep,
    });
    this.#context.secrets.remember(run.id, all);
    return this.#launchingOf(facts, run, {}, null);
  }

  #launchingOf(facts: TrialFacts, run: Run, set: RunFields, checkpoint: Checkpoint | null): Launching {
    const { root, identity, codeLeftOut } = facts;
    const job = findJob(readConfig(root), run.job);
    const measured = { identity: { ...identity, codeLeftOut }, at: Date.now() };
    return {
      run,
      before: null,
      set,
      job,
      checkpoint,
      startsAnew: false,
      passedOver: [],
      accept: false,
      root,
      measured,
    };
  }

  async #begin(
    { engine, nodes, interpreter, program, variables }: TrialFacts,
    launchings: readonly [Launching, ...Launching[]],
    environment: Environment | undefined,
    priority: number,
  ): Promise<void> {
    if (engine !== undefined) {
      const given = environment ?? (interpreter === null ? {} : { interpreter });
      await this.#submit(launchings, engine, nodes, given);
      return;
    }
    for (const launching of launchings)
      await this.#queued.add(launching, environment, { priority, interpreter, program, variables });
    void this.#device.changed();
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
