/**
 * Entry of the runner of a command: `runner.js <session directory>`. With `leftovers` as second argument, it only takes
 * in what the command had saved when its runner died. It starts the command in a terminal, observes it from outside,
 * and records how it ended. A script that uses the Python package reports for itself. For any other script the runner
 * takes the checkpoint files that it saves, and the metrics that it prints or writes for TensorBoard.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HeldLock } from '../base/lock.ts';
import { toWire } from '../protocol/errors.ts';
import { toWireNumbers } from '../protocol/numbers.ts';
import type { ExitRecord, Launch, LaunchCommand } from '../protocol/session.ts';
import { isCrash } from '../protocol/status.ts';
import { SessionDirectory } from '../session/directory.ts';
import { outcomeOf } from '../session/ending.ts';
import { commandEnvironment, realCommand } from '../session/launch.ts';
import { LEFTOVERS, SEEN_ALIVE } from '../session/leftovers.ts';
import { MediaWriter, maskedMedia } from '../session/media.ts';
import { Reporter } from '../session/reporter.ts';
import { retryUntil } from '../session/retry.ts';
import { UsageSampler } from '../session/usage/sampler.ts';
import { Alarm } from './alarm.ts';
import { Collector, type ScanResult } from './collector.ts';
import { machineFacts } from './environment.ts';
import { History } from './history.ts';
import { inContainer } from './in-container.ts';
import { takeLeftovers } from './leftovers.ts';
import { readMetricLine } from './lines.ts';
import { Looker } from './looker.ts';
import { MemoryWatch } from './memory.ts';
import { Output } from './output.ts';
import { usesPackage } from './package-use.ts';
import { Progress } from './progress.ts';
import { reasonOf } from './reason.ts';
import { watchRequests } from './requests.ts';
import { type CommandExit, type RunningCommand, startCommand } from './terminal.ts';

const LOCK_WAIT_MS = 5_000;
const LOOK_MS = 1_000;
const SOON_MS = 100;
/** Deferrable work yields to the script's output after this time. */
const AT_ONCE_MS = 5;
/** The share of one processor that scanning may use, normally and while a file is about to be taken. */
const LOOK_SHARE = 0.02;
const WAITING_SHARE = 0.1;
/**
 * The Python package raises this error when it cannot load a checkpoint's state; another try would end in the same way.
 */
const RESUME_ERROR = 'trainstash.ResumeError';
/** The signals that the command is to receive too. Slurm is often told to send one of the last two before it ends a job. */
const PASSED_ON = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
const UNFORESEEN = { code: 'internal', data: {} };
const NOTHING_FOUND: ScanResult = { soonestMs: null, tookMs: 0 };
const HERE = dirname(fileURLToPath(import.meta.url));

async function main(path: string): Promise<number> {
  const directory = new SessionDirectory(path);
  const launch = directory.launch();
  if (!launch?.command) {
    console.error(`${path} contains no command to run. Start one with \`trainstash run -- COMMAND\`.`);
    return 2;
  }
  if (existsSync(directory.file('exit'))) {
    console.error(`${path} has ended already; resume its run instead.`);
    return 2;
  }
  const lock = await HeldLock.acquire(directory.file('lock'), LOCK_WAIT_MS);
  if (!lock) {
    console.error(`${path} is already being run by another process.`);
    return 2;
  }
  if (process.argv[3] === LEFTOVERS) {
    await takeLeftovers(directory, launch, launch.command, { runtime: HERE, wasSeen: process.argv[4] === SEEN_ALIVE });
    lock.release();
    return 0;
  }
  directory.writeProcess();
  const reporter = new Reporter(directory, 'runnerEvents');
  const runner = new Runner(directory, launch, launch.command, reporter);
  for (const signal of PASSED_ON) process.on(signal, () => runner.interrupt(signal));
  let record: ExitRecord;
  try {
    record = await runner.run();
  } catch (error) {
    const wire = toWire(error);
    record = { outcome: 'failed', step: runner.step, at: Date.now(), reason: wire.message, error: wire };
  }
  // The last events may have to wait for disk space, too.
  reporter.flush();
  await retryUntil(
    () => directory.writeExit(record),
    () => runner.isInterrupted || directory.isGone,
  );
  reporter.close();
  lock.release();
  return isCrash(record.outcome) ? 1 : 0;
}

class Runner {
  readonly #directory: SessionDirectory;
  readonly #launch: Launch;
  readonly #command: LaunchCommand;
  readonly #reporter: Reporter;
  #lookTimer: NodeJS.Timeout | null = null;
  #running: RunningCommand | null = null;
  #isOver = false;
  #memory: MemoryWatch | null = null;
  #collector: Collector | null = null;
  #looker: Looker | null = null;
  #totalSteps: number | null = null;
  readonly #history: History;
  /** The look in progress; only one runs at a time. */
  #looking: Promise<void> = Promise.resolve();
  #requested: 'paused' | 'stopped' | null = null;
  #interrupted: string | null = null;
  /** The looking failures already reported. */
  readonly #failuresReported = new Set<string>();
  readonly #progress: Progress;
  readonly #alarm: Alarm;
  readonly #media: MediaWriter;

  constructor(directory: SessionDirectory, launch: Launch, command: LaunchCommand, reporter: Reporter) {
    this.#directory = directory;
    this.#launch = launch;
    this.#command = command;
    this.#reporter = reporter;
    this.#progress = new Progress(launch.resume?.step ?? 0);
    this.#history = new History(launch.resume?.step ?? 0, (...reported) => this.#metric(...reported));
    this.#alarm = new Alarm(launch);
    this.#media = new MediaWriter(directory);
  }

  get step(): number {
    return this.#progress.now.step;
  }

  get isInterrupted(): boolean {
    return this.#interrupted !== null;
  }

  /** Passes the signal on to the command, which decides itself how to end. */
  interrupt(signal: NodeJS.Signals): void {
    this.#interrupted = signal;
    this.#running?.signal(signal);
  }

  async run(): Promise<ExitRecord> {
    const { root } = this.#launch;
    const looker = new Looker(HERE, { root, dir: this.#command.dir, checkpoints: this.#command.checkpoints });
    this.#looker = looker;
    looker.start();
    const { words, env } = realCommand() ?? this.#command;
    const environment = { ...machineFacts(), ...this.#command.facts };
    this.#collector = new Collector({
      directory: this.#directory,
      root,
      command: this.#command,
      environment,
      parent: this.#launch.resume?.checkpoint ?? null,
      looker,
      progress: this.#progress,
      taken: (facts, { totalSteps }) => {
        const { step, id } = facts;
        this.#alarm.recordCheckpoint(facts);
        this.#reporter.report({ type: 'checkpoint', step, name: id });
        if (totalSteps !== null && totalSteps !== this.#totalSteps)
          this.#reporter.report({ type: 'plan', totalSteps, stepsPerEpoch: null });
        this.#totalSteps = totalSteps ?? this.#totalSteps;
        this.#reporter.flush();
      },
      logged: (history, time) => this.#history.record(history, time),
      notice: (code, text) => this.#notice(code, text),
    });
    await this.#recordExisting();
    const output = new Output(this.#directory, (line) => this.#onLine(line));
    const packages = join(HERE, 'python');
    const variables = commandEnvironment(process.env, this.#directory, env, packages);
    const { container } = this.#command;
    const contained =
      container && inContainer(container, this.#launch, this.#directory, { words, variables, packages });
    const running = await startCommand({
      words: (contained ?? words) as [string, ...string[]],
      cwd: this.#command.cwd,
      environment: variables,
      data: (bytes) => output.take(bytes),
    });
    this.#running = running;
    this.#directory.writeProcess(running.pid);
    this.#memory = new MemoryWatch(running.pid);
    const usage = new UsageSampler({ directory: this.#directory, leader: running.pid, root, environment: variables });
    this.#reporter.report({
      type: 'started',
      step: this.step,
      epoch: 0,
      totalSteps: null,
      stepsPerEpoch: null,
      environment,
      monitor: this.#launch.monitor,
      params: this.#launch.params,
      cooperative: false,
      expectsPackage: this.#command.usesPackage || usesPackage(words, this.#command.cwd),
    });
    this.#reporter.flush();
    const requests = watchRequests(this.#directory, {
      control: () => this.#handleControl(),
      input: () => this.#forwardInput(),
    });
    this.#scheduleLook(LOOK_MS);
    const exit = await running.exited;
    requests.close();
    usage.close();
    this.#isOver = true;
    if (this.#lookTimer) clearTimeout(this.#lookTimer);
    output.close();
    await this.#looking;
    await this.#look(true);
    looker.close();
    return this.#record(exit, output.tail());
  }

  /** Returns true once the script writes events of its own: it uses the package, which knows more than the runner. */
  #usesPackage(): boolean {
    return existsSync(this.#directory.file('events'));
  }

  /** Records the existing files and events, which do not belong to the run. */
  async #recordExisting(): Promise<void> {
    try {
      await this.#looker!.events();
      await this.#collector!.begin();
    } catch (error) {
      this.#reportLookFailure(error as Error);
    }
  }

  #scheduleLook(ms: number): void {
    if (this.#isOver) return;
    this.#lookTimer = setTimeout(() => {
      this.#looking = this.#look(false).then(({ soonestMs, tookMs }) => {
        const rest = Math.max(LOOK_MS, tookMs / LOOK_SHARE);
        // Looks again soon, so as not to miss a file that is stable only for a moment.
        const soon = Math.max(SOON_MS, soonestMs ?? rest, tookMs / WAITING_SHARE);
        this.#scheduleLook(Math.min(rest, soon));
      });
    }, ms);
  }

  async #look(ended: boolean): Promise<ScanResult> {
    if (this.#usesPackage()) {
      this.#looker!.close();
      return NOTHING_FOUND;
    }
    try {
      await this.#takeEvents();
      return await this.#collector!.look(ended);
    } catch (error) {
      this.#reportLookFailure(error as Error);
      return NOTHING_FOUND;
    }
  }

  #reportLookFailure({ message }: Error): void {
    if (this.#failuresReported.has(message)) return;
    this.#failuresReported.add(message);
    this.#notice('files', `The script's files could not be scanned: ${message}.`);
  }

  async #takeEvents(): Promise<void> {
    let since = performance.now();
    const { scalars, media } = await this.#looker!.events();
    for (const { tag, step, time, kind, content } of media) {
      const text = this.#media.add({ t: time, step, name: tag.slice(0, 200), kind }, maskedMedia(kind, content));
      if (text !== null) this.#notice('media', text);
    }
    for (const { tag, step, time, value } of scalars) {
      this.#history.silence();
      this.#metric(time, step, null, { [tag]: value });
      if (performance.now() - since < AT_ONCE_MS) continue;
      // Lets the script's output go first.
      await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    }
    this.#reporter.flush();
  }

  #onLine(line: string): void {
    const printed = readMetricLine(line);
    if (!printed || this.#usesPackage()) return;
    this.#history.silence();
    this.#metric(Date.now(), printed.step, printed.epoch, printed.values);
    this.#reporter.flush();
  }

  #metric(time: number, step: number | null, epoch: number | null, values: Record<string, number>): void {
    const current = this.#progress.record(time, step, epoch, values);
    const place = this.#progress.placeOf(step, epoch);
    this.#reporter.report({
      type: 'metrics',
      step: place,
      epoch: this.#progress.now.epoch,
      values: toWireNumbers(values),
    });
    const warning = this.#alarm.look(place, current);
    if (!warning) return;
    const { code, level, text, ends } = warning;
    this.#reporter.report({ type: 'notice', code, level, text, step: place });
    if (ends && this.#requested === null) this.#end('paused');
  }

  #handleControl(): void {
    if (this.#usesPackage()) return;
    const control = this.#reporter.request();
    // The package will see and answer it.
    if (!control || control.forPackage) return;
    this.#reporter.answer(control, this.step);
    // The person who asked knows what is lost.
    if (control.pause || control.stop) this.#end(control.pause ? 'paused' : 'stopped');
    else if (control.checkpoint)
      this.#notice(
        'cannotSave',
        'This script saves only by itself. Its next checkpoint file is taken in when it appears.',
      );
  }

  /** Never sends SIGKILL, which is for `stop --force`. */
  #end(as: 'paused' | 'stopped'): void {
    this.#requested = as;
    this.#running?.signal('SIGTERM');
  }

  #forwardInput(): void {
    for (const input of this.#directory.takeInput()) {
      if ('text' in input) this.#running?.write(input.text);
      else this.#running?.resize(input.columns, input.rows);
    }
  }

  #notice(code: string, text: string): void {
    this.#reporter.report({ type: 'notice', code, level: 'warning', text, step: this.step });
    this.#reporter.flush();
  }

  #record({ code, signal }: CommandExit, output: string): ExitRecord {
    const own = this.#directory.exit();
    if (own) return own;
    const end = (outcome: ExitRecord['outcome'], reason: string): ExitRecord => ({
      outcome,
      reason,
      step: this.step,
      at: Date.now(),
      error: null,
    });
    const { words } = this.#command;
    const outOfMemory = code !== 0 && (this.#memory?.wasKilled ?? false);
    const reason = reasonOf({ code, signal, output, words, outOfMemory, interruptedBy: this.#interrupted });
    const outcome = outcomeOf(reason.end, this.#requested);
    if (outcome === 'completed') return end(outcome, '');
    if (this.#requested) return { ...end(outcome, this.#alarm.reason()), trouble: this.#alarm.trouble };
    if (outcome !== 'failed') return end(outcome, reason.text);
    const error = reason.errorClass === RESUME_ERROR ? { code: 'stateMismatch', data: { problems: [] } } : UNFORESEEN;
    return { ...end(outcome, reason.text), error: { ...error, message: reason.text } };
  }
}

process.exitCode = await main(process.argv[2] ?? '');
process.exit();
