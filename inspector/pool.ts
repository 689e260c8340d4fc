/** Pool of the daemon's inspector processes: at most two, shared fairly, one kept warm while files are viewed. */
import { join } from 'node:path';
import { type ChildSetup, InspectionFailed, InspectorProcess, type Question } from './child.ts';
import { HEAP_MEBIBYTES } from './requests.ts';

const MAX_PROCESSES = 2;
/** Idle time after which the last process ends: starting it takes as long as reading a small file. */
const WARM_MS = 120_000;
/** Memory above which a process is replaced: a heap that has grown stays large, and a new process is cheaper. */
const MAX_RESIDENT_BYTES = 220 << 20;

/** Makes the setup; `runtime` is the folder of the bundles. */
export function inspectorSetup(runtime: string): ChildSetup {
  return {
    entry: join(runtime, 'inspector-process.js'),
    thread: join(runtime, 'inspector-thread.js'),
    heapMebibytes: HEAP_MEBIBYTES,
    niceness: 0,
  };
}

/** Requester that is served before all others: a file waits to be saved. */
export const URGENT = Symbol('urgent');

interface Member {
  process: InspectorProcess;
  busy: boolean;
  /** File that it inspected last: it may still have it cached. */
  last: string;
  idleTimer: NodeJS.Timeout | null;
}

interface Waiting {
  /** Requester: requests of others are served in between. */
  who: unknown;
  about: string;
  start(member: Member): void;
  giveUp(): void;
}

export class InspectorPool {
  readonly #setup: ChildSetup;
  readonly #members: Member[] = [];
  readonly #waiting: Waiting[] = [];
  /** Requester that was served last. */
  #lastServed: unknown = null;
  #isClosed = false;

  constructor(setup: ChildSetup) {
    this.#setup = setup;
  }

  /** Waits for a free process and asks it. `about` names the file. Rejects with InspectionFailed. */
  async ask<R, P = never>(who: unknown, about: string, question: Question<P>): Promise<R> {
    const member = await this.#member(who, about, question.signal);
    try {
      return await member.process.ask<R, P>(question);
    } finally {
      this.#giveBack(member);
    }
  }

  /** Pids, for tests and status. */
  get pids(): number[] {
    return this.#members.flatMap(({ process: { pid } }) => (pid === undefined ? [] : [pid]));
  }

  /** Kills all processes and rejects everything that waits. */
  close(): void {
    this.#isClosed = true;
    for (const { giveUp } of this.#waiting.splice(0)) giveUp();
    for (const { process, idleTimer } of this.#members.splice(0)) {
      if (idleTimer) clearTimeout(idleTimer);
      process.end();
    }
  }

  #member(who: unknown, about: string, signal?: AbortSignal): Promise<Member> {
    return new Promise((resolve, reject) => {
      const cancel = () => reject(new InspectionFailed('cancelled', 'nobody waits for it any more'));
      if (signal?.aborted || this.#isClosed) return cancel();
      const leave = () => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        cancel();
      };
      const waiting: Waiting = {
        who,
        about,
        giveUp: cancel,
        start: (member) => {
          signal?.removeEventListener('abort', leave);
          resolve(member);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiting);
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const next =
        this.#waiting.find(({ who }) => who === URGENT) ??
        this.#waiting.find(({ who }) => who !== this.#lastServed) ??
        this.#waiting[0]!;
      const member = this.#free(next.about);
      if (!member) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#lastServed = next.who;
      if (member.idleTimer) clearTimeout(member.idleTimer);
      Object.assign(member, { busy: true, last: next.about, idleTimer: null });
      next.start(member);
    }
  }

  #free(about: string): Member | null {
    for (const member of [...this.#members]) if (!member.busy && member.process.isEnded) this.#remove(member);
    const free = this.#members.filter(({ busy }) => !busy);
    const known = free.find(({ last }) => last === about) ?? free[0];
    if (known || this.#members.length === MAX_PROCESSES) return known ?? null;
    const member: Member = { process: new InspectorProcess(this.#setup), busy: false, last: '', idleTimer: null };
    this.#members.push(member);
    return member;
  }

  #giveBack(member: Member): void {
    member.busy = false;
    const { process } = member;
    const isFirst = this.#members[0] === member;
    if (this.#isClosed || process.isEnded || process.residentBytes > MAX_RESIDENT_BYTES) this.#remove(member);
    else {
      member.idleTimer = setTimeout(() => this.#remove(member), isFirst ? WARM_MS : WARM_MS / 10);
      member.idleTimer.unref();
    }
    this.#serve();
  }

  #remove(member: Member): void {
    const at = this.#members.indexOf(member);
    if (at >= 0) this.#members.splice(at, 1);
    if (member.idleTimer) clearTimeout(member.idleTimer);
    if (!member.process.isEnded) member.process.end();
  }
}
