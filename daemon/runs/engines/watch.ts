/**
 * Watches the jobs of a project's runs: asks each engine once for all of them, follows each life as an ordinary session, and ends what
 * its engine says has ended. Whether a run lives is the engine's word and its own record, since no lock holds on a folder that several
 * machines share.
 */
import type { Run } from '../../../protocol/domain.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import type { JobState } from '../../engines/contract.ts';
import { SessionUnseen } from '../../engines/mirror.ts';
import type { RunFields } from '../../store/catalog/run-change.ts';
import type { ProjectContext } from '../context.ts';
import type { Launcher } from '../launch/launcher.ts';
import type { Lives } from './lives.ts';
import type { NoLife } from './no-life.ts';
import { type Answer, BackOff, type Opened, type OpenedEngines, POLL_MS } from './opened.ts';
import type { EngineRecord, EngineRecords } from './records.ts';
import { engineState, NOT_TAKEN, notCancelledText, pendingText } from './words.ts';

/** Intervals of looks at sessions that live: the more there are, the longer, for as long as a line shows within two seconds. */
const LOOK_MS = 1_000;
const LOOK_MS_PER_RUN = 20;
const MAX_LOOK_MS = 1_800;
/** Interval of questions while nothing runs that could change soon. */
const IDLE_POLL_MS = 30_000;
/** Time after a submission in which a change is likely. */
const FRESH_MS = 120_000;
/** Time that a job's last files may take to be written after its end; until they are seen here, the reach's own lag is added. */
const SETTLE_MS = 4_000;
/** Time after which a submission whose answer was lost counts as not taken, if no such job is there. */
const NOT_TAKEN_MS = 120_000;
/** Interval of cancellations of a job that ends slowly. */
const CANCEL_MS = 60_000;

export interface WatchSetup {
  context: ProjectContext;
  launcher: Launcher;
  records: EngineRecords;
  lives: Lives;
  engines: OpenedEngines;
  noLife: NoLife;
  /** Tells whether a run is being submitted at this moment. */
  isSubmitting(run: string): boolean;
  kill(run: string): Promise<void>;
}

export class EngineWatch {
  readonly #setup: WatchSetup;
  /** Time since which a run's job has not been running, by run. */
  readonly #notRunningSince = new Map<string, number>();
  /** Time from which on questions count, by run: an earlier answer is about another life. */
  readonly #heardFrom = new Map<string, number>();
  /** Looks at runs that have not ended. */
  readonly #looks = new Map<string, Promise<void>>();
  /** Times of cancellations, and of searches for jobs, by run. */
  readonly #cancels = new Map<string, BackOff>();
  readonly #searches = new Map<string, BackOff>();
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(setup: WatchSetup) {
    this.#setup = setup;
  }

  schedule(ms: number): void {
    if (this.#isClosed) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#look();
      const runs = this.#setup.records.all.length;
      if (runs > 0) this.schedule(Math.min(MAX_LOOK_MS, Math.max(LOOK_MS, runs * LOOK_MS_PER_RUN)));
    }, ms);
    this.#timer.unref();
  }

  /** Asks the engine of a run at once. */
  ask(record: EngineRecord): void {
    this.#openedOf(record).polls.reset();
    this.schedule(0);
  }

  /** Forgets what was seen of a run's job: another one begins, or the same one anew. */
  anew(run: string): void {
    this.#notRunningSince.delete(run);
    this.#heardFrom.set(run, Date.now());
  }

  /** Begins to cancel a job, again and again until its engine says that it has ended. */
  cancelUntilEnded(run: string): void {
    this.#cancels.set(run, new BackOff());
    this.schedule(0);
  }

  dispose(): void {
    this.#isClosed = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  #openedOf({ engine, config }: EngineRecord): Opened {
    return this.#setup.engines.of(engine, config);
  }

  #look(): void {
    const byEngine = Map.groupBy(this.#setup.records.all, (record) => this.#openedOf(record));
    for (const [opened, records] of byEngine) {
      // Each run by itself: a large checkpoint of one must not hold up the others.
      for (const { session } of records)
        if (session && opened.looks.isDue) void this.#setup.lives.pass(session).catch(() => opened.looks.failed());
      if (opened.polls.isDue)
        opened.polling ??= this.#poll(opened, records).finally(() => {
          opened.polling = null;
        });
      for (const { run } of records) {
        if (this.#looks.has(run) || !opened.looks.isDue) continue;
        const look = this.#lookAt(run, opened).finally(() => this.#looks.delete(run));
        this.#looks.set(run, look);
      }
    }
  }

  async #poll(opened: Opened, records: readonly EngineRecord[]): Promise<void> {
    const askedAt = Date.now();
    try {
      const jobs = records.flatMap(({ job }) => (job === '' ? [] : [job]));
      const states = jobs.length > 0 ? await opened.engine.poll(jobs) : new Map<string, JobState>();
      opened.answer = { states, askedAt };
      opened.unknownSince = null;
      const isIdle = records.every(
        ({ session, submittedAt, isClosing }) => session === null && !isClosing && Date.now() - submittedAt > FRESH_MS,
      );
      opened.polls.wait(isIdle ? IDLE_POLL_MS : POLL_MS);
    } catch (error) {
      opened.unknownSince ??= Date.now();
      opened.polls.failed();
      opened.answer = { states: new Map(), askedAt };
      this.#setup.context.log(`${opened.engine.name}: ${(error as Error).message}`);
    }
  }

  async #lookAt(id: string, opened: Opened): Promise<void> {
    try {
      await this.#lookAtRun(id, opened);
      opened.looks.reset();
    } catch (error) {
      if (this.#isClosed) return;
      if (isError(error, 'engineUnreachable')) opened.looks.failed();
      else this.#setup.context.log(`${id} on ${opened.engine.name}: ${(error as Error).stack}`);
    }
  }

  async #lookAtRun(id: string, opened: Opened): Promise<void> {
    const { context, records, lives } = this.#setup;
    const record = records.get(id);
    // The record of a live run is the newest one, and costs no question to the store.
    const run = this.#setup.launcher.find(id)?.run ?? (await context.store.run(id));
    // What has changed meanwhile belongs to a newer record of the run: the end of a life, which may be writing its last checkpoint.
    if (!record || records.get(id) !== record || this.#isClosed || this.#setup.isSubmitting(id)) return;
    if (record.job === '') return this.#search(record, run, opened);
    // Kept during the look: a newer answer may come meanwhile, and its time must not count for these states.
    const { answer } = opened;
    const state = answer.states.get(record.job);
    if (record.isClosing) return this.#close(record, state, opened);
    if (!run) return records.remove(id);
    await this.#show(run, record, state, opened.unknownSince);
    if (record.isUnwanted && this.#cancels.has(id)) await this.#cancel(record, state, opened);
    if (record.session) return this.#follow(record, record.session, answer, opened);
    const begun = await lives.begin(opened.engine.reach, record, run, () => this.#setup.kill(id));
    const now = records.get(id);
    if (begun) {
      this.anew(id);
      if (now) records.put({ ...now, session: begun, seen: [...now.seen, begun], fruitless: 0, againAt: 0 });
    } else if (state && now?.job === record.job && this.#isSettled(now, answer, opened)) {
      this.#notRunningSince.delete(id);
      await this.#setup.noLife.settle(now, run, state, opened.engine);
      opened.polls.reset();
    }
  }

  async #follow(record: EngineRecord, session: string, answer: Answer, opened: Opened): Promise<void> {
    const { lives } = this.#setup;
    const state = answer.states.get(record.job);
    const isWhole = await lives.look(session).catch((error) => {
      if (error instanceof SessionUnseen) return null;
      throw error;
    });
    if (isWhole) return;
    if (state && (await lives.isSucceeded(opened.engine.reach, record, session)))
      return lives.end(session, record, state);
    // Nobody has said how it ended: the engine knows.
    if (!state || !this.#isSettled(record, answer, opened)) return;
    if (isWhole === null && !(await isDeleted(record, opened)))
      throw new TrainstashError('engineUnreachable', `The folder of ${opened.engine.name} shows nothing.`, {
        engine: opened.engine.name,
        reason: `${record.place} is not seen`,
      });
    lives.end(session, record, state);
  }

  /** Tells whether a job has not run for long enough, by two answers, that all of its files are seen here. */
  #isSettled({ run, session, place, job }: EngineRecord, { states, askedAt }: Answer, { engine }: Opened): boolean {
    const { phase, restarts } = states.get(job)!;
    const isAnother = session !== null && this.#setup.lives.isEarlierThan(session, restarts);
    if ((phase === 'running' || (phase === 'pending' && session === null)) && !isAnother) {
      this.#notRunningSince.delete(run);
      return false;
    }
    if (askedAt < (this.#heardFrom.get(run) ?? 0)) return false;
    const since = this.#notRunningSince.get(run) ?? askedAt;
    this.#notRunningSince.set(run, since);
    return askedAt - since >= SETTLE_MS + engine.reach.lagOf(place);
  }

  /** Looks for the job of a submission whose answer was lost. */
  async #search(record: EngineRecord, run: Run | undefined, { engine }: Opened): Promise<void> {
    const { records, launcher } = this.#setup;
    const search = this.#searches.get(record.run) ?? new BackOff();
    this.#searches.set(record.run, search);
    if (!search.isDue) return;
    search.wait(POLL_MS);
    const found = await engine.find(record.key);
    const job = record.task === null ? found[0] : found.find((one) => one.endsWith(`_${record.task}`));
    if (job !== undefined) {
      this.#searches.delete(record.run);
      const known = records.change(record.run, { job });
      if (known) this.ask(known);
      return;
    }
    if (Date.now() - record.submittedAt < NOT_TAKEN_MS) return;
    this.#searches.delete(record.run);
    records.remove(record.run);
    if (run && (run.status === 'queued' || run.status === 'starting')) {
      const set: RunFields = {
        status: record.isUnwanted ? record.endsAs : run.sessions > 0 ? 'paused' : 'failed',
        reason: `${record.engine} ${NOT_TAKEN}`,
        waiting: null,
        endedAt: Date.now(),
      };
      await launcher.changeIf(run.id, { status: run.status }, { set });
    }
  }

  /** Cancels the job of a run that is over here, and forgets it once it has ended. */
  async #close(record: EngineRecord, state: JobState | undefined, opened: Opened): Promise<void> {
    if (state?.phase === 'ended' || state?.phase === 'gone') {
      this.#cancels.delete(record.run);
      return this.#setup.records.remove(record.run);
    }
    if (!this.#cancels.has(record.run)) this.#cancels.set(record.run, new BackOff());
    await this.#cancel(record, state, opened);
  }

  /** Cancels a job that nobody wants any more, at longer and longer intervals, and says once that it could not be cancelled. */
  async #cancel(record: EngineRecord, state: JobState | undefined, { engine, polls }: Opened): Promise<void> {
    const cancels = this.#cancels.get(record.run);
    if (!cancels?.isDue || state?.phase === 'ended' || state?.phase === 'gone') return;
    try {
      await engine.cancel(record.job);
      cancels.wait(CANCEL_MS);
      polls.reset();
    } catch (error) {
      cancels.failed();
      await this.#tellNotCancelled(record, (error as Error).message);
    }
  }

  async #tellNotCancelled(record: EngineRecord, why: string): Promise<void> {
    const { context, launcher } = this.#setup;
    context.log(`${record.job} on ${record.engine}: ${why}`);
    const run = launcher.find(record.run)?.run ?? (await context.store.run(record.run));
    const text = notCancelledText(record);
    if (!run || run.notices.some((notice) => notice.code === 'notCancelled' && notice.text === text)) return;
    const notice = { code: 'notCancelled', level: 'warning' as const, text, step: run.step, at: Date.now() };
    await launcher.change(run.id, { addNotices: [notice] });
  }

  /** Writes what the engine says into the run's record, if that has changed. */
  async #show(run: Run, record: EngineRecord, state: JobState | undefined, unknownSince: number | null): Promise<void> {
    const { launcher } = this.#setup;
    const engine = engineState(record, state, run, unknownSince);
    const isQueued = run.status === 'queued';
    const reason = isQueued && state ? pendingText(record, state, run) : run.reason;
    if (JSON.stringify([engine, reason]) === JSON.stringify([run.engine ?? null, run.reason])) return;
    if (launcher.find(run.id)) await launcher.change(run.id, { set: { engine } });
    // A run that has gone on since belongs to who has changed it; the next look shows what holds then.
    else await launcher.changeIf(run.id, { status: run.status, session: run.session }, { set: { engine, reason } });
  }
}

/** Tells whether a place was removed from a folder that is there: nothing will appear in it again. */
async function isDeleted({ place }: EngineRecord, { engine: { reach } }: Opened): Promise<boolean> {
  const [folder] = place.split('/runs/');
  return (await reach.stat(`${folder}/programs`)) !== null && (await reach.stat(place)) === null;
}
