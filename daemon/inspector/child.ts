/** One process that looks into files, from the side of whoever asks it. Knows no formats. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Failure, FromProcess, Limits, ProcessSetup, ToProcess } from './wire.ts';

/** The process itself keeps to its limits; this long after them it is ended from outside. */
const GRACE_MS = 5_000;
/** What is read lives as long as the answer: a larger young generation saves copying it. */
const YOUNG_MEBIBYTES = 16;

export interface ChildSetup extends ProcessSetup {
  /** Bundle of the process. */
  entry: string;
}

export interface Question<P> {
  request: unknown;
  limits: Limits;
  /** Aborted: the process is ended. */
  signal?: AbortSignal;
  /** Reads for a process that is not to open the file itself. */
  read?(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
  /** Takes parts of the answer that come before its end. */
  part?(part: P): void;
}

/** The file could not be looked into. `message` goes on from "… cannot be read: ". */
export class LookFailed extends Error {
  readonly kind: Failure['kind'] | 'cancelled';
  constructor(kind: Failure['kind'] | 'cancelled', problem: string) {
    super(problem);
    this.kind = kind;
  }
}

interface Pending {
  question: Question<never>;
  resolve(result: unknown): void;
  reject(error: LookFailed): void;
}

export class LookingProcess {
  readonly #child: ChildProcess;
  #id = 0;
  #pending: Pending | null = null;
  #isEnded = false;
  /** Of the process after its last answer. */
  residentBytes = 0;

  constructor({ entry, ...setup }: ChildSetup) {
    // Flags of the process hold for the thread inside as well, whatever limits that is given.
    const flags = [
      `--max-old-space-size=${setup.heapMebibytes}`,
      `--max-semi-space-size=${YOUNG_MEBIBYTES}`,
      '--disable-warning=ExperimentalWarning',
    ];
    // Its helpers would not go last with it.
    if (setup.niceness > 0) flags.push('--single-threaded-gc');
    this.#child = spawn(process.execPath, [...flags, entry, JSON.stringify(setup)], {
      // Where it dies no core file is left, and no folder is kept busy.
      cwd: process.platform === 'win32' ? undefined : '/',
      // What libraries and the engine say of a file is about their own source.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
      env: childEnvironment(),
    });
    this.#child.on('message', (message: FromProcess) => this.#take(message));
    this.#child.once('error', () => this.#ended(null));
    this.#child.once('exit', (_code, signal) => this.#ended(signal));
    this.#rest();
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** One at a time. Rejects with LookFailed. */
  ask<R, P = never>(question: Question<P>): Promise<R> {
    const { request, limits, signal } = question;
    return new Promise<R>((resolve, reject) => {
      if (this.#isEnded) return reject(new LookFailed('died', 'the process that reads it has ended'));
      const late = setTimeout(
        () => this.#fail(new LookFailed('time', 'it takes too long to be read')),
        limits.ms + GRACE_MS,
      );
      const abort = () => this.#fail(new LookFailed('cancelled', 'nobody waits for it any more'));
      signal?.addEventListener('abort', abort, { once: true });
      const over = () => {
        clearTimeout(late);
        signal?.removeEventListener('abort', abort);
        this.#pending = null;
        this.#rest();
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
      this.#work();
      this.#send({ say: 'request', id: ++this.#id, request, limits });
      if (signal?.aborted) abort();
    });
  }

  /** Ends it at once; what was asked of it fails. */
  end(): void {
    this.#child.kill('SIGKILL');
    this.#ended('SIGKILL');
  }

  #take(message: FromProcess): void {
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
        // It has ended itself, but for the last of it.
        if (message.failure.kind !== 'unreadable' && message.failure.kind !== 'changed') this.#isEnded = true;
        reject(new LookFailed(message.failure.kind, message.failure.problem));
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
    // Its end is told by its exit.
    this.#child.send(message, () => {});
  }

  #fail(error: LookFailed): void {
    this.#child.kill('SIGKILL');
    this.#isEnded = true;
    this.#pending?.reject(error);
  }

  #ended(signal: NodeJS.Signals | null): void {
    this.#isEnded = true;
    // The engine aborts where its heap is full and no collection helps.
    const problem =
      signal === 'SIGKILL'
        ? 'the process that read it was killed'
        : signal === 'SIGABRT' || signal === 'SIGTRAP'
          ? 'reading it takes more memory than it may have'
          : 'the process that read it ended';
    this.#pending?.reject(new LookFailed('died', problem));
  }

  /** While nothing is asked it keeps nobody from ending. */
  #rest(): void {
    this.#child.unref();
    this.#child.channel?.unref();
  }

  #work(): void {
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
