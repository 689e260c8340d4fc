/** Runs that cannot save on request and make way all the same: `cuda-checkpoint` moves them off their GPUs, and back afterwards. */
import { freemem } from 'node:os';
import type { Run } from '../../../protocol/domain.ts';
import { bytes } from '../../../protocol/words.ts';
import type { Device as Gpu } from '../../devices/allocate.ts';
import { descendsFrom } from '../../devices/processes.ts';
import type { ProjectContext } from '../context.ts';
import type { Environment } from '../launch/environments.ts';
import type { Launcher } from '../launch/launcher.ts';
import type { LiveRun } from '../live/live-run.ts';
import { askToStop } from '../live/stop.ts';
import { mobiles, moveBack, moveOff, whyNotRunning } from './mover.ts';
import { type MoveRecord, MoveRecords } from './records.ts';
import { backNotice, moverIn, notBackNotice, offNotice, offReason, offReasonAfter } from './words.ts';

/** Interval of tries to move a run back that did not come. */
const AGAIN_MS = 10_000;
/** Memory that stays for the rest of the machine. */
const SPARE_BYTES = 2 ** 30;

export interface MovesSetup {
  context: Pick<ProjectContext, 'place' | 'log'>;
  launcher: Launcher;
  ownEnvironment: Environment;
  /** Hears when a run has left its devices, or is back. */
  changed(): void;
}

export class Moves {
  readonly #setup: MovesSetup;
  readonly #records: MoveRecords;
  /** Runs that this daemon is moving. */
  readonly #busy = new Set<string>();
  readonly #triedAt = new Map<string, number>();

  constructor(setup: MovesSetup) {
    this.#setup = setup;
    this.#records = new MoveRecords(setup.context.place.store);
  }

  get size(): number {
    return this.#records.all.length;
  }

  /** Lists the live runs that are off their devices, or on the way. */
  get all(): { run: Run; record: MoveRecord }[] {
    return this.#records.all.flatMap((record) => {
      const live = this.#setup.launcher.find(record.run);
      return live && this.#of(record.run) ? [{ run: live.run, record }] : [];
    });
  }

  /** True while a live run holds no device. */
  isAway(run: string): boolean {
    return this.#of(run)?.phase === 'away';
  }

  /** True while a live run is on its way off its devices. */
  isLeaving(run: string): boolean {
    return this.#of(run)?.phase === 'leaving';
  }

  /** Lists the runs that wait to be moved back. Those that a daemon has left on their way, and those that are stuck, are tried at once. */
  waiting(): MoveRecord[] {
    for (const { run, phase } of this.#records.all) {
      const live = this.#setup.launcher.find(run);
      if (!live) continue;
      live.follower.isHeld = this.#of(run) !== undefined;
      if (!live.follower.isHeld) this.#forget(run);
      else if (phase === 'leaving' || phase === 'returning') this.back(run);
      else if (phase === 'stuck' && performance.now() - (this.#triedAt.get(run) ?? 0) > AGAIN_MS) this.back(run);
    }
    return this.#records.all.filter(({ run }) => this.isAway(run));
  }

  /** Forgets the runs that have ended. `isLive`: whether a run has a session, also one that is not followed yet. */
  async forgetEnded(isLive: (run: string) => Promise<boolean>): Promise<void> {
    for (const { run } of this.#records.all)
      if (!this.#busy.has(run) && !this.#setup.launcher.find(run) && !(await isLive(run))) this.#forget(run);
  }

  /** Says why a run cannot be moved off its devices; null: nothing is known against it. Changes nothing. */
  async obstacle(run: string, gpus: readonly Gpu[], environment: Record<string, string>): Promise<string | null> {
    const live = this.#setup.launcher.find(run);
    const program = this.#programFor(run, environment);
    if (live?.run.status !== 'running' || program === null) return 'it is not running';
    const used = gpus.filter(({ processes }) => processes.some((pid) => isOf(live, pid)));
    if (used.length === 0) return 'nvidia-smi lists no process of it';
    const needed = used.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
    const free = Math.min(freemem(), process.availableMemory());
    if (free < needed + SPARE_BYTES)
      return `its memory on the GPU (${bytes(needed)}) does not fit into that of the machine, of which ${bytes(free)} are free`;
    return whyNotRunning(program, mobiles(processesOf(live, gpus))).catch((error: Error) => error.message);
  }

  /**
   * Moves a live run off its devices for an urgent one. Resolves to null, or to why it is there as before. `look` asks again what is on
   * the GPUs.
   */
  async off(
    run: string,
    by: Run,
    environment: Record<string, string>,
    look: () => Promise<readonly Gpu[]>,
  ): Promise<string | null> {
    const live = this.#setup.launcher.find(run);
    if (!live || this.#records.get(run) || this.#busy.has(run)) return null;
    this.#busy.add(run);
    try {
      return await this.#off(live, by, environment, look);
    } finally {
      this.#busy.delete(run);
      this.#setup.changed();
    }
  }

  async #off(
    live: LiveRun,
    by: Run,
    environment: Record<string, string>,
    look: () => Promise<readonly Gpu[]>,
  ): Promise<string | null> {
    const { id } = live.run;
    const at = Date.now();
    const gpus = await look();
    const not = await this.obstacle(id, gpus, environment);
    if (not !== null) return not;
    const program = this.#programFor(id, environment)!;
    const processes = mobiles(processesOf(live, gpus));
    const facts = { run: id, session: live.run.session, processes, by: by.id, byName: by.name };
    // On disk before it is moved: a daemon that dies in between must not leave it there.
    this.#records.put({ ...facts, phase: 'leaving', at, tookMs: 0, wish: null, problem: null });
    live.follower.isHeld = true;
    try {
      await moveOff(program, processes);
      const left = processesOf(live, await look());
      if (left.length > 0) throw new Error(`process ${left[0]} is on the GPU all the same`);
    } catch (error) {
      return this.#putBack(live, program, (error as Error).message);
    }
    this.#records.change(id, { phase: 'away', tookMs: Date.now() - at });
    const record = this.#records.get(id)!;
    await live.update({ reason: offReason(record) });
    await live.addNotices([offNotice(record, live.run)]);
    return null;
  }

  /** Puts a run back that could not be moved. Returns why it could not, and whether it is as before. */
  async #putBack(live: LiveRun, program: string, why: string): Promise<string> {
    const record = this.#records.get(live.run.id)!;
    try {
      await moveBack(program, record.processes);
      this.#forget(live.run.id);
      return `${why}. It goes on as before`;
    } catch (error) {
      await this.#tellNotBack(live, (error as Error).message);
      return `${why}, and it did not come back: ${(error as Error).message}`;
    }
  }

  /** Says what a run waits for that is off its devices. `waits` null: the urgent run is still to end. */
  async explain(run: string, waits: string | null): Promise<void> {
    const live = this.#setup.launcher.find(run);
    const record = this.#of(run);
    // A pause or a stop that waits has said more.
    if (!live || record?.phase !== 'away' || record.wish !== null) return;
    const reason = waits === null ? offReason(record) : offReasonAfter(waits);
    if (live.run.reason !== reason) await live.update({ reason });
  }

  /** Moves a run back to its devices, which are its own from now on. Does not wait for it. */
  back(run: string): void {
    const live = this.#setup.launcher.find(run);
    if (!live || this.#busy.has(run)) return;
    this.#busy.add(run);
    this.#records.change(run, { phase: 'returning' });
    void this.#back(live)
      .catch((error: Error) => this.#setup.context.log(`${live.run.name} was not moved back: ${error.message}`))
      .finally(() => {
        this.#busy.delete(run);
        this.#setup.changed();
      });
  }

  async #back(live: LiveRun): Promise<void> {
    const record = this.#records.get(live.run.id);
    if (!record) return;
    const since = Date.now();
    try {
      const program = this.#programFor(record.run, {});
      if (program === null) throw new Error('cuda-checkpoint is no longer on the PATH of the daemon');
      await moveBack(program, record.processes);
    } catch (error) {
      await this.#tellNotBack(live, (error as Error).message);
      return;
    }
    const { wish } = this.#records.get(record.run) ?? record;
    this.#forget(record.run);
    // A record without a time of leaving is of a move that a daemon did not live to finish.
    if (record.tookMs > 0) await live.addNotices([backNotice(record, live.run, Date.now() - since)]);
    if (wish === 'pause') await live.requestPause();
    else if (wish === 'stop') await askToStop(live);
    else await live.update({ reason: '' });
  }

  /** Says once that a run does not come back. It is tried again at the next look, but for a run that has ended. */
  async #tellNotBack(live: LiveRun, problem: string): Promise<void> {
    const { id } = live.run;
    const record = this.#records.get(id);
    if (!record) return;
    if (this.#setup.launcher.find(id) !== live) return this.#forget(id);
    this.#triedAt.set(id, performance.now());
    this.#records.change(id, { phase: 'stuck', problem });
    if (record.problem !== null) return;
    await live.addNotices([notBackNotice(record, live.run, problem)]);
    await live.update({ reason: 'it did not come back to its GPU' });
  }

  /** Notes that a run which is away is to be paused or stopped as soon as it is back. Null: it is not away. */
  later(live: LiveRun, wish: 'pause' | 'stop'): Promise<Run> | null {
    const record = this.#of(live.run.id);
    if (!record) return null;
    this.#records.change(record.run, { wish });
    const reason = `as soon as it is back on its GPU, after ${record.byName}; \`trainstash stop --force ${live.run.number}\` ends it now`;
    return live.update({ status: wish === 'pause' ? 'pausing' : 'stopping', reason });
  }

  /** Returns the record of a run's present session. */
  #of(run: string): MoveRecord | undefined {
    const record = this.#records.get(run);
    return record && this.#setup.launcher.find(run)?.run.session === record.session ? record : undefined;
  }

  #forget(run: string): void {
    this.#records.remove(run);
    const live = this.#setup.launcher.find(run);
    if (live) live.follower.isHeld = false;
  }

  #programFor(run: string, environment: Record<string, string>): string | null {
    const own = this.#setup.launcher.environmentOf(run)?.environment ?? {};
    return moverIn(environment, own, this.#setup.ownEnvironment.environment);
  }
}

/** Lists the processes of a run that compute on a GPU. */
function processesOf(live: LiveRun, gpus: readonly Gpu[]): number[] {
  const pids = new Set(gpus.flatMap(({ processes }) => processes));
  return [...pids].filter((pid) => isOf(live, pid));
}

function isOf({ follower }: LiveRun, pid: number): boolean {
  const record = follower.directory.process();
  if (!record) return false;
  return descendsFrom(pid, new Set([record.pid, ...(record.child ? [record.child.pid] : [])]));
}
