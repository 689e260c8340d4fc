/** The parts of a launch: what it is asked for, what it needs, and what it tells its surroundings. */
import type { JobConfig } from '../../../protocol/config.ts';
import type { GpuDemand } from '../../../protocol/devices.ts';
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import type { Skip } from '../../../protocol/rollback.ts';
import type { Grant } from '../../devices/allocate.ts';
import type { RunChange, RunFields } from '../../store/catalog/run-change.ts';
import type { RunControl } from '../control.ts';
import type { Environment } from './environments.ts';
import type { Measured } from './identity.ts';
import type { OriginalCode } from './original-code.ts';

export interface LaunchOptions extends Environment, RunControl {
  /** Worktree of the request; absent: the one that the project was opened with. */
  root?: string;
  queue?: boolean;
  restarts?: number;
  backend?: string;
  backendSetting?: string;
  /** Engine to run on, and its number of nodes; absent: as the job says, else here. */
  engine?: string;
  nodes?: number;
  debugger?: readonly string[];
}

/** Tells whether a run may start, and hears when one may have become ready or a run has ended. */
export interface Device {
  isFree(): boolean;
  changed(): void;
  /** Brings the list of GPUs up to date; await it before the calls below. */
  look(): Promise<void>;
  admit(demand: GpuDemand | undefined, environment: Readonly<Record<string, string>>, own: string): Grant;
  /** Chooses the runs to interrupt for an urgent one. */
  interruptionsFor(demand: GpuDemand | undefined, environment: Readonly<Record<string, string>>): Run[];
  /** Says why `cuda-checkpoint` could not move these runs off their devices; null: nothing is known against it. */
  obstacleToMove(runs: readonly Run[], environment: Record<string, string>): Promise<string | null>;
  /** Waits until the runs that are being moved for an urgent one are away. Resolves to why they are not; null: nothing failed. */
  moved(urgent: string): Promise<string | null>;
}

/** Keeps runs and the files of their branch in step. */
export interface Barrier {
  /** Throws `switchWaiting` when files of another branch are still in place and the run would use them. */
  before(root: string, usesFiles: boolean): Promise<void>;
  ended(root: string, run: Run): void;
  /** Records that a run has written these files of the tree: relative paths, with `/`. */
  wrote(root: string, run: string, paths: readonly string[]): void;
}

/** Run to launch, with its record before that; null: there was none. */
export interface Launching {
  run: Run;
  before: Run | null;
  /** Fields of `run` that its record does not have yet. */
  set: RunFields;
  job: JobConfig;
  checkpoint: Checkpoint | null;
  /** The command does not tell its script to load the checkpoint. */
  startsAnew: boolean;
  /** Newer checkpoints that the run does not resume from: they lack a part, or their state has diverged. */
  passedOver: readonly Checkpoint[];
  accept: boolean;
  root: string;
  /** Identity of the tree as just measured. */
  measured: Measured;
  debugger?: readonly string[];
  /** The original code, to run instead of that in the tree. */
  original?: OriginalCode | null;
  /** Batches to leave out, after a rollback. */
  skip?: Skip | null;
  /** Notices about the launch, and those that they replace. */
  notices?: Pick<RunChange, 'addNotices' | 'dropNotices'>;
}

/** Hears of a run that has ended in a worktree, once its record says so. */
export type OnEnded = (run: Run, root: string) => void;
