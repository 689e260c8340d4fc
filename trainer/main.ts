/** Entry of the trainer process: `trainer.js <session directory>`. It is its own runner and needs no daemon. */
import { existsSync } from 'node:fs';
import { HeldLock } from '../base/lock.ts';
import { toWire } from '../protocol/errors.ts';
import type { ExitRecord, Launch } from '../protocol/session.ts';
import { SessionDirectory } from '../session/directory.ts';
import { Reporter } from '../session/reporter.ts';
import { retryUntil } from '../session/retry.ts';
import { UsageSampler } from '../session/usage/sampler.ts';
import { assemble } from './assemble.ts';
import type { Backend } from './backends/backend.ts';
import { startBackend } from './backends/start.ts';
import { Capturer } from './capture.ts';
import { Checkpoints } from './checkpoints.ts';
import { exportModel } from './export.ts';
import { Loop, type LoopEnd } from './loop.ts';
import { loadTraining } from './module.ts';
import { wireParams } from './params.ts';
import { tf } from './tf.ts';

const LOCK_WAIT_MS = 5_000;

async function main(path: string): Promise<number> {
  const directory = new SessionDirectory(path);
  const launch = directory.launch();
  if (!launch) {
    console.error(`${path} has no launch file that this version understands. Start trainings with \`trainstash run\`.`);
    return 2;
  }
  if (existsSync(directory.file('exit'))) {
    console.error(`${path} has ended already; resume its run instead.`);
    return 2;
  }
  const lock = await HeldLock.acquire(directory.file('lock'), LOCK_WAIT_MS);
  if (!lock) {
    console.error(`${path} is being trained by another process.`);
    return 2;
  }
  directory.writeProcess();
  const reporter = new Reporter(directory);
  const session = new TrainingSession(directory, launch, reporter);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => session.interrupt(signal));
  const crashed = new Promise<never>((_, reject) => {
    process.on('uncaughtException', reject);
    process.on('unhandledRejection', reject);
  });
  const usage = new UsageSampler({ directory, leader: process.pid, root: launch.root, environment: process.env });
  let record: ExitRecord;
  try {
    record = exitRecord(await Promise.race([session.run(), crashed]), session.step);
  } catch (error) {
    console.error(error);
    const saved = await session.saveAfterError().catch(() => false);
    record = failure(error, session.step, saved);
  }
  usage.close();
  // The last events may also have to wait for disk space.
  reporter.flush();
  await retryUntil(
    () => directory.writeExit(record),
    () => session.isInterrupted || directory.isGone,
  );
  reporter.close();
  await session.close().catch(() => {});
  lock.release();
  return record.outcome === 'failed' ? 1 : 0;
}

class TrainingSession {
  readonly #directory: SessionDirectory;
  readonly #launch: Launch;
  readonly #reporter: Reporter;
  readonly #interrupted: { by: string | null } = { by: null };
  #memory: Backend['memory'] | null = null;
  #capturer: Capturer | null = null;
  #loop: Loop | null = null;
  #progress: { step: number } = { step: 0 };

  constructor(directory: SessionDirectory, launch: Launch, reporter: Reporter) {
    this.#directory = directory;
    this.#launch = launch;
    this.#reporter = reporter;
    this.#progress.step = launch.resume?.step ?? 0;
  }

  get step(): number {
    return this.#progress.step;
  }

  get isInterrupted(): boolean {
    return this.#interrupted.by !== null;
  }

  interrupt(signal: string): void {
    this.#interrupted.by = signal;
  }

  async run(): Promise<LoopEnd> {
    const launch = this.#launch;
    const backend = await startBackend(launch.backend, launch.backendOptions);
    this.#memory = backend.memory;
    const training = await loadTraining(launch.cwd, launch.module);
    const assembly = await assemble(training, launch, backend, this.#directory.path);
    this.#progress = assembly.progress;
    if (launch.exportAs) {
      await exportModel(assembly, launch, this.#directory.file('export'));
      return { outcome: 'completed', reason: '' };
    }
    const environment = {
      ...backend.environment,
      ...(assembly.dataFingerprint ? { data: assembly.dataFingerprint } : {}),
    };
    this.#reporter.report({
      type: 'started',
      step: assembly.progress.step,
      epoch: assembly.progress.epoch,
      totalSteps: assembly.context.totalSteps || null,
      stepsPerEpoch: assembly.context.stepsPerEpoch || null,
      environment,
      monitor: assembly.monitor,
      params: wireParams(assembly.params),
      cooperative: true,
    });
    this.#reportOtherBackend(backend.name);
    for (const text of assembly.model.warnings)
      this.#reporter.report({ type: 'notice', code: 'model', level: 'warning', text, step: null });
    this.#reporter.flush();
    this.#capturer = new Capturer(backend, this.#directory, new URL('./writer-thread.js', import.meta.url));
    const checkpoints = new Checkpoints(
      {
        directory: this.#directory,
        reporter: this.#reporter,
        capturer: this.#capturer,
        policy: launch.checkpoint,
        environment,
        data: assembly.dataFingerprint
          ? { fingerprint: assembly.dataFingerprint, samples: assembly.feed.samples }
          : null,
        monitor: assembly.monitor,
        parent: launch.resume?.checkpoint ?? null,
        state: () => [...assembly.variables].map(([name, tensor]) => ({ name, tensor })),
      },
      assembly.progress.step,
    );
    this.#loop = new Loop({ assembly, launch, reporter: this.#reporter, checkpoints, interrupted: this.#interrupted });
    const { memory } = backend;
    // A failed device may never answer what the loop waits for.
    return memory.kind === 'device' ? Promise.race([this.#loop.run(), memory.failed]) : this.#loop.run();
  }

  /**
   * Reports a resume on another backend, which rounds differently: the result is not the one that the first backend
   * would have given.
   */
  #reportOtherBackend(backend: string): void {
    const { resume } = this.#launch;
    if (!resume?.expected.backend || resume.expected.backend === backend) return;
    this.#reporter.report({
      type: 'notice',
      code: 'continuesFrom',
      level: 'info',
      text: `Continues from step ${resume.step} of ${resume.expected.backend} on ${backend}: the same weights and data, but not the same bits that ${resume.expected.backend} would have given.`,
      step: resume.step,
    });
  }

  /** Saves after an error, unless a device has failed: its results may be wrong. */
  async saveAfterError(): Promise<boolean> {
    if (this.#memory?.kind === 'device') {
      const isReliable = await this.#memory.settle().then(
        () => true,
        () => false,
      );
      if (!isReliable) return false;
    }
    return this.#loop?.saveAfterError() ?? Promise.resolve(false);
  }

  async close(): Promise<void> {
    await this.#capturer?.close();
    tf.disposeVariables();
  }
}

function exitRecord(end: LoopEnd, step: number): ExitRecord {
  return { ...end, step, at: Date.now(), error: null };
}

function failure(error: unknown, step: number, saved: boolean): ExitRecord {
  const wire = toWire(error);
  const kept = saved ? ` The state at step ${step} was saved.` : '';
  const stack = error instanceof Error ? error.stack : undefined;
  return {
    outcome: 'failed',
    reason: `${wire.code === 'internal' ? wire.message.replace(/^Unexpected: /, '') : wire.message}${kept}`,
    step,
    at: Date.now(),
    error: { code: wire.code, message: wire.message, data: wire.data, ...(stack ? { stack } : {}) },
  };
}

process.exitCode = await main(process.argv[2] ?? '');
process.exit();
