/** Handles the runs of a branch when HEAD leaves it and comes back: they continue, or pause and are offered again. */
import type { Run } from '../../protocol/domain.ts';
import type { InPlace, WorktreeRecord } from './active-branch.ts';
import type { Ownership, WorktreeRuns } from './ownership.ts';
import type { Notify } from './reasons.ts';

export interface RunsLeftSetup {
  record: WorktreeRecord;
  ownership: Ownership;
  runs: WorktreeRuns;
  notify: Notify;
}

export class RunsLeft {
  readonly #setup: RunsLeftSetup;
  /** Runs that a switch has waited for. */
  readonly #waitedFor = new Set<string>();

  constructor(setup: RunsLeftSetup) {
    this.#setup = setup;
  }

  /** Handles the runs of a branch that HEAD has left: they continue, or pause if the project says so. */
  async onLeave(inPlace: InPlace, to: string): Promise<void> {
    const { runs, record, ownership } = this.#setup;
    const here = runs.live().filter(({ branchId }) => branchId === inPlace.id);
    if (here.length === 0) return;
    const { onBranchSwitch } = await ownership.policyOf(inPlace);
    for (const run of here) {
      await runs.codeMoved(run.id, to);
      const paused = record.paused();
      const known = paused[inPlace.id]?.runs ?? [];
      // A plain command cannot save when asked: only the user may pause it.
      if (onBranchSwitch !== 'pause' || run.writesFiles || known.includes(run.id)) continue;
      await runs.pause(run.id);
      record.setPaused({ ...paused, [inPlace.id]: { runs: [...known, run.id], left: false } });
    }
  }

  /** Records that the files of the branch have left, too. */
  markLeft(id: string): void {
    const { record } = this.#setup;
    const paused = record.paused();
    if (paused[id]) record.setPaused({ ...paused, [id]: { ...paused[id], left: true } });
  }

  /** Resumes runs that were paused for a switch that did not happen; offers to resume them after one that did. */
  async onReturn(id: string, branch: string): Promise<void> {
    const { runs, record, notify } = this.#setup;
    const { [id]: entry, ...others } = record.paused();
    if (!entry) return;
    record.setPaused(others);
    for (const run of entry.runs) {
      if (!entry.left) await runs.resume(run);
      else notify('canResume', `A run of ${branch} was paused when HEAD left it. It can be resumed now.`, run);
    }
  }

  /** Remembers the runs of the branch in place that a switch waits for. */
  waitFor({ id }: InPlace): void {
    for (const run of this.#setup.runs.live()) if (run.branchId === id) this.#waitedFor.add(run.id);
  }

  /**
   * Handles the end of a run that a switch has waited for: a run that was paused for it is offered when its branch is
   * back.
   */
  ended({ id, branchId, status }: Pick<Run, 'id' | 'branchId' | 'status'>, isOnHead: boolean): void {
    // The switch itself may have finished before this news of the run arrived.
    if (!this.#waitedFor.delete(id) || status !== 'paused' || !branchId || isOnHead) return;
    const { record } = this.#setup;
    const paused = record.paused();
    record.setPaused({ ...paused, [branchId]: { runs: [...(paused[branchId]?.runs ?? []), id], left: true } });
  }
}
