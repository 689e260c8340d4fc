/** Decides when a checkpoint is due, and takes it. */
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Monitor } from '../protocol/domain.ts';
import { randomId } from '../protocol/ids.ts';
import { absent, described, type Ingredient, kept } from '../protocol/ingredients.ts';
import { fromWireNumber, hasDiverged, isBetter, toWireNumbers } from '../protocol/numbers.ts';
import { blankCheckpointFile } from '../protocol/records.ts';
import { CHECKPOINT_FILE, type CheckpointFile, type CheckpointPolicy } from '../protocol/session.ts';
import type { SessionDirectory } from '../session/directory.ts';
import type { Reporter } from '../session/reporter.ts';
import { retryUntil } from '../session/retry.ts';
import type { CaptureResult, Capturer } from './capture.ts';
import type { NamedTensor, Progress } from './state.ts';

/** Largest share of the training's time for checkpoints by time. */
const MAX_OVERHEAD = 0.02;
/**
 * Estimated cost besides the copy: files are synced, and the daemon stores them. The Python package has the same value.
 */
const FIXED_COST_MS = 100;
/** Ingredients of a checkpoint. The trainer owns the loop, so it knows where each part of a training is. */
const INGREDIENTS: Ingredient[] = [
  kept('weights', 'model'),
  kept('optimizer', 'optimizer'),
  absent('schedule', 'schedule (a function of the step)'),
  absent('scaler', 'scaler'),
  kept('random', 'random numbers'),
  kept('data', 'order and place of the data'),
  kept('loop', 'best value, early stopping, recent losses'),
  absent('gradients', 'gradients left over'),
  absent('callback', 'callbacks'),
];
/** Share of each step that copying may take, with its limits. */
const PUMP_SHARE = 0.02;
const PUMP_MIN_MS = 1;
const PUMP_MAX_MS = 15;
/** Number of newest checkpoints that stay in the inbox, besides the best, when no daemon takes them. */
const KEPT_WITHOUT_DAEMON = 3;

export interface CheckpointsSetup {
  directory: SessionDirectory;
  reporter: Reporter;
  capturer: Capturer;
  policy: CheckpointPolicy;
  environment: Record<string, string>;
  data: CheckpointFile['data'];
  monitor: Monitor;
  /** Checkpoint that the training resumed from. */
  parent: string | null;
  state(): NamedTensor[];
}

export class Checkpoints {
  readonly #setup: CheckpointsSetup;
  #parent: string | null;
  #lastAt = performance.now();
  #intervalMs: number;
  #lastStep: number;
  /** Position of the newest checkpoint: another one at the same position would have the same content. */
  #lastPosition = '';
  #taken = 0;
  #reportedFailure = false;
  readonly #startedAt = performance.now();
  #spentMs = 0;
  #costMs = FIXED_COST_MS;
  #epochsSeen = 0;
  #isLast = false;
  /** Milliseconds that the newest finished capture cost the training thread. */
  lastStallMs = 0;

  constructor(setup: CheckpointsSetup, startStep: number) {
    this.#setup = setup;
    this.#parent = setup.parent;
    this.#lastStep = startStep;
    this.#intervalMs = setup.policy.everySeconds > 0 ? setup.policy.everySeconds * 1000 : Number.POSITIVE_INFINITY;
  }

  /** Returns the reasons for a checkpoint at this boundary; empty when none is due. */
  due(step: number, endOfEpoch: number | null, isBest: boolean): string[] {
    const { policy } = this.#setup;
    if (step === this.#lastStep && endOfEpoch === null) return [];
    const reasons: string[] = [];
    if (performance.now() - this.#lastAt >= this.#intervalMs && this.#isAffordable) reasons.push('interval');
    if (policy.everySteps !== null && step % policy.everySteps === 0 && step !== this.#lastStep) reasons.push('steps');
    if (endOfEpoch !== null) this.#epochsSeen++;
    if (endOfEpoch !== null && policy.everyEpochs !== null && endOfEpoch % policy.everyEpochs === 0) {
      // The first of a launch is always taken: it shows that a resume can work.
      if (this.#epochsSeen === 1 || this.#isAffordable) reasons.push('epoch');
    }
    if (isBest && policy.onBest) reasons.push('best');
    return reasons;
  }

  get #isAffordable(): boolean {
    const { share } = this.#setup.policy;
    return (
      share === undefined ||
      share === null ||
      this.#spentMs + this.#costMs <= share * (performance.now() - this.#startedAt)
    );
  }

  /** Starts a checkpoint, unless one is being written: an automatic one is then skipped until it is due again. */
  start(reasons: string[], progress: Progress): boolean {
    if (this.#setup.capturer.inFlight) return false;
    const { metrics } = progress;
    const id = randomId();
    const facts: CheckpointFile = {
      ...blankCheckpointFile(id, this.#setup.directory.id, progress.step, Date.now()),
      ...described(INGREDIENTS),
      epoch: progress.epoch,
      batch: progress.batch,
      reasons,
      parent: this.#parent,
      metrics: toWireNumbers(metrics),
      environment: this.#setup.environment,
      data: this.#setup.data,
    };
    // Names sort in the order of taking, also for two of the same step: before and after an epoch's end.
    const name = `${String(progress.step).padStart(9, '0')}-${String(++this.#taken).padStart(6, '0')}-${id}`;
    this.#lastAt = performance.now();
    this.#lastStep = progress.step;
    this.#lastPosition = positionOf(progress);
    this.#setup.capturer.begin(name, facts, this.#setup.state(), progress);
    return true;
  }

  /** Continues copying, within a share of the step's time; call it at each boundary. */
  pump(stepMs: number): void {
    if (!this.#setup.capturer.inFlight) return;
    this.#finish(this.#setup.capturer.pump(Math.min(PUMP_MAX_MS, Math.max(PUMP_MIN_MS, stepMs * PUMP_SHARE))));
  }

  /**
   * Finishes the checkpoint under way; then, with reasons, takes one more and waits for it. Returns false if it failed.
   */
  async take(reasons: string[], progress: Progress): Promise<boolean> {
    const settled = this.#finish(await this.#setup.capturer.drain());
    if (settled && this.#lastPosition === positionOf(progress) && !reasons.includes('request')) return true;
    this.start(reasons, progress);
    return this.#finish(await this.#setup.capturer.drain());
  }

  /**
   * Takes the last checkpoint of a training: otherwise its state is lost with the process. A full disk may get space
   * again, so it retries for at most ten minutes, or until the user does not want to wait. Returns false if it failed.
   */
  takeLast(reasons: string[], progress: Progress, givesUp: () => boolean): Promise<boolean> {
    this.#isLast = true;
    this.#reportedFailure = false;
    const isUseless = () => this.#setup.capturer.isBroken || givesUp();
    return retryUntil(() => this.take(reasons, progress), isUseless);
  }

  async settle(): Promise<void> {
    this.#finish(await this.#setup.capturer.drain());
  }

  #finish(result: CaptureResult | null): boolean {
    if (!result) return true;
    const { reporter } = this.#setup;
    this.lastStallMs = result.stallMs;
    this.#costMs = result.stallMs + FIXED_COST_MS;
    this.#spentMs += this.#costMs;
    if (this.#setup.policy.everySeconds > 0 && !this.#setup.policy.share)
      this.#intervalMs = Math.max(this.#setup.policy.everySeconds * 1000, result.stallMs / MAX_OVERHEAD);
    if (result.error !== null) {
      this.#lastPosition = '';
      if (result.deviceFailed) return false;
      if (!this.#reportedFailure) {
        reporter.report({
          type: 'notice',
          code: 'checkpointFailed',
          level: 'error',
          text: `The checkpoint of step ${result.facts.step} could not be written (${result.error}). ${
            this.#isLast
              ? 'Training has ended, and its last state is still in memory: free some disk space within ten minutes. Earlier checkpoints are safe.'
              : 'Training continues; earlier checkpoints are safe. Free some disk space before the next checkpoint is due.'
          }`,
          step: result.facts.step,
        });
      }
      reporter.flush();
      this.#reportedFailure = true;
      return false;
    }
    this.#reportedFailure = false;
    this.#parent = result.facts.id;
    reporter.report({ type: 'checkpoint', step: result.facts.step, name: result.name });
    reporter.flush();
    pruneInbox(this.#setup.directory, this.#setup.monitor);
    return true;
  }
}

function positionOf({ step, epoch, batch, finished }: Progress): string {
  return `${step}/${epoch}/${batch}/${finished}`;
}

/**
 * Prunes the inbox: no daemon may take checkpoints for days, and the disk must not fill up. Checkpoints that a user
 * requested stay.
 */
export function pruneInbox(directory: SessionDirectory, monitor: Monitor): void {
  const names = directory.inbox();
  if (names.length <= KEPT_WITHOUT_DAEMON) return;
  const entries = names.flatMap((name) => {
    const facts = readFacts(join(directory.file('inbox'), name));
    return facts ? [{ name, facts }] : [];
  });
  entries.sort((a, b) => a.facts.step - b.facts.step || a.facts.createdAt - b.facts.createdAt);
  const diverged = ({ facts }: { facts: CheckpointFile }) => hasDiverged(monitor, (metric) => facts.metrics[metric]);
  const good = entries.filter((entry) => !diverged(entry));
  // A diverged checkpoint must not displace a good one.
  const kept = new Set([...good.slice(-KEPT_WITHOUT_DAEMON), ...entries.slice(-KEPT_WITHOUT_DAEMON)]);
  let bestValue: number | null = null;
  let best: (typeof entries)[number] | undefined;
  for (const entry of good) {
    const wire = entry.facts.metrics[monitor.metric];
    if (wire === undefined || !isBetter(monitor.mode, fromWireNumber(wire), bestValue)) continue;
    best = entry;
    bestValue = fromWireNumber(wire);
  }
  for (const entry of entries) {
    if (kept.has(entry) || entry === best || entry.facts.reasons.includes('request')) continue;
    discard(directory, entry.name);
  }
}

/** Discards a checkpoint. Renamed first: a daemon takes it completely, or finds nothing. */
function discard(directory: SessionDirectory, name: string): void {
  const hidden = join(directory.file('inbox'), `.tmp-${name}`);
  try {
    renameSync(join(directory.file('inbox'), name), hidden);
  } catch {
    return; // A daemon was faster.
  }
  rmSync(hidden, { recursive: true, force: true });
}

function readFacts(path: string): CheckpointFile | null {
  try {
    return JSON.parse(readFileSync(join(path, CHECKPOINT_FILE), 'utf8'));
  } catch {
    return null; // A daemon has claimed it since the listing.
  }
}
