/** Compares the steps that a session does again after a resume with the values recorded before. */
import type { Run, Session } from '../../../protocol/domain.ts';
import { toWireNumber } from '../../../protocol/numbers.ts';
import { counted, exactly } from '../../../protocol/words.ts';
import type { ProjectContext } from '../context.ts';
import { proofOf } from '../proof.ts';
import type { LaunchNotice } from './notices.ts';

export class OverlapCheck {
  readonly #context: ProjectContext;
  readonly #session: Session;
  #isDone = false;

  constructor(context: ProjectContext, session: Session) {
    this.#context = context;
    this.#session = session;
  }

  /**
   * Checks once, when all steps recorded before have been done again or the session is over. Stores the result as a
   * proof, and returns the notices to add to the run.
   */
  async check(run: Run, isOver: boolean): Promise<LaunchNotice[]> {
    const { store, announce } = this.#context;
    const { resumedFrom, id, environment, startedAt } = this.#session;
    // A script that restores only its weights does other steps after a resume, and never promised the same.
    if (!run.cooperative) return [];
    // After a rollback the first steps may be equal all the same, NaN included, which proves nothing.
    if (this.#session.isChanged && (run.rolledBack ?? 0) > 0) return [];
    if (this.#isDone || !resumedFrom || run.parent?.checkpoint === resumedFrom.checkpoint) return [];
    if (await this.#isOfAnotherBackend(resumedFrom.checkpoint, environment)) return [];
    const overlap = await store.compareOverlap(id);
    if (overlap && run.step < overlap.recordedUpTo && !isOver) return [];
    this.#isDone = true;
    if (!overlap || overlap.steps === 0) return [];
    // Other values were to be expected then, and prove nothing.
    if (this.#session.isChanged && overlap.firstDifferent) return [];
    announce.checkpoint(await store.setProof(overlap.checkpoint, proofOf(overlap, environment)));
    const { firstDifferent } = overlap;
    if (!firstDifferent) {
      const text = `${counted(overlap.equal, 'step')} computed twice gave the same bits.`;
      return [{ code: 'verified', level: 'info', text, equalSteps: overlap.equal }];
    }
    // The script's package has reported it already, and knows more.
    if (run.notices.some(({ code, at }) => code === 'notReproduced' && at >= startedAt)) return [];
    const { step, metric, replayed, recorded } = firstDifferent;
    const [now, before] = [exactly(toWireNumber(replayed)), exactly(toWireNumber(recorded))];
    const text = `Computed again after the resume, step ${step} gave ${metric} ${now} instead of ${before}. \`trainstash verify\` tells whether state is missing or the device is not deterministic.`;
    return [{ code: 'notReproduced', level: 'warning', text }];
  }

  /** Tells whether the run continues on another backend, for which nobody promised the same bits. */
  async #isOfAnotherBackend(checkpoint: string, { backend }: Record<string, string>): Promise<boolean> {
    const facts = await this.#context.store.checkpointFacts(checkpoint);
    const then = facts?.checkpoint?.environment.backend;
    return then !== undefined && backend !== undefined && then !== backend;
  }
}
