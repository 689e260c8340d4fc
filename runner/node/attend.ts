/**
 * Attends a command in the foreground: starts it as a child, records what it prints, passes signals on, and records how it ended.
 * It needs no terminal, no database and no other process, so it runs on any node.
 */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Watch } from '../../base/watch.ts';
import { toWireNumbers } from '../../protocol/numbers.ts';
import type { ExitRecord, Launch } from '../../protocol/session.ts';
import { SUPERSEDED_FILE } from '../../protocol/task.ts';
import type { SessionDirectory } from '../../session/directory.ts';
import { outcomeOf } from '../../session/ending.ts';
import { commandEnvironment, type RealCommand } from '../../session/launch.ts';
import { Reporter } from '../../session/reporter.ts';
import { retryUntil } from '../../session/retry.ts';
import { UsageSampler } from '../../session/usage/sampler.ts';
import { Alarm } from '../alarm.ts';
import { machineFacts } from '../environment.ts';
import { inContainer } from '../in-container.ts';
import { readMetricLine } from '../lines.ts';
import { MemoryWatch } from '../memory.ts';
import { Output } from '../output.ts';
import { usesPackage } from '../package-use.ts';
import { Progress } from '../progress.ts';
import { reasonOf } from '../reason.ts';
import { watchControl } from '../requests.ts';

/** Signals by which schedulers and people ask a training to end. The first two come before its time. */
const SIGNALS = ['SIGTERM', 'SIGUSR2', 'SIGUSR1', 'SIGHUP', 'SIGINT'] as const;
const ALIVE_MS = 5_000;
/** Part of the grace that is kept for the record of the end. */
const RESERVE_SECONDS = 5;
/** The Python package raises this error when it cannot load a checkpoint's state. */
const RESUME_ERROR = 'trainstash.ResumeError';

export interface Attended {
  directory: SessionDirectory;
  launch: Launch;
  /** Words and variables with the secrets that must not be on disk; null: those in the launch. */
  real: RealCommand | null;
  /** Folder with the Python package. */
  packages: string;
  /** Seconds between a signal and the kill; 0: nobody kills. */
  graceSeconds: number;
  /** True for the process of a step that records; the others of other nodes only start the command. */
  records: boolean;
  /** Number of this process among those of the nodes. */
  rank: number;
}

/** Result of a command: how it ended, and the signal that it was ended by before its time. */
export interface Attendance {
  record: ExitRecord;
  signal: NodeJS.Signals | null;
  /** True if a later life has begun elsewhere, and asked for the end of this one. */
  isSuperseded: boolean;
}

/** Runs the command to its end. Rejects if it cannot be started. */
export async function attend(setup: Attended): Promise<Attendance> {
  const attendant = new Attendant(setup);
  try {
    return await attendant.run();
  } finally {
    attendant.dispose();
  }
}

class Attendant {
  readonly #setup: Attended;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #progress: Progress;
  readonly #alarm: Alarm;
  #reporter: Reporter | null = null;
  #requests: Watch | null = null;
  #pid = 0;
  #signal: NodeJS.Signals | null = null;
  #requested: 'paused' | 'stopped' | null = null;
  #waitsForPackage = false;
  #isSuperseded = false;
  readonly #onSignal = (signal: NodeJS.Signals) => this.#interrupt(signal);

  constructor(setup: Attended) {
    this.#setup = setup;
    this.#progress = new Progress(setup.launch.resume?.step ?? 0);
    this.#alarm = new Alarm(setup.launch);
  }

  async run(): Promise<Attendance> {
    const { directory, launch, records, packages, real } = this.#setup;
    const command = launch.command!;
    const { words: given, env } = real ?? command;
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    const variables = commandEnvironment(process.env, directory, env, packages);
    const { container } = command;
    const words = container ? given : onThisNode(given, variables.PATH ?? '');
    const started = container ? inContainer(container, launch, directory, { ...this.#setup, words, variables }) : words;
    this.#waitsForPackage = command.usesPackage || usesPackage(words, command.cwd);
    const output = records ? new Output(directory, (line) => this.#onLine(line)) : null;
    const [program, ...rest] = withParentsDeath(started, variables.PATH ?? '');
    const child = spawn(program!, rest, {
      cwd: command.cwd,
      env: variables,
      stdio: ['ignore', 'pipe', 'pipe'],
      // In a group of its own, all of which is killed when the grace is over.
      detached: true,
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => {
        output?.take(bytes);
        process.stdout.write(bytes);
      });
    const ended = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    // A failure to start is awaited below.
    ended.catch(() => {});
    this.#pid = child.pid ?? 0;
    if (this.#signal) this.#passOn(this.#signal);
    const memory = this.#pid ? new MemoryWatch(this.#pid) : null;
    const usage = records && this.#pid ? this.#record(variables) : null;
    try {
      const exit = await ended;
      const record = this.#recordOf(exit, words, output?.tail() ?? '', memory?.wasKilled ?? false);
      return {
        record,
        signal: record.outcome === 'completed' ? null : this.#signal,
        isSuperseded: this.#isSuperseded,
      };
    } finally {
      usage?.close();
      output?.close();
    }
  }

  dispose(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#requests?.close();
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    this.#reporter?.close();
  }

  /** Begins the records of the session. */
  #record(environment: Record<string, string>): UsageSampler {
    const { directory, launch } = this.#setup;
    directory.writeProcess(this.#pid);
    this.#reporter = new Reporter(directory, 'runnerEvents');
    this.#reporter.report({
      type: 'started',
      step: this.#progress.now.step,
      epoch: 0,
      totalSteps: null,
      stepsPerEpoch: null,
      environment: { ...machineFacts(), ...launch.command!.facts },
      monitor: launch.monitor,
      params: launch.params,
      cooperative: false,
      expectsPackage: this.#waitsForPackage,
    });
    this.#reporter.flush();
    this.#requests = watchControl(directory, () => this.#handleControl());
    this.#touch();
    this.#timers.push(setInterval(() => this.#touch(), ALIVE_MS));
    return new UsageSampler({ directory, leader: this.#pid, root: launch.root, environment });
  }

  /** Says that this process lives, by the clock of the file system alone: nodes' clocks differ. */
  #touch(): void {
    if (!this.#isSuperseded && existsSync(join(this.#setup.directory.path, SUPERSEDED_FILE))) {
      this.#isSuperseded = true;
      this.#interrupt('SIGTERM');
    }
    try {
      // Written, and not given a time: that would be this node's.
      writeFileSync(this.#setup.directory.file('alive'), '1');
    } catch {
      // A full disk: others then see it less alive than it is, and ask the scheduler.
    }
  }

  get #usesPackage(): boolean {
    return existsSync(this.#setup.directory.file('events'));
  }

  #onLine(line: string): void {
    const printed = readMetricLine(line);
    if (!printed || !this.#reporter || this.#usesPackage) return;
    const { step, epoch, values } = printed;
    const current = this.#progress.record(Date.now(), step, epoch, values);
    const place = this.#progress.placeOf(step, epoch);
    this.#reporter.report({
      type: 'metrics',
      step: place,
      epoch: this.#progress.now.epoch,
      values: toWireNumbers(values),
    });
    const warning = this.#alarm.look(place, current);
    if (warning) {
      const { code, level, text, ends } = warning;
      this.#reporter.report({ type: 'notice', code, level, text, step: place });
      if (ends && this.#requested === null) this.#end('paused');
    }
    this.#reporter.flush();
  }

  #handleControl(): void {
    if (this.#usesPackage || !this.#reporter) return;
    const control = this.#reporter.request();
    if (!control || control.forPackage) return;
    this.#reporter.answer(control, this.#progress.now.step);
    if (control.pause || control.stop) this.#end(control.pause ? 'paused' : 'stopped');
  }

  #end(as: 'paused' | 'stopped'): void {
    this.#requested = as;
    this.#kill('SIGTERM');
  }

  /** Passes a signal on, and kills what has not ended shortly before the scheduler would. */
  #interrupt(signal: NodeJS.Signals): void {
    if (this.#signal === null) {
      const wait = Math.max(1, this.#setup.graceSeconds - RESERVE_SECONDS);
      if (this.#setup.graceSeconds > 0)
        this.#timers.push(setTimeout(() => this.#kill('SIGKILL'), wait * 1000) as NodeJS.Timeout);
    }
    this.#signal ??= signal;
    if (this.#pid) this.#passOn(signal);
  }

  /** A script without the package knows nothing of the signals that schedulers send before the time limit. */
  #passOn(signal: NodeJS.Signals): void {
    const isKnown = this.#waitsForPackage || this.#usesPackage || signal === 'SIGINT';
    this.#kill(isKnown ? signal : 'SIGTERM');
  }

  #kill(signal: NodeJS.Signals): void {
    for (const target of [-this.#pid, this.#pid]) {
      try {
        process.kill(target, signal);
        return;
      } catch {
        // Its group is not there yet, or it has ended.
      }
    }
  }

  #recordOf(
    exit: { code: number | null; signal: string | null },
    words: readonly string[],
    output: string,
    outOfMemory: boolean,
  ): ExitRecord {
    const own = this.#setup.directory.exit();
    if (own) return own;
    const end = (outcome: ExitRecord['outcome'], reason: string): ExitRecord => ({
      outcome,
      reason,
      step: this.#progress.now.step,
      at: Date.now(),
      error: null,
    });
    const reason = reasonOf({ ...exit, words, output, outOfMemory, interruptedBy: this.#signal });
    const outcome = outcomeOf(reason.end, this.#requested);
    if (outcome === 'completed' && this.#signal === null) return end(outcome, '');
    if (this.#requested) return { ...end(outcome, this.#alarm.reason()), trouble: this.#alarm.trouble };
    if (this.#signal !== null && outcome !== 'stopped')
      return end('lost', reason.text || `ended after ${this.#signal}`);
    if (outcome !== 'failed') return end(outcome, reason.text);
    const known = reason.errorClass === RESUME_ERROR;
    const error = known ? { code: 'stateMismatch', data: { problems: [] } } : { code: 'internal', data: {} };
    return { ...end(outcome, reason.text), error: { ...error, message: reason.text } };
  }
}

/** Writes how a session ended. Tries again while the disk is full, for as long as nobody waits. */
export async function recordEnd(
  directory: SessionDirectory,
  record: ExitRecord,
  isInterrupted: boolean,
): Promise<void> {
  await retryUntil(
    () => directory.writeExit({ ...record, whole: true }),
    () => isInterrupted,
  );
}

/** Replaces a leading `python` that this node lacks: many have a `python3` only. */
function onThisNode(words: readonly string[], path: string): string[] {
  const [program, ...rest] = words;
  const isMissing = program === 'python' && find('python', path) === null;
  return [isMissing ? 'python3' : program!, ...rest];
}

/**
 * Lets the kernel end the command when this process is killed: a scheduler that follows processes by their parents would not find
 * it. `setpriv` is part of util-linux.
 */
function withParentsDeath(words: readonly string[], path: string): string[] {
  const setpriv = process.platform === 'linux' ? find('setpriv', path) : null;
  return setpriv === null ? [...words] : [setpriv, '--pdeathsig', 'KILL', '--', ...words];
}

function find(program: string, path: string): string | null {
  const folders = path.split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file)) ?? null;
}
