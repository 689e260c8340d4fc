/** Runs that make way for an urgent one: they save, end, wait, and go on by themselves. */
import type { Run } from '../../protocol/domain.ts';
import type { Launcher } from './launch/launcher.ts';
import type { QueuedRuns } from './launch/queued.ts';
import type { LiveRun } from './live/live-run.ts';

export class Interruptions {
  readonly #launcher: Launcher;
  readonly #queued: QueuedRuns;
  readonly #log: (text: string) => void;
  /** Runs that are being asked. */
  readonly #asking = new Set<string>();

  constructor(launcher: Launcher, queued: QueuedRuns, log: (text: string) => void) {
    this.#launcher = launcher;
    this.#queued = queued;
    this.#log = log;
  }

  /**
   * Asks a live run for a checkpoint and its end. A run that cannot save on request is interrupted only if that was accepted. Does not
   * wait for its end.
   */
  ask(id: string, by: Run, accepted: boolean): void {
    const live = this.#launcher.find(id);
    if (!live || this.#asking.has(id)) return;
    // On disk before it is asked: a daemon that dies in between must not leave it ended.
    if (!this.#queued.noteInterruption(live.run, live.launch, this.#launcher.environmentOf(id), by)) return;
    this.#asking.add(id);
    void this.#askToMakeWay(live, by, accepted)
      .catch((error: Error) => this.#log(`${live.run.name} was not interrupted: ${error.message}`))
      .finally(() => this.#asking.delete(id));
  }

  async #askToMakeWay(live: LiveRun, by: Run, accepted: boolean): Promise<void> {
    if (live.run.status === 'starting') await live.started.promise;
    if (live.run.status !== 'running') return;
    if (!live.run.cooperative && !live.isBeginning && !accepted) {
      this.#queued.remove(live.run.id);
      return;
    }
    const text = `It was asked to save and make way for ${by.name}, which is urgent. It goes on afterwards.`;
    // Asked before anything is awaited: meanwhile it could end, or be stopped.
    const asked = accepted && live.isBeginning ? live.endWithoutSaving() : live.requestPause();
    await Promise.all([asked, live.addNotices([{ code: 'makesWay', level: 'info', text }])]);
  }
}
