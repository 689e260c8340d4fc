/** Queue for the device that trainings share: runs of all projects, one at a time, in the order of queueing. */
import type { Run } from '../protocol/domain.ts';
import type { OpenProject } from './runs/project.ts';

export class DeviceQueue {
  readonly #projects: () => readonly OpenProject[];
  readonly #log: (text: string) => void;
  #running: Promise<void> | null = null;
  #again = false;

  constructor(projects: () => readonly OpenProject[], log: (text: string) => void) {
    this.#projects = projects;
    this.#log = log;
  }

  isFree(): boolean {
    return this.#projects().every(({ runs }) => !runs.takesDevice);
  }

  /** Looks for a run that may have become ready, once more after the look under way. */
  changed(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#advance().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #advance(): Promise<void> {
    do {
      this.#again = false;
      try {
        await this.#startNext();
        await this.#updateReasons();
      } catch (error) {
        this.#log(`queue: ${(error as Error).stack}`);
      }
    } while (this.#again);
  }

  get #waiting(): { project: OpenProject; run: string }[] {
    return this.#projects()
      .flatMap((project) => project.runs.queued.entries.map(({ run, at }) => ({ project, run, at })))
      .sort((a, b) => a.at - b.at);
  }

  async #startNext(): Promise<void> {
    for (const { project, run } of this.#waiting) {
      if (!this.isFree()) return;
      await project.runs.queued.tryStart(run);
    }
  }

  async #updateReasons(): Promise<void> {
    let ahead: { project: OpenProject; run: Run } | null = null;
    for (const project of this.#projects()) {
      const newest = project.runs
        .liveRuns()
        .sort((a, b) => a.createdAt - b.createdAt)
        .at(-1);
      if (newest) ahead = { project, run: newest };
    }
    for (const { project, run } of this.#waiting) {
      await project.runs.queued.waitForDevice(run, ahead?.project === project ? ahead.run : null);
      const own = await project.store.run(run);
      // A run that waits for the user blocks nobody.
      if (own?.waiting?.for === 'device') ahead = { project, run: own };
    }
  }
}
