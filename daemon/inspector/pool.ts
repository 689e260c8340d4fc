/** The daemon's processes that look into files: two at most, taken by turns, one kept warm while somebody looks. */
import { join } from 'node:path';
import { type ChildSetup, LookFailed, LookingProcess, type Question } from './child.ts';
import { HEAP_MEBIBYTES } from './requests.ts';

const MOST = 2;
/** The last one stays that long: starting it takes as long as reading a small file. */
const WARM_MS = 120_000;
/** A heap that has grown stays grown; a new process is cheaper. */
const MOST_RESIDENT_BYTES = 220 << 20;

/** `runtime`: folder of the bundles. */
export function lookingSetup(runtime: string): ChildSetup {
  return {
    entry: join(runtime, 'inspector-process.js'),
    thread: join(runtime, 'inspector-thread.js'),
    heapMebibytes: HEAP_MEBIBYTES,
    niceness: 0,
  };
}

/** Whoever asks as this goes before all others: a file waits to be kept. */
export const URGENT = Symbol('urgent');

interface Member {
  process: LookingProcess;
  busy: boolean;
  /** What it looked at last: it may still know it. */
  last: string;
  idleTimer: NodeJS.Timeout | null;
}

interface Waiting {
  /** Who asks: others have their turn in between. */
  who: unknown;
  about: string;
  start(member: Member): void;
  giveUp(): void;
}

export class LookingPool {
  readonly #setup: ChildSetup;
  readonly #members: Member[] = [];
  readonly #waiting: Waiting[] = [];
  /** Who was served last. */
  #served: unknown = null;
  #isClosed = false;

  constructor(setup: ChildSetup) {
    this.#setup = setup;
  }

  /** Waits for a free process and asks it. `about`: a name for the file. Rejects with LookFailed. */
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

  /** Ends all processes; whoever waits is told. */
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
      const gone = () => reject(new LookFailed('cancelled', 'nobody waits for it any more'));
      if (signal?.aborted || this.#isClosed) return gone();
      const leave = () => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        gone();
      };
      const waiting: Waiting = {
        who,
        about,
        giveUp: gone,
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
        this.#waiting.find(({ who }) => who !== this.#served) ??
        this.#waiting[0]!;
      const member = this.#free(next.about);
      if (!member) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#served = next.who;
      if (member.idleTimer) clearTimeout(member.idleTimer);
      Object.assign(member, { busy: true, last: next.about, idleTimer: null });
      next.start(member);
    }
  }

  #free(about: string): Member | null {
    for (const member of [...this.#members]) if (!member.busy && member.process.isEnded) this.#remove(member);
    const free = this.#members.filter(({ busy }) => !busy);
    const known = free.find(({ last }) => last === about) ?? free[0];
    if (known || this.#members.length === MOST) return known ?? null;
    const member: Member = { process: new LookingProcess(this.#setup), busy: false, last: '', idleTimer: null };
    this.#members.push(member);
    return member;
  }

  #giveBack(member: Member): void {
    member.busy = false;
    const { process } = member;
    const isFirst = this.#members[0] === member;
    if (this.#isClosed || process.isEnded || process.residentBytes > MOST_RESIDENT_BYTES) this.#remove(member);
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
