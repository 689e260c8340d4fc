/**
 * The contract that each kind of engine fulfils. An engine starts `node-run` on a node, and tells what has become of it; what happens
 * in a training is in its session directories, in the folder that the nodes see (`reach`), and not the engine's business.
 */
import type { EngineLoad, EngineType, JobPhase } from '../../protocol/engines.ts';
import type { Reach } from './reach.ts';

/** Work to submit: one run, or several that become one array. */
export interface Submission {
  /** Name of the job, for the engine's own lists. */
  name: string;
  /** Word by which the job is found again if the engine's answer is lost: unique, of letters and digits. */
  key: string;
  /** Places of the runs in the engine's folder, absolute; see `protocol/task.ts`. */
  places: readonly [string, ...string[]];
  /** Words that start one life, but for the place, which is added to them. */
  program: readonly ProgramWord[];
  nodes: number;
  graceSeconds: number;
  /** Variables with secrets, which no file of Trainstash has. */
  secrets: Readonly<Record<string, string>>;
  /** Variables of the person's shell, for engines that pass them on. */
  environment: Readonly<Record<string, string>>;
}

/** `node`: path of Node, in whose place TRAINSTASH_NODE counts where a node sets it. */
export type ProgramWord = string | { node: string };

export interface Submitted {
  /** Ids of the jobs, one for each place. */
  jobs: string[];
  /** True if the engine starts them again by itself after a preemption; otherwise the daemon submits them anew. */
  startsAgain: boolean;
  /** Sentences for the person, such as that it may not requeue. */
  notices: string[];
}

/** State of a job as the engine tells it. */
export interface JobState {
  phase: JobPhase;
  /** The engine's own word for why it waits, or has ended. */
  reason: string;
  nodes: string;
  /** Number of times that it was started again. */
  restarts: number;
  /** Number of GPUs that it has asked for; absent: none, or the engine does not tell. */
  gpus?: number | undefined;
  /** Reason for the end, if it has ended and the engine knows. */
  end?: JobEnd;
}

/** `failed`: its process ended with an error. `lost`: a node failed. `preempted`: it was ended for another job, and not requeued. */
export type JobEnd = 'completed' | 'failed' | 'cancelled' | 'preempted' | 'lost' | 'timeout' | 'outOfMemory';

/** One thing that `engine test` has looked at. */
export interface TestStep {
  /** Name of the thing: `sbatch`, `the folder`, `node`, `python`. */
  what: string;
  isFine: boolean;
  /** Finding in one sentence; with what to do if it is not fine. */
  text: string;
}

/** Error for a submission of which nobody knows whether it was taken: the answer did not arrive. */
export class AnswerLost extends Error {}

export interface Engine {
  readonly name: string;
  readonly type: EngineType;
  /** Way to the folder that the nodes see. */
  readonly reach: Reach;
  /**
   * Submits; durable when it resolves. Throws `engineRefused` with the engine's own words or `engineUnreachable` if nothing was
   * taken, and `AnswerLost` where that is not known.
   */
  submit(work: Submission): Promise<Submitted>;
  /** Finds the jobs of a submission whose answer was lost, in the order of its places; empty: it was not taken, or not yet. */
  find(key: string): Promise<string[]>;
  /** Asks for all jobs at once. Those that it does not know are `gone`. Throws `engineUnreachable`. */
  poll(jobs: readonly string[]): Promise<ReadonlyMap<string, JobState>>;
  /**
   * Asks for the end of a job, whether it runs or waits; `poll` tells when it has come. It is no error if it has ended. Throws
   * `engineRefused` or `engineUnreachable` if it may go on.
   */
  cancel(job: string): Promise<void>;
  /** Asks for all nodes and the whole queue; absent: engines of this kind do not tell. Throws `engineUnreachable`. */
  load?(): Promise<EngineLoad>;
  /** Looks at everything that a run needs, and submits a job of one second. `work` makes its submission. */
  test(work: Submission): AsyncIterable<TestStep>;
  /** Frees connections. */
  close(): void;
}
