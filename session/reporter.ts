/** Trainer's side of a session directory: writes events, reads requests. Its failures never fail a training. */
import { closeSync, fstatSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import type { Params } from '../protocol/domain.ts';
import { maskParams, maskText } from '../protocol/secrets.ts';
import type { Control, SessionEvent } from '../protocol/session.ts';
import type { SessionDirectory } from './directory.ts';
import { endPartInPlace, PART_BYTES } from './printed.ts';

type Body<T> = T extends SessionEvent ? Omit<T, 'seq' | 't'> : never;
export type EventBody = Body<SessionEvent>;

/** Largest number of lines that wait for a failing disk; beyond it the older half is dropped. */
const MOST_PENDING = 100_000;
const RETRY_MS = 1_000;

export class Reporter {
  readonly #directory: SessionDirectory;
  readonly #events: number;
  #seq = 0;
  #pending: string[] = [];
  #retryAt = 0;
  #controlStamp = '';
  #answered = 0;

  /**
   * Starts the events of a process; `after` is the number of the last event that another process has written before.
   */
  constructor(directory: SessionDirectory, events: 'events' | 'runnerEvents' = 'events', after = 0) {
    this.#directory = directory;
    this.#seq = after;
    this.#events = openSync(directory.file(events), 'a+');
    if (after > 0 && !endsLine(this.#events)) this.#pending.push('');
  }

  report(event: EventBody): void {
    this.#pending.push(JSON.stringify({ seq: ++this.#seq, t: Date.now(), ...withoutSecrets(event) }));
  }

  /**
   * Writes the pending events; call it at step boundaries. Flushed events survive SIGKILL. Lines that a full or failing
   * disk does not take wait for the next try.
   */
  flush(): void {
    if (this.#pending.length > 0 && performance.now() >= this.#retryAt) this.#write();
  }

  #write(): void {
    const bytes = Buffer.from(`${this.#pending.join('\n')}\n`);
    // A disk that becomes full takes a part without an error.
    let written = 0;
    try {
      written = writeSync(this.#events, bytes);
    } catch {
      // Counted as not written; a line that is there twice is stored once.
    }
    if (written === bytes.length) {
      this.#pending = [];
      return;
    }
    const whole = lines(bytes.subarray(0, written));
    this.#retryAt = performance.now() + RETRY_MS;
    // Half a line may be in the file: the newline ends it, and readers skip it.
    if (written > 0 || this.#pending[0] !== '') this.#pending.splice(0, whole, '');
    if (this.#pending.length > MOST_PENDING) this.#pending.splice(1, this.#pending.length - MOST_PENDING / 2);
  }

  /** Returns a request that has not been answered yet. Costs one stat when nothing changed. */
  request(): Control | null {
    const stat = statSync(this.#directory.file('control'), { throwIfNoEntry: false });
    if (!stat) return null;
    const stamp = `${stat.ino}:${stat.mtimeMs}`;
    if (stamp === this.#controlStamp) return null;
    const control = this.#directory.control();
    this.#controlStamp = stamp;
    return control && control.seq > this.#answered ? control : null;
  }

  answer(control: Control, step: number): void {
    this.#answered = control.seq;
    this.report({ type: 'answered', control: control.seq, step });
    this.flush();
  }

  /** Limits the size of the output; `output.log` stays the same file, since stdout is open on it. */
  capOutput(): void {
    try {
      const size = statSync(this.#directory.file('output'), { throwIfNoEntry: false })?.size ?? 0;
      if (size >= PART_BYTES) endPartInPlace(this.#directory);
    } catch {
      // A full disk: the output grows, and the next call tries again.
    }
  }

  close(): void {
    if (this.#pending.length > 0) this.#write();
    closeSync(this.#events);
  }
}

function withoutSecrets(event: EventBody): EventBody {
  if (event.type === 'started') return { ...event, params: maskParams(event.params as Params) };
  return event.type === 'notice' ? { ...event, text: maskText(event.text) } : event;
}

function endsLine(file: number): boolean {
  const { size } = fstatSync(file);
  const last = Buffer.alloc(1);
  return size === 0 || readSync(file, last, 0, 1, size - 1) === 0 || last[0] === 10;
}

function lines(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) if (byte === 10) count++;
  return count;
}
