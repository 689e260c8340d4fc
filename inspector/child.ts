/** Client of one inspector process. Knows no formats. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Failure, FromProcess, Limits, ProcessSetup, ToProcess } from './wire.ts';

/** Time after the limits, which the process itself enforces, before it is killed from outside. */
const GRACE_MS = 5_000;
/** Size of the young generation. Everything that is read lives as long as the answer: a larger one saves copying. */
const YOUNG_MEBIBYTES = 16;

export interface ChildSetup extends ProcessSetup {
  /** Bundle of the process. */
  entry: string;
}

export interface Question<P> {
  request: unknown;
  limits: Limits;
  /** Signal to cancel: the process is killed. */
  signal?: AbortSignal;
  /** Reads for a process that does not open the file itself. */
  read?(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
  /** Receives parts of the answer before its end. */
  part?(part: P): void;
}

/** Failed inspection. `message` continues the sentence "… cannot be read: ". */
export class InspectionFailed extends Error {
  readonly kind: Failure['kind'] | 'cancelled';
  constructor(kind: Failure['kind'] | 'cancelled', problem: string) {
    super(problem);
    this.kind = kind;
  }
}

interface Pending {
  question: Question<never>;
  resolve(result: unknown): void;
  reject(error: InspectionFailed): void;
}

export class InspectorProcess {
  readonly #child: ChildProcess;
  #id = 0;
  #pending: Pending | null = null;
  #isEnded = false;
  /** Memory of the process after its last answer. */
  residentBytes = 0;

  constructor({ entry, ...setup }: ChildSetup) {
    // Flags of the process also apply to the thread inside, whatever limits that has.
    const flags = [
      `--max-old-space-size=${setup.heapMebibytes}`,
      `--max-semi-space-size=${YOUNG_MEBIBYTES}`,
      '--disable-warning=ExperimentalWarning',
    ];
    // Helper threads would not have the low priority.
    if (setup.niceness > 0) flags.push('--single-threaded-gc');
    this.#child = spawn(process.execPath, [...flags, entry, JSON.stringify(setup)], {
      // A process that dies there leaves no core file, and it keeps no folder busy.
      cwd: process.platform === 'win32' ? undefined : '/',
      // Output of libraries and the engine about a file concerns their own source.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
      env: childEnvironment(),
    });
    this.#child.on('message', (message: FromProcess) => this.#receive(message));
    this.#child.once('error', () => this.#ended(null));
    this.#child.once('exit', (_code, signal) => this.#ended(signal));
    this.#unref();
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Asks the process; one question at a time. Rejects with InspectionFailed. */
  ask<R, P = never>(question: Question<P>): Promise<R> {
    const { request, limits, signal } = question;
    return new Promise<R>((resolve, reject) => {
      if (this.#isEnded) return reject(new InspectionFailed('died', 'the process that reads it has exited'));
      const timeout = setTimeout(
        () => this.#fail(new InspectionFailed('time', 'it takes too long to be read')),
        limits.ms + GRACE_MS,
      );
      const abort = () => this.#fail(new InspectionFailed('cancelled', 'nobody waits for it any more'));
      signal?.addEventListener('abort', abort, { once: true });
      const over = () => {
        clearTimeout(timeout);
        signal?.removeEventListener('abort', abort);
        this.#pending = null;
        this.#unref();
      };
      this.#pending = {
        question: question as Question<never>,
        resolve: (result) => {
          over();
          resolve(result as R);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      };
      this.#ref();
      this.#send({ say: 'request', id: ++this.#id, request, limits });
      if (signal?.aborted) abort();
    });
  }

  /** Kills the process at once; its pending question fails. */
  end(): void {
    this.#child.kill('SIGKILL');
    this.#ended('SIGKILL');
  }

  #receive(message: FromProcess): void {
    if (message.id !== this.#id || !this.#pending) return;
    const { question, resolve, reject } = this.#pending;
    switch (message.say) {
      case 'read':
        void this.#read(question, message.offset, message.length);
        break;
      case 'part':
        question.part?.(message.part as never);
        break;
      case 'done':
        this.residentBytes = message.residentBytes;
        resolve(message.result);
        break;
      case 'failed':
        this.residentBytes = message.residentBytes;
        // The process is about to end itself.
        if (message.failure.kind !== 'unreadable' && message.failure.kind !== 'changed') this.#isEnded = true;
        reject(new InspectionFailed(message.failure.kind, message.failure.problem));
        break;
    }
  }

  async #read({ read }: Question<never>, offset: number, length: number): Promise<void> {
    const id = this.#id;
    let answer: ToProcess;
    try {
      answer = { say: 'bytes', bytes: await read!(offset, length) };
    } catch (error) {
      answer = { say: 'noBytes', problem: (error as Error).message };
    }
    if (id === this.#id && this.#pending) this.#send(answer);
  }

  #send(message: ToProcess): void {
    // The exit event reports its end.
    this.#child.send(message, () => {});
  }

  #fail(error: InspectionFailed): void {
    this.#child.kill('SIGKILL');
    this.#isEnded = true;
    this.#pending?.reject(error);
  }

  #ended(signal: NodeJS.Signals | null): void {
    this.#isEnded = true;
    // The engine aborts when its heap is full and collection does not help.
    const problem =
      signal === 'SIGKILL'
        ? 'the process that read it was killed'
        : signal === 'SIGABRT' || signal === 'SIGTRAP'
          ? 'reading it takes more memory than it may have'
          : 'the process that read it exited';
    this.#pending?.reject(new InspectionFailed('died', problem));
  }

  /** Lets this process exit while no question is pending. */
  #unref(): void {
    this.#child.unref();
    this.#child.channel?.unref();
  }

  #ref(): void {
    this.#child.ref();
    this.#child.channel?.ref();
  }
}

function childEnvironment(): Record<string, string> {
  const names = ['TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'LD_LIBRARY_PATH'];
  return {
    ...Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
    ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
  };
}
