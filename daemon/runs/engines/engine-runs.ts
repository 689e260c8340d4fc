/**
 * The runs of a project that are on engines: submits them, takes them back, and decides at the end of each life whether it goes on.
 * `watch` follows their jobs.
 */
import type { Run, RunStatus } from '../../../protocol/domain.ts';
import { type EngineConfig, type EngineLoad, secondsOf } from '../../../protocol/engines.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import type { Engine } from '../../engines/contract.ts';
import { engineConfig } from '../../engines/open.ts';
import type { RunChange } from '../../store/catalog/run-change.ts';
import { readConfig } from '../config.ts';
import type { ProjectContext } from '../context.ts';
import type { Environment } from '../launch/environments.ts';
import type { Launcher } from '../launch/launcher.ts';
import type { Launching } from '../launch/launching.ts';
import type { Ended } from '../live/ended.ts';
import { Lives } from './lives.ts';
import { NoLife } from './no-life.ts';
import { OpenedEngines } from './opened.ts';
import { prepareGround, preparePlace } from './place.ts';
import { type EngineRecord, EngineRecords } from './records.ts';
import { cancelAll, type Group, groupsOf, hasSecrets, SubmissionFailed, submitAll } from './submit-all.ts';
import { EngineWatch } from './watch.ts';
import { engineState, environmentText, PREEMPTED, placeText, secretsText } from './words.ts';

/** Local queue, out of which a run is taken that is sent to an engine. */
export interface LocalQueue {
  /** Takes a run out. Returns a function that puts it back. */
  takeOut(run: string): () => void;
}

/** Place of a run that is being submitted. */
interface Sent {
  place: string;
  secrets: Record<string, string>;
  launching: Launching;
}

export class EngineRuns {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #records: EngineRecords;
  readonly #lives: Lives;
  readonly #engines = new OpenedEngines();
  readonly #watch: EngineWatch;
  readonly #queue: () => LocalQueue;
  /** Submissions under way, by run. */
  readonly #submitting = new Map<string, Promise<unknown>>();

  constructor(context: ProjectContext, launcher: Launcher, queue: () => LocalQueue) {
    this.#context = context;
    this.#launcher = launcher;
    this.#queue = queue;
    this.#records = new EngineRecords(context.place.store);
    this.#lives = new Lives(context, launcher);
    this.#watch = new EngineWatch({
      context,
      launcher,
      records: this.#records,
      lives: this.#lives,
      engines: this.#engines,
      noLife: new NoLife(context, launcher, this.#records),
      isSubmitting: (run) => this.#submitting.has(run),
      kill: (run) => this.#kill(run),
    });
  }

  /** True if the run is being sent to an engine, or the engine may still start it, or runs it. */
  has(run: string): boolean {
    return this.#submitting.has(run) || this.#records.get(run) !== undefined;
  }

  /** Counts the runs that are on an engine now. */
  countOn(name: string): number {
    return this.#records.all.filter(({ engine, isClosing }) => engine === name && !isClosing).length;
  }

  /** Asks an engine for its nodes and its queue; null: its kind does not tell. Throws `notFound` and `engineUnreachable`. */
  async loadOf(engines: Readonly<Record<string, EngineConfig>>, name: string): Promise<EngineLoad | null> {
    const { engine } = this.#engines.of(name, engineConfig(engines, name));
    return (await engine.load?.()) ?? null;
  }

  get busy(): boolean {
    return this.#records.all.length > 0 || this.#submitting.size > 0;
  }

  /** Takes over what an earlier daemon has submitted. */
  async recover(): Promise<void> {
    this.#records.load();
    for (const record of this.#records.all) {
      const run = await this.#context.store.run(record.run);
      // A job without a run is still to be ended.
      if (!run) this.#records.change(record.run, { isClosing: true, session: null });
      else if (record.session)
        await this.#lives.again(this.#engineOf(record).reach, record, run, () => this.#kill(record.run));
      if (record.isUnwanted) this.#watch.cancelUntilEnded(record.run);
    }
    this.#watch.schedule(0);
  }

  /** Submits runs as one job, or as an array of several. A failure leaves nothing behind. */
  submit(
    launchings: readonly [Launching, ...Launching[]],
    name: string,
    nodes: number | undefined,
    given: Partial<Environment>,
  ): Promise<Run[]> {
    // Nothing is awaited before: from here on no other training of these runs can start.
    const since = Date.now();
    const putBack = launchings.map(({ run }) => this.#queue().takeOut(run.id));
    const work = this.#submit(launchings, name, nodes, given).catch(async (error) => {
      for (const { run, before } of launchings) {
        // One whose job could not be cancelled stays known, so that it is ended.
        await this.#launcher.undo(run.id, before, since);
      }
      for (const back of putBack) back();
      throw error instanceof SubmissionFailed ? error.cause : error;
    });
    const settled = work.finally(() => {
      for (const { run } of launchings) {
        this.#submitting.delete(run.id);
        const record = this.#records.get(run.id);
        if (record) this.#watch.ask(record);
      }
    });
    for (const { run } of launchings) this.#submitting.set(run.id, settled);
    return settled;
  }

  async #submit(
    launchings: readonly [Launching, ...Launching[]],
    name: string,
    nodes: number | undefined,
    given: Partial<Environment>,
  ): Promise<Run[]> {
    const { root, run: first } = launchings[0];
    const config = engineConfig(readConfig(root).branches.engines, name);
    const { engine } = this.#engines.of(name, config);
    const ground = await prepareGround(this.#context, engine, config);
    const count = nodes ?? config.nodes;
    const prepared: Sent[] = [];
    for (const launching of launchings)
      prepared.push({
        ...(await preparePlace(this.#context, { engine, config, ground, nodes: count }, launching, given.interpreter)),
        launching,
      });
    const groups = groupsOf(prepared as [Sent]);
    // In the records before they are sent: a daemon that dies then finds the jobs again.
    for (const group of groups) this.#note(group, name, config, count);
    const work = {
      name: first.job,
      program: ground.program,
      nodes: count,
      graceSeconds: secondsOf(config.grace),
      environment: given.environment ?? {},
    };
    try {
      const sent = await submitAll(engine, groups, work);
      for (const { launching, job } of sent) if (job !== null) this.#records.change(launching.run.id, { job });
      try {
        const runs: Run[] = [];
        for (const { launching, submitted, secrets } of sent) {
          const { environment } = given;
          if (environment) this.#launcher.remember(launching.run.id, { ...given, environment });
          const isSecret = hasSecrets({ place: '', secrets });
          runs.push(await this.#submitted(launching, submitted?.notices ?? [], isSecret, environment !== undefined));
        }
        return runs;
      } catch (error) {
        throw new SubmissionFailed(error, await cancelAll(engine, sent));
      }
    } catch (error) {
      this.#forget(groups, error);
      throw error;
    }
  }

  #note({ key, places }: Group<Sent>, engine: string, config: EngineConfig, nodes: number): void {
    for (const [i, { place, secrets, launching }] of places.entries()) {
      const { run, root } = launching;
      this.#records.put({
        run: run.id,
        engine,
        config,
        job: '',
        key,
        task: places.length > 1 ? i : null,
        place,
        root,
        nodes,
        startsAgain: true,
        submittedAt: Date.now(),
        session: null,
        seen: [],
        hasSecrets: hasSecrets({ place, secrets }),
        isUnwanted: false,
        endsAs: 'stopped',
        isClosing: false,
        fruitless: 0,
        againAt: 0,
      });
      this.#records.keep(run.id, secrets);
    }
  }

  /** Removes the records of a submission that has failed, but for those whose jobs may go on. */
  #forget(groups: readonly Group<Sent>[], error: unknown): void {
    const left = error instanceof SubmissionFailed ? (error as SubmissionFailed<Sent>).left : [];
    for (const { launching } of groups.flatMap(({ places }) => [...places])) {
      const of = left.find((one) => one.launching === launching);
      if (of) this.#records.change(launching.run.id, { isClosing: true, job: of.job ?? '' });
      else this.#records.remove(launching.run.id);
    }
  }

  #submitted(
    { run, set }: Launching,
    notices: readonly string[],
    isSecret: boolean,
    isEnvironmentKnown: boolean,
  ): Promise<Run> {
    const record = this.#records.get(run.id)!;
    const kept = secretsText(record.config.type);
    const whose = environmentText(record, isEnvironmentKnown);
    const said = [
      ...notices.map((text) => ({ code: 'notRequeued', text })),
      ...(isSecret && kept !== null ? [{ code: 'secretsKept', text: kept }] : []),
      ...(whose === '' ? [] : [{ code: 'daemonEnvironment', text: whose }]),
    ].map((one) => ({ ...one, level: 'warning' as const, step: null, at: Date.now() }));
    return this.#launcher.change(run.id, {
      set: {
        ...set,
        status: 'queued',
        reason: placeText(record),
        waiting: { for: 'engine', behind: null },
        engine: engineState(record, undefined, run, null),
        endedAt: null,
        devices: null,
      },
      addNotices: said,
    });
  }

  /** Takes a run back that waits on its engine. Its record stays until the engine says that the job has ended. */
  async withdraw(run: Run, status: RunStatus): Promise<Run> {
    await this.#submitting.get(run.id)?.catch(() => {});
    const record = this.#records.change(run.id, {
      isUnwanted: true,
      endsAs: status === 'paused' ? 'paused' : 'stopped',
    });
    const now = await this.#context.store.findRun(run.id);
    if (!record) return now;
    this.#watch.cancelUntilEnded(run.id);
    const engine = this.#engineOf(record);
    if (record.job !== '') {
      await engine.cancel(record.job);
      const state = (await engine.poll([record.job]).catch(() => null))?.get(record.job);
      // Without nodes it has not begun.
      if (state?.phase === 'ended' && state.nodes === '' && this.#records.get(run.id)?.session === null) {
        this.#records.remove(run.id);
        const reason = `withdrawn from ${record.engine}`;
        const draft = status === 'stopped' && now.sessions === 0;
        const set = { status, reason, waiting: null, endedAt: Date.now(), draft, engine: null };
        return this.#launcher.change(run.id, { set });
      }
    }
    this.#watch.ask(record);
    const ending = status === 'paused' ? ('pausing' as const) : ('stopping' as const);
    const set = { status: ending, reason: `${placeText(record)} is being ended`, waiting: null };
    return this.#launcher.change(run.id, { set });
  }

  async #kill(run: string): Promise<void> {
    const record = this.#records.change(run, { isUnwanted: true });
    if (!record) return;
    this.#watch.cancelUntilEnded(run);
    if (record.job !== '') await this.#engineOf(record).cancel(record.job);
    this.#watch.ask(record);
  }

  /** Returns what changes at the end of a life: the run is over, or its engine starts it again. Null: it was on no engine. */
  async after({ run, exit, asked }: Ended): Promise<RunChange | null> {
    const record = this.#records.change(run.id, { session: null });
    if (!record) return null;
    this.#watch.anew(run.id);
    this.#watch.ask(record);
    if (exit?.preempted && !asked && !record.isUnwanted)
      return {
        set: {
          status: 'queued',
          reason: PREEMPTED,
          waiting: { for: 'engine', behind: null },
          endedAt: null,
          draft: false,
        },
      };
    // One that was to end must not be started again.
    if (exit?.preempted) this.#records.change(run.id, { isClosing: true });
    else this.#records.remove(run.id);
    return { set: { engine: run.engine ? { ...run.engine, phase: 'ended', reason: '' } : null } };
  }

  /** Throws if an engine may still run this one: two trainings of it would become a fork. */
  requireNotAway(run: Run): void {
    if (!this.has(run.id)) return;
    const record = this.#records.get(run.id);
    const place = record ? placeText(record) : 'its way to an engine';
    const next = record?.isClosing
      ? `${run.name} is over, but ${place} has not ended yet. Nothing was started. Try again in a moment: it is being cancelled`
      : `${run.name} is on ${place}, which may train it at any moment. Nothing was started. \`trainstash pause ${run.number}\` takes it back, and then it can be resumed`;
    throw new TrainstashError('trainsElsewhere', `${next}.`, { run: run.id, place });
  }

  dispose(): void {
    this.#watch.dispose();
    this.#engines.close();
  }

  #engineOf({ engine, config }: EngineRecord): Engine {
    return this.#engines.of(engine, config).engine;
  }
}
