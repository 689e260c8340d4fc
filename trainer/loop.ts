/** Runs the training loop: steps, epochs, and at each step boundary metrics, requests and checkpoints. */
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { isBetter, toWireNumbers } from '../protocol/numbers.ts';
import type { ExitRecord, Launch } from '../protocol/session.ts';
import { DivergenceWatch, type Finding } from '../session/divergence.ts';
import type { Reporter } from '../session/reporter.ts';
import type { Assembly } from './assemble.ts';
import type { Checkpoints } from './checkpoints.ts';
import { eachBatch } from './data.ts';
import { clipByGlobalNorm } from './optimizers.ts';
import { tf } from './tf.ts';

export type LoopEnd = Pick<ExitRecord, 'outcome' | 'reason' | 'trouble'>;

/** Interval of turns for the event loop, for signals and a dead writer; a turn at each step would cost too much. */
const YIELD_INTERVAL_MS = 20;
const LAST_STATE_NOT_SAVED =
  'trained to the end, but its last state could not be written: a resume repeats the steps after the newest checkpoint';
const CAP_CHECK_MS = 5_000;

export interface LoopSetup {
  assembly: Assembly;
  launch: Launch;
  reporter: Reporter;
  checkpoints: Checkpoints;
  /** Signal that asked to save and exit at the next boundary. */
  interrupted: { by: string | null };
}

interface Boundary {
  random: Assembly['progress']['random'];
  batch: number;
  samples: number;
  data: unknown;
  untrained: Map<string, Tensor>;
}

export class Loop {
  readonly #setup: LoopSetup;
  #lastYield = performance.now();
  #lastCap = performance.now();
  #stepStarted = performance.now();
  readonly #watch: DivergenceWatch;
  /** State that a failing step may have changed, as it was at the newest boundary. */
  #boundary: Boundary | null = null;
  #applying = false;
  /** Reasons for a checkpoint after the last batch of an epoch: it waits for the epoch's end, whose metrics belong to it. */
  #dueAtEnd: string[] = [];

  constructor(setup: LoopSetup) {
    this.#setup = setup;
    this.#watch = new DivergenceWatch(setup.launch, setup.assembly.progress.recentLosses);
  }

  async run(): Promise<LoopEnd> {
    const { assembly } = this.#setup;
    const { progress, epochs } = assembly;
    while (progress.epoch < epochs && !progress.finished) {
      const end = (await this.#epoch()) ?? (await this.#endOfEpoch());
      if (end) return end;
    }
    if (!(await this.#takeLast(['end'], this.#snapshot()))) return { outcome: 'failed', reason: LAST_STATE_NOT_SAVED };
    return { outcome: 'completed', reason: progress.finished ? `stopped early after epoch ${progress.epoch}` : '' };
  }

  /**
   * Saves the state of the last boundary after an error in the user's code, with the changes of the unfinished step
   * undone. Returns true if there is a checkpoint of it now.
   */
  async saveAfterError(): Promise<boolean> {
    if (this.#applying || !this.#boundary) return false;
    const { assembly } = this.#setup;
    if (assembly.progress.step === 0) return false;
    for (const [name, value] of this.#boundary.untrained) assembly.variables.get(name)!.assign(value);
    const { random, batch, samples, data } = this.#boundary;
    return this.#takeLast(['exception'], structuredClone({ ...assembly.progress, random, batch, samples, data }));
  }

  #takeLast(reasons: string[], state: Assembly['progress']): Promise<boolean> {
    const { checkpoints, interrupted, reporter } = this.#setup;
    const givesUp = () => interrupted.by !== null || reporter.request()?.stop === true;
    return checkpoints.takeLast(reasons, state, givesUp);
  }

  async #epoch(): Promise<LoopEnd | null> {
    const { assembly } = this.#setup;
    const { progress } = assembly;
    for (;;) {
      this.#rememberBoundary();
      const result = await this.#step();
      if (result === null) return null;
      progress.step++;
      const finding = this.#watch.look(progress.step, { loss: result.loss });
      progress.epochLoss.sum += result.loss;
      progress.epochLoss.count++;
      this.#log({ loss: result.loss, learning_rate: result.learningRate });
      const end = await this.#boundaryWork(null, false, finding);
      if (end) return end;
    }
  }

  /** Makes one optimizer step over up to `accumulate` batches. Returns null when the epoch has no more batches. */
  async #step(): Promise<{ loss: number; learningRate: number } | null> {
    const { feed, progress, accumulate, model, clipNorm, optimizer, learningRate } = this.#setup.assembly;
    let gradients: Map<string, Tensor> | null = null;
    let lossSum = 0;
    let count = 0;
    while (count < accumulate) {
      const batch = await feed.batch(progress.epoch, progress.batch);
      if (batch === null) break;
      const { value, grads } = tf.variableGrads(() => this.#setup.assembly.loss(batch), [...model.trainable.values()]);
      progress.batch++;
      progress.samples += batch.x.shape[0] ?? 1;
      gradients = addGradients(gradients, model.trainable, grads);
      lossSum += (await value.data())[0]!;
      count++;
      tf.dispose([value, batch.x, batch.y]);
    }
    if (gradients === null) return null;
    if (count > 1) divide(gradients, count);
    if (clipNorm !== null) clipByGlobalNorm(gradients, clipNorm);
    const rate = learningRate(progress.step);
    this.#applying = true;
    optimizer.apply(gradients, rate, progress.step + 1);
    this.#applying = false;
    tf.dispose([...gradients.values()]);
    return { loss: lossSum / count, learningRate: rate };
  }

  async #endOfEpoch(): Promise<LoopEnd | null> {
    const { assembly } = this.#setup;
    const { progress } = assembly;
    const values: Record<string, number> = {};
    if (progress.epochLoss.count > 0) values.epoch_loss = progress.epochLoss.sum / progress.epochLoss.count;
    if (assembly.evaluate) Object.assign(values, await this.#validate());
    this.#log(values);
    const isBest = this.#updateBest();
    this.#updateEarlyStopping();
    progress.epoch++;
    progress.batch = 0;
    progress.epochLoss = { sum: 0, count: 0 };
    this.#rememberBoundary();
    return this.#boundaryWork(progress.epoch, isBest, this.#watch.look(progress.step, values));
  }

  async #validate(): Promise<Record<string, number>> {
    const { data, batchSize, evaluate } = this.#setup.assembly;
    const sums: Record<string, number> = {};
    let samples = 0;
    for (const { size, batch } of eachBatch(data.validation!, batchSize)) {
      const { x, y } = await batch;
      const results = tf.tidy(() => evaluate!({ x, y })) as Record<string, Scalar>;
      for (const [name, value] of Object.entries(results))
        sums[name] = (sums[name] ?? 0) + (await value.data())[0]! * size;
      samples += size;
      tf.dispose([x, y, ...Object.values(results)]);
      this.#setup.checkpoints.pump(this.#stepMs());
    }
    return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / samples]));
  }

  /** Does the work between two steps. Returns the end of the session, if it ends. */
  async #boundaryWork(endOfEpoch: number | null, isBest: boolean, finding: Finding | null): Promise<LoopEnd | null> {
    const { checkpoints, reporter, launch, assembly } = this.#setup;
    const { progress } = assembly;
    reporter.flush();
    checkpoints.pump(this.#stepMs());
    const paused = finding && (await this.#handleFinding(finding));
    if (paused) return paused;
    if (launch.untilStep !== null && progress.step >= launch.untilStep && endOfEpoch === launch.untilEpoch) {
      await checkpoints.take(['verify'], this.#snapshot());
      return { outcome: 'completed', reason: 'verification' };
    }
    await this.#yieldToEventLoop();
    const requestEnd = await this.#answerRequest();
    if (requestEnd) return requestEnd;
    // A checkpoint with NaN would push better ones out of the retention.
    const reasons = this.#watch.diverged ? [] : checkpoints.due(progress.step, endOfEpoch, isBest);
    if (launch.purpose === 'train') await this.#takeDue(reasons, endOfEpoch !== null);
    return null;
  }

  async #takeDue(reasons: readonly string[], isEndOfEpoch: boolean): Promise<void> {
    const { checkpoints, assembly } = this.#setup;
    if (!isEndOfEpoch && assembly.progress.batch === assembly.feed.batches) {
      this.#dueAtEnd = [...reasons];
      return;
    }
    const all = [...new Set([...(isEndOfEpoch ? this.#dueAtEnd : []), ...reasons])];
    this.#dueAtEnd = [];
    if (all.length === 0) return;
    // The state of the best value exists only now, so the checkpoint under way is finished first.
    if (all.includes('best')) await checkpoints.settle();
    checkpoints.start(all, this.#snapshot());
  }

  async #answerRequest(): Promise<LoopEnd | null> {
    const { reporter, checkpoints, interrupted, assembly } = this.#setup;
    const { step } = assembly.progress;
    if (interrupted.by) {
      await checkpoints.take(['signal'], this.#snapshot());
      return { outcome: 'paused', reason: `ended by ${interrupted.by}` };
    }
    const request = reporter.request();
    if (!request) return null;
    const reason = request.stop ? 'stop' : request.pause ? 'pause' : 'request';
    const saved = await checkpoints.take([reason], this.#snapshot());
    if (reason !== 'request' && !saved) {
      reporter.answer(request, step);
      if (reason === 'pause') return null; // Without a checkpoint a pause would lose work: the training goes on.
    }
    reporter.answer(request, step);
    if (request.stop) return { outcome: 'stopped', reason: 'stopped by request' };
    if (request.pause) return { outcome: 'paused', reason: 'paused by request' };
    return null;
  }

  /**
   * Reports a finding, and pauses if the job asks for that. Does not save a diverged state: resuming from it is
   * useless.
   */
  async #handleFinding({ code, what, step, isNews, pauses }: Finding): Promise<LoopEnd | null> {
    const { reporter, checkpoints, launch } = this.#setup;
    const { diverged } = this.#watch;
    if (isNews) {
      const next = diverged
        ? ' Automatic checkpoints wait until it is finite again. `trainstash resume` continues from the newest good one; consider a smaller learning rate.'
        : '';
      reporter.report({
        type: 'notice',
        code,
        level: code === 'nan' ? 'error' : 'warning',
        step,
        text: `${what}.${next}`,
      });
    }
    if (!pauses) return null;
    if (diverged) await checkpoints.settle();
    // Without a checkpoint a pause would lose work: the training continues.
    else if (!(await checkpoints.take([launch.rollback[code] ? code : 'pause'], this.#snapshot()))) return null;
    return { outcome: 'paused', reason: what, trouble: { code, step, what } };
  }

  #log(values: Record<string, number>): void {
    const { launch, reporter, assembly } = this.#setup;
    Object.assign(assembly.progress.metrics, values);
    if (launch.purpose !== 'train') return;
    reporter.report({
      type: 'metrics',
      step: assembly.progress.step,
      epoch: assembly.progress.epoch,
      values: toWireNumbers(values),
    });
  }

  #updateBest(): boolean {
    const { monitor, progress } = this.#setup.assembly;
    const value = progress.metrics[monitor.metric];
    if (value === undefined || !isBetter(monitor.mode, value, progress.best?.value ?? null)) return false;
    progress.best = { value, step: progress.step };
    return true;
  }

  #updateEarlyStopping(): void {
    const { earlyStopping: rule, progress } = this.#setup.assembly;
    const value = rule && progress.metrics[rule.monitor.metric];
    if (!rule || value === undefined || value === null) return;
    const isMin = rule.monitor.mode === 'min';
    const worst = isMin ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    const { value: recorded, waited } = progress.earlyStopping ?? { value: worst, waited: -1 };
    // Earlier versions recorded NaN as the value to improve on.
    const best = Number.isNaN(recorded) ? worst : recorded;
    const gain = isMin ? best - value : value - best;
    if (Number.isFinite(value) && gain > rule.minDelta) progress.earlyStopping = { value, waited: 0 };
    else progress.earlyStopping = { value: best, waited: waited + 1 };
    if (progress.earlyStopping.waited > rule.patience) progress.finished = true;
  }

  /** Copies the present progress. */
  #snapshot(): Assembly['progress'] {
    const { progress, random, feed } = this.#setup.assembly;
    progress.random = random.state;
    progress.data = feed.state() ?? null;
    return structuredClone(progress);
  }

  #rememberBoundary(): void {
    const { assembly } = this.#setup;
    tf.dispose([...(this.#boundary?.untrained.values() ?? [])]);
    const untrained = new Map<string, Tensor>();
    for (const [name, variable] of assembly.model.variables) {
      if (!assembly.model.trainable.has(name)) untrained.set(`model/${name}`, tf.reshape(variable, variable.shape));
    }
    const { batch, samples } = assembly.progress;
    this.#boundary = { random: assembly.random.state, batch, samples, data: assembly.feed.state() ?? null, untrained };
  }

  #stepMs(): number {
    const now = performance.now();
    const elapsed = now - this.#stepStarted;
    this.#stepStarted = now;
    return elapsed;
  }

  async #yieldToEventLoop(): Promise<void> {
    const now = performance.now();
    if (now - this.#lastYield < YIELD_INTERVAL_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#lastYield = performance.now();
    if (now - this.#lastCap > CAP_CHECK_MS) {
      this.#lastCap = now;
      this.#setup.reporter.capOutput();
    }
  }
}

/** Sums gradients by stable name, and disposes of those that it no longer needs. */
function addGradients(
  sum: Map<string, Tensor> | null,
  trainable: ReadonlyMap<string, { name: string }>,
  grads: Record<string, Tensor>,
): Map<string, Tensor> {
  const result = new Map<string, Tensor>();
  for (const [name, variable] of trainable) {
    const gradient = grads[variable.name];
    if (!gradient) continue;
    const before = sum?.get(name);
    if (!before) result.set(name, gradient);
    else {
      result.set(name, tf.add(before, gradient));
      tf.dispose([before, gradient]);
    }
  }
  return result;
}

function divide(gradients: Map<string, Tensor>, count: number): void {
  for (const [name, gradient] of gradients) {
    gradients.set(name, tf.div(gradient, count));
    gradient.dispose();
  }
}
