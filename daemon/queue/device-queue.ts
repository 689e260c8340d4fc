/**
 * Queue for the devices that trainings share: runs of all projects. Every look decides anew from what is live and what waits, so
 * that a daemon which dies at any moment is followed by one that goes on.
 */
import type { GpuDemand } from '../../protocol/devices.ts';
import type { Run } from '../../protocol/domain.ts';
import type { AwayRun } from '../../protocol/messages/queue.ts';
import {
  allocate,
  chooseInterruptions,
  type Device as Gpu,
  type Grant,
  type Holder,
  type Situation,
} from '../devices/allocate.ts';
import { DeviceListing } from '../devices/nvidia.ts';
import { descendsFrom } from '../devices/processes.ts';
import { byTurn, holdOf } from '../devices/turn.ts';
import type { Device } from '../runs/launch/launching.ts';
import type { QueueEntry } from '../runs/launch/queue.ts';
import type { OpenProject } from '../runs/project.ts';
import { Moving } from './moving.ts';
import type { SettingsFile } from './settings.ts';

/** Interval of looks while a run waits for a time, or for programs of others to leave a GPU. */
const LOOK_AGAIN_MS = 2_000;

interface Waiter {
  project: OpenProject;
  entry: QueueEntry;
}

/** A run that holds devices, with its project. */
export interface LiveHolder extends Holder {
  project: OpenProject;
  record: Run;
}

export class DeviceQueue {
  readonly settings: SettingsFile;
  readonly #projects: () => readonly OpenProject[];
  readonly #log: (text: string) => void;
  readonly #listing = new DeviceListing();
  readonly #moving: Moving;
  #running: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(projects: () => readonly OpenProject[], settings: SettingsFile, log: (text: string) => void) {
    this.#projects = projects;
    this.settings = settings;
    this.#log = log;
    this.#moving = new Moving(projects, () => this.#lookAtGpus());
  }

  /** The part that projects need. */
  readonly forProjects: Device = {
    isFree: () => this.isFree(),
    changed: () => void this.changed(),
    look: () => this.look(),
    admit: (demand, environment, own) => this.admit(demand, environment, own),
    interruptionsFor: (demand, { CUDA_VISIBLE_DEVICES: visible }) =>
      (this.interruptionsFor(demand, visible, () => true) ?? []).map(({ record }) => record),
    obstacleToMove: (runs, environment) => this.#moving.obstacle(runs, environment),
    moved: async (urgent) => {
      await this.changed();
      return this.#moving.outcome(urgent);
    },
  };

  isFree(): boolean {
    return this.#projects().every(({ runs }) => !runs.takesDevice);
  }

  /** Brings the list of GPUs up to date. Await it before `admit`. */
  async look(): Promise<void> {
    await this.#listing.look();
  }

  get problem(): string | null {
    return this.#listing.last.problem;
  }

  /** Decides whether a run may have its devices now. `own`: the run itself, whose earlier claim does not count. */
  admit(demand: GpuDemand | undefined, environment: Readonly<Record<string, string>> = {}, own = ''): Grant {
    const { problem } = this.#listing.last;
    if (problem !== null && demand !== undefined && demand !== 'shared' && demand !== 0)
      return {
        granted: false,
        never: true,
        for: [],
        behind: null,
        waits: `waits, because nvidia-smi fails: ${problem}`,
      };
    return allocate(this.situation(new Set(), environment.CUDA_VISIBLE_DEVICES, own), demand);
  }

  situation(reserved: ReadonlySet<number>, visible?: string, own = ''): Situation {
    const ours = new Set(this.#projects().flatMap(({ runs }) => runs.processes));
    return {
      devices: this.#listing.last.devices,
      holders: this.holders().filter(({ run }) => run !== own),
      width: this.settings.current.width,
      isOurs: (pid) => descendsFrom(pid, ours),
      reserved,
      visible,
    };
  }

  holders(): LiveHolder[] {
    return this.#projects().flatMap((project) =>
      project.runs.claims.map((record) => ({
        project,
        record,
        run: record.id,
        name: record.name,
        devices: project.runs.moves.isAway(record.id) ? [] : devicesOf(record),
      })),
    );
  }

  /** Chooses the runs to interrupt for an urgent one that sees the `visible` devices; null: interrupting does not help. */
  interruptionsFor(
    demand: GpuDemand | undefined,
    visible: string | undefined,
    may: (holder: LiveHolder) => boolean,
  ): LiveHolder[] | null {
    const { problem } = this.#listing.last;
    if (problem !== null && demand !== undefined) return null;
    const situation = this.situation(new Set(), visible);
    const ending = this.holders().filter(isEnding);
    // Runs that end by themselves need no interruption.
    const soon = {
      ...situation,
      holders: situation.holders.filter(({ run }) => !ending.some((one) => one.run === run)),
    };
    if (allocate(soon, demand).granted) return [];
    const candidates = this.holders()
      .filter((holder) => !ending.some((one) => one.run === holder.run) && holder.devices.length > 0)
      .filter((holder) => !holder.record.urgent && may(holder))
      // The last ones are spared first: those that would lose work, then those that would free few devices.
      .sort((a, b) => Number(b.record.cooperative) - Number(a.record.cooperative) || sizeOf(b) - sizeOf(a));
    const chosen = chooseInterruptions({ ...soon, holders: this.#sameAs(soon, candidates) }, demand, candidates);
    return chosen && candidates.filter((one) => chosen.includes(one));
  }

  /** Replaces the holders by those of `candidates`, so that they can be told by identity. */
  #sameAs({ holders }: Situation, candidates: readonly LiveHolder[]): Holder[] {
    return holders.map((holder) => candidates.find(({ run }) => run === holder.run) ?? holder);
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

  dispose(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }

  async #advance(): Promise<void> {
    do {
      this.#again = false;
      try {
        if (this.waiters.length > 0 || this.#moving.size > 0) await this.#startNext();
      } catch (error) {
        this.#log(`queue: ${(error as Error).stack}`);
      }
    } while (this.#again);
  }

  /** Everything that waits, in its order. */
  get waiters(): Waiter[] {
    return this.#projects()
      .flatMap((project) => project.runs.queued.entries.map((entry) => ({ project, entry })))
      .sort((a, b) => byTurn(a.entry, b.entry));
  }

  /** Live runs that are off their GPUs for urgent ones. */
  get away(): AwayRun[] {
    return this.#projects().flatMap(({ place, runs }) =>
      runs.moves.all.map(({ run, record }) => ({ root: place.root, run, for: record.byName, phase: record.phase })),
    );
  }

  async #startNext(): Promise<void> {
    await this.look();
    const reserved = new Set<number>();
    let ahead = this.#newestLive();
    let looksAgain = this.#moving.size > 0;
    let areBack = false;
    for (const { project, entry } of this.waiters) {
      // They had their devices before any run that is not urgent.
      if (!entry.urgent && !areBack) await this.#moveBack(reserved);
      areBack ||= !entry.urgent;
      const { queued } = project.runs;
      const hold = holdOf(entry, await this.#others(project, entry));
      if (hold) {
        looksAgain ||= hold.for === 'time';
        await queued.hold(entry.run, hold);
        continue;
      }
      const visible = project.runs.environmentOf(entry.run)?.environment.CUDA_VISIBLE_DEVICES;
      const grant = this.#grant(entry, reserved, visible);
      if (grant.granted && (await queued.tryStart(entry.run, grant.devices))) continue;
      if (!grant.granted) {
        for (const index of grant.for) reserved.add(index);
        looksAgain = true;
        if (entry.urgent) await this.#makeRoom(project, entry, visible);
        const before = ahead?.project === project ? ahead.run : null;
        await queued.waitForDevice(entry.run, this.#textOf(grant, entry, before), before);
      }
      const own = await project.store.run(entry.run);
      // A run that waits for the user blocks nobody.
      if (own?.waiting?.for === 'device') ahead = { project, run: own };
    }
    if (!areBack) await this.#moveBack(reserved);
    if (looksAgain) this.#lookAgain();
  }

  /** Moves the runs back whose urgent one is over, if their devices are free. */
  async #moveBack(reserved: ReadonlySet<number>): Promise<void> {
    for (const { project, record } of await this.#moving.waiting()) {
      const own = this.holders().find(({ run }) => run === record.run);
      if (!own) continue;
      const { moves } = project.runs;
      const { devices, gpu } = own.record;
      const situation = this.situation(reserved, undefined, record.run);
      const grant = allocate(situation, devices?.length ? [...devices] : gpu);
      if (await this.#pendingUrgent(record.by)) await moves.explain(record.run, null);
      else if (grant.granted) moves.back(record.run);
      else await moves.explain(record.run, grant.waits);
    }
  }

  async #lookAtGpus(): Promise<readonly Gpu[]> {
    await this.look();
    return this.#listing.last.devices;
  }

  #grant(entry: QueueEntry, reserved: ReadonlySet<number>, visible: string | undefined): Grant {
    const known = this.admit(entry.gpu, {}, entry.run);
    if (!known.granted && this.problem !== null) return known;
    return allocate(this.situation(reserved, visible, entry.run), entry.gpu);
  }

  /** Runs without a demand wait in line, as one is behind the other; the others wait for devices. */
  #textOf(grant: Grant, { gpu }: QueueEntry, ahead: Run | null): string {
    if (gpu !== undefined && !grant.granted) return grant.waits;
    return ahead ? `waits behind ${ahead.name}` : 'waits for the device';
  }

  #newestLive(): { project: OpenProject; run: Run } | null {
    const live = this.holders()
      .filter(({ devices }) => devices.length > 0)
      .sort((a, b) => a.record.createdAt - b.record.createdAt)
      .at(-1);
    return live ? { project: live.project, run: live.record } : null;
  }

  async #others({ store }: OpenProject, entry: QueueEntry) {
    return {
      now: Date.now(),
      isQueuePaused: this.settings.current.paused && !entry.urgent,
      after: entry.after === null ? undefined : await store.run(entry.after),
      urgent: entry.interruptedFor === null ? undefined : await this.#pendingUrgent(entry.interruptedFor),
    };
  }

  /** Returns an urgent run while it is live, or waits for devices; one that waits for the user holds nobody back. */
  async #pendingUrgent(id: string): Promise<Run | undefined> {
    for (const { runs, store } of this.#projects()) {
      const claimed = runs.claims.find((run) => run.id === id);
      if (claimed) return claimed;
      if (!runs.queued.has(id)) continue;
      const run = await store.run(id);
      return run?.waiting == null || run.waiting.for === 'device' ? run : undefined;
    }
    return undefined;
  }

  /** Asks the runs in the way of an urgent one for a checkpoint and their end. */
  async #makeRoom(project: OpenProject, entry: QueueEntry, visible: string | undefined): Promise<void> {
    if (!entry.interrupts) return;
    const accepted = new Set(entry.accepted);
    const movable = new Set(entry.movable);
    const may = ({ record }: LiveHolder) => record.cooperative || accepted.has(record.id) || movable.has(record.id);
    const chosen = this.interruptionsFor(entry.gpu, visible, may);
    const by = await project.store.run(entry.run);
    if (!chosen || !by) return;
    const moves = chosen.filter(({ run, record }) => movable.has(run) && !record.cooperative);
    const environment = project.runs.environmentOf(entry.run)?.environment ?? {};
    this.#moving.start(moves, by, environment, (left) => project.runs.queued.change(entry.run, { movable: left }));
    for (const holder of chosen.filter((one) => !moves.includes(one)))
      holder.project.runs.interruptions.ask(holder.run, by, accepted.has(holder.run));
  }

  #lookAgain(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.changed();
    }, LOOK_AGAIN_MS);
    this.#timer.unref();
  }
}

function isEnding({ project, record }: LiveHolder): boolean {
  return record.status === 'pausing' || record.status === 'stopping' || project.runs.moves.isLeaving(record.id);
}

function sizeOf({ devices }: Holder): number {
  return devices === 'all' ? Number.MAX_SAFE_INTEGER : devices.length;
}

/** Devices that a run holds: those it was given; without a demand all. */
function devicesOf({ gpu, devices }: Run): readonly number[] | 'all' {
  if (gpu === 'shared' || gpu === 0) return [];
  return devices ?? 'all';
}
