/** Rolls runs back by themselves, as their jobs demand: after a NaN, a spike or a failure. */
import type { Notice, Run } from '../../protocol/domain.ts';
import { maskText } from '../../protocol/secrets.ts';
import type { RunChange, RunFields } from '../store/catalog/run-change.ts';
import type { ProjectContext } from './context.ts';
import type { Launcher } from './launch/launcher.ts';
import type { QueuedRuns } from './launch/queued.ts';
import type { Ended } from './live/ended.ts';
import { type Decision, decideRollback } from './live/rollback.ts';

/** Rollbacks that a run's record lists. */
const MOST_LISTED = 100;

export class Rollbacks {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #queued: QueuedRuns;

  constructor(context: ProjectContext, launcher: Launcher, queued: QueuedRuns) {
    this.#context = context;
    this.#launcher = launcher;
    this.#queued = queued;
  }

  /** Returns the change of a run that has ended and goes back, or of one whose rollback was refused; null: it needs none. */
  async after({ run, exit, directory, session, forced, asked }: Ended): Promise<RunChange | null> {
    const launch = directory.launch();
    // A person's own request prevails, and of an earlier session the run has gone on.
    if (!launch || forced || asked || run.trashedAt !== null || run.session !== session.id) return null;
    if (Object.keys(launch.rollback).length === 0) return null;
    const { store } = this.#context;
    const own = await store.checkpoints(run.id);
    const parent = run.parent && (await store.checkpoint(run.parent.checkpoint));
    const sessions = (await store.sessions(run.id)).filter(({ purpose }) => purpose === 'train');
    const checkpoints = parent && parent.trashedAt === null ? [parent, ...own] : own;
    const decision = decideRollback({ run, session, exit, launch, sessions, checkpoints, now: Date.now() });
    if (decision === null) return null;
    if ('refused' in decision) return this.#refuse(run, decision.refused);
    const { checkpoint, rollback, suspect } = decision;
    const set = fieldsOf(run, decision);
    const planned: Run = { ...run, ...set };
    const environment = this.#launcher.environmentOf(run.id);
    const target = { id: checkpoint?.id ?? null, toStep: rollback.toStep, skip: rollback.skip };
    if (!this.#queued.noteRollback(planned, launch, environment, target))
      return this.#refuse(run, `${decision.text} It waits for its command, a part of which was not kept.`);
    if (suspect) {
      const trouble = rollback.trouble === 'spike' ? 'spike' : 'nan';
      this.#context.announce.checkpoint(await store.markTrouble(suspect.id, trouble));
    }
    return { set, addNotices: [this.#noticeOf(planned, 'rolledBack', 'warning', decision.text)] };
  }

  #refuse(run: Run, text: string): RunChange {
    return { set: { reason: maskText(text) }, addNotices: [this.#noticeOf(run, 'notRolledBack', 'error', text)] };
  }

  #noticeOf(run: Run, code: string, level: Notice['level'], text: string): Notice {
    const notice: Notice = { code, level, text: maskText(text), step: run.step, at: Date.now() };
    this.#context.announce.notice(run, notice);
    return notice;
  }
}

/** Returns what changes in the record of a run that waits to go on from its checkpoint. */
function fieldsOf(run: Run, { rollback, params, overrides, text }: Decision): RunFields {
  return {
    params,
    overrides,
    status: 'queued',
    reason: maskText(text),
    waiting: { for: 'device', behind: null },
    draft: false,
    endedAt: null,
    rollbacks: [...(run.rollbacks ?? []), rollback].slice(-MOST_LISTED),
    rolledBack: (run.rolledBack ?? 0) + 1,
  };
}
