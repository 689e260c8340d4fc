/**
 * Rehearsals: where a job asks for it, the newest part of a run is replayed as `verify` does as soon as the run has paused or
 * ended and nobody needs the device. A run that begins meanwhile takes the device, and the rehearsal begins again later.
 */
import type { Notice, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { counted, integer } from '../../protocol/words.ts';
import type { RunChange } from '../store/catalog/run-change.ts';
import { findJob, readConfig } from './config.ts';
import type { ProjectContext } from './context.ts';
import type { Environment } from './launch/environments.ts';
import type { Device } from './launch/launching.ts';
import type { Verifier } from './verify.ts';

const LOOK_MS = 500;
/** A job whose last run is further away than this may be offered a rehearsal once more. */
const OFFER_LOOKS_AT = 200;
const REHEARSED_STATUSES: readonly Run['status'][] = ['paused', 'completed', 'stopped'];

export interface RehearsalParts {
  context: ProjectContext;
  verifier: Verifier;
  device: Device;
  /** Returns the environment that a run was launched with; undefined: it is not known any more. */
  environmentOf(run: string): Environment | undefined;
  change(run: string, change: RunChange): Promise<Run>;
}

export class Rehearsals {
  readonly #parts: RehearsalParts;
  readonly #waiting: string[] = [];
  #timer: NodeJS.Timeout | null = null;
  #current: AbortController | null = null;

  constructor(parts: RehearsalParts) {
    this.#parts = parts;
  }

  get busy(): boolean {
    return this.#waiting.length > 0 || this.#current !== null;
  }

  /** Reports a run that has ended in `root`. */
  async ended(run: Run, root: string): Promise<void> {
    if (!REHEARSED_STATUSES.includes(run.status) || !(run.cooperative || run.kind === 'module')) return;
    const wish = wishOf(run, root);
    if (wish) this.#wait(run.id);
    else if (wish === undefined) await this.#offer(run);
  }

  dispose(): void {
    this.#waiting.length = 0;
    if (this.#timer) clearTimeout(this.#timer);
    this.#current?.abort();
  }

  #wait(run: string): void {
    if (!this.#waiting.includes(run)) this.#waiting.push(run);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.#look();
    }, LOOK_MS);
  }

  async #look(): Promise<void> {
    const [next] = this.#waiting;
    if (next === undefined || this.#current) return;
    if (!this.#parts.device.isFree()) return this.#wait(next);
    const abort = new AbortController();
    this.#current = abort;
    // Runs of other projects take the same device.
    const watch = setInterval(() => {
      if (!this.#parts.device.isFree()) abort.abort();
    }, LOOK_MS);
    try {
      await this.#rehearse(next, abort.signal);
    } catch (error) {
      this.#parts.context.log(`rehearsal: ${(error as Error).stack}`);
    } finally {
      clearInterval(watch);
      this.#current = null;
    }
    if (!abort.signal.aborted) this.#waiting.splice(this.#waiting.indexOf(next), 1);
    if (this.#waiting.length > 0) this.#wait(this.#waiting[0]!);
  }

  async #rehearse(id: string, signal: AbortSignal): Promise<void> {
    const { context, verifier, environmentOf } = this.#parts;
    const run = await context.store.run(id);
    // It may have been resumed, or deleted, while it waited.
    if (!run || !REHEARSED_STATUSES.includes(run.status)) return;
    const from = await verifier.newestOf(id);
    if (!from) return this.#notify(id, 'notRehearsed', 'info', NO_PAIR);
    const { environment } = environmentOf(id) ?? {};
    if (!environment)
      return this.#notify(id, 'notRehearsed', 'info', notNow('its environment is no longer known', run));
    try {
      const { proof } = await verifier.verify(from, environment, signal);
      const steps = `rehearsed: ${counted(proof.steps, 'step')} from step ${integer(from.step)}`;
      if (proof.verdict === 'equal') return this.#notify(id, 'rehearsed', 'info', `${steps}, equal`);
      const cause = proof.cause ?? VERDICTS[proof.verdict];
      await this.#notify(id, 'rehearsed', 'warning', `${steps}, different: ${cause}`);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof TrainstashError)) throw error;
      await this.#notify(id, 'notRehearsed', 'warning', `not rehearsed: ${error.message}`);
    }
  }

  /** Says once for each job that there are rehearsals. */
  async #offer(run: Run): Promise<void> {
    const { store } = this.#parts.context;
    const before = { drafts: false, trashed: false, before: run.number, limit: OFFER_LOOKS_AT };
    const earlier = (await store.runs(before)).runs.some(({ job }) => job === run.job);
    if (earlier || run.notices.some(({ code }) => REHEARSAL_CODES.has(code))) return;
    if (!(await this.#parts.verifier.newestOf(run.id))) return;
    // Without a step: retention may remove any checkpoint that is named here.
    const now = `\`trainstash verify ${run.number}\` finds out now`;
    const always = run.command ? '' : `; with "rehearse": true in the job ${run.job} it is done after each run`;
    await this.#notify(run.id, 'canRehearse', 'info', `Would a resume compute the same bits? ${now}${always}.`);
  }

  async #notify(id: string, code: string, level: Notice['level'], text: string): Promise<void> {
    const { context, change } = this.#parts;
    const run = await context.store.run(id);
    if (!run) return;
    const notice: Notice = { code, level, text, step: run.step, at: Date.now() };
    // The newest rehearsal is the one that counts.
    const changed = await change(id, { dropNotices: { codes: [...REHEARSAL_CODES] }, addNotices: [notice] });
    context.announce.notice(changed, notice);
  }
}

const REHEARSAL_CODES = new Set(['rehearsed', 'notRehearsed', 'canRehearse']);
const NO_PAIR = 'not rehearsed: a replay needs two checkpoints, one to begin at and a later one to compare with';
const VERDICTS = {
  equal: '',
  'state missing':
    'two replays agree with each other and not with the record, so the checkpoint lacks a part of the state',
  'not deterministic': 'two replays differ, so the training is not deterministic on this device',
};

function notNow(why: string, run: Run): string {
  return `not rehearsed: ${why}; \`trainstash verify ${run.number}\` does it`;
}

/** Returns what the job says about rehearsals; undefined: nothing, or there is no such job any more. */
function wishOf(run: Run, root: string): boolean | undefined {
  if (run.command) return undefined;
  try {
    return findJob(readConfig(root), run.job).rehearse;
  } catch {
    return undefined;
  }
}
