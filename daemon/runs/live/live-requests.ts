/** Requests to a live or queued run: pause, stop, input, a checkpoint. */
import type { Checkpoint, Notice, Run, RunStatus } from '../../../protocol/domain.ts';
import { maskText } from '../../../protocol/secrets.ts';
import type { TerminalInput } from '../../../protocol/session.ts';
import type { ProjectContext } from '../context.ts';
import type { EngineRuns } from '../engines/engine-runs.ts';
import { cannotSave, pauseLoses, wrongStatus } from '../errors.ts';
import type { Launcher } from '../launch/launcher.ts';
import type { Device } from '../launch/launching.ts';
import type { QueuedRuns } from '../launch/queued.ts';
import type { Moves } from '../moving/moves.ts';
import type { LiveRun } from './live-run.ts';
import { askToStop } from './stop.ts';

export class LiveRequests {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #queued: QueuedRuns;
  readonly #device: Device;
  readonly #engines: EngineRuns;
  readonly #moves: Moves;

  constructor(
    context: ProjectContext,
    launcher: Launcher,
    queued: QueuedRuns,
    device: Device,
    engines: EngineRuns,
    moves: Moves,
  ) {
    this.#engines = engines;
    this.#moves = moves;
    this.#context = context;
    this.#launcher = launcher;
    this.#queued = queued;
    this.#device = device;
  }

  /** Runs whose sessions are live. */
  get live(): readonly LiveRun[] {
    return this.#launcher.live;
  }

  /** Pauses a run. Throws `pauseLoses` for a script that cannot save when asked, unless that was accepted. */
  async pause(query: string, accept = false): Promise<Run> {
    const run = await this.#context.store.findRun(query);
    if (run.status === 'queued') return this.#unqueue(run, 'paused');
    const live = this.#requireLive(run, 'paused');
    if (!live.run.cooperative && !live.isBeginning && !accept)
      throw pauseLoses(live.run, await this.#context.store.checkpoints(run.id));
    // If it was just making way for an urgent run it would go on afterwards.
    this.#queued.remove(run.id);
    const later = this.#moves.later(live, 'pause');
    if (later) return later;
    return accept && live.isBeginning ? live.endWithoutSaving() : live.requestPause();
  }

  /** Gives a run a notice, also while it is live. */
  async tell(id: string, { code, level, text }: Pick<Notice, 'code' | 'level' | 'text'>): Promise<void> {
    const live = this.#launcher.find(id);
    if (live) return live.addNotices([{ code, level, text }]);
    const run = await this.#context.store.run(id);
    if (!run) return;
    const notice = { code, level, text: maskText(text), step: run.step, at: Date.now() };
    this.#context.announce.notice(await this.#launcher.change(id, { addNotices: [notice] }), notice);
  }

  async input(query: string, input: TerminalInput): Promise<void> {
    const run = await this.#context.store.findRun(query);
    const live = this.#requireLive(run, 'sent input', true);
    if (live.launch.command) live.follower.directory.writeInput(input);
  }

  async stop(query: string, force: boolean): Promise<Run> {
    const run = await this.#context.store.findRun(query);
    if (run.status === 'queued') return this.#unqueue(run, 'stopped');
    const live = this.#requireLive(run, 'stopped', force);
    if (force) {
      await live.kill();
      return this.#context.store.findRun(run.id);
    }
    return this.#moves.later(live, 'stop') ?? askToStop(live);
  }

  async checkpoint(query: string): Promise<Checkpoint> {
    const run = await this.#context.store.findRun(query);
    const live = this.#requireLive(run, 'asked for a checkpoint');
    if (live.run.cooperative || live.isBeginning) return live.requestCheckpoint();
    throw cannotSave(live.run);
  }

  async #unqueue(run: Run, status: RunStatus): Promise<Run> {
    if (this.#engines.has(run.id)) return this.#engines.withdraw(run, status);
    this.#queued.remove(run.id);
    // A paused run must be found again; one that was dropped never did anything, so it is a draft.
    const draft = status === 'stopped' && run.sessions === 0;
    const set = { status, reason: 'removed from the queue', waiting: null, endedAt: Date.now(), draft };
    const left = await this.#launcher.changeIf(run.id, { status: 'queued' }, { set });
    // It has begun meanwhile.
    if (!left) throw wrongStatus(await this.#context.store.requireRun(run.id), ['queued'], 'taken out of the queue');
    void this.#device.changed();
    return left;
  }

  /** Returns the live run; with `whileStarting` also before its first step. */
  #requireLive(run: Run, verb: string, whileStarting = false): LiveRun {
    const live = this.#launcher.find(run.id);
    if (live && (whileStarting || live.run.status !== 'starting')) return live;
    throw wrongStatus(live?.run ?? run, ['running'], verb);
  }
}
