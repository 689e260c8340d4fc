/** The trainer's side of a session directory: events out, requests in. Its failures never fail a training. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import type { Control, SessionEvent } from '../../protocol/session.ts';
import type { SessionDirectory } from './directory.ts';

type Body<T> = T extends SessionEvent ? Omit<T, 'seq' | 't'> : never;
export type EventBody = Body<SessionEvent>;

/** Twice this at most: then the older half goes. */
const OUTPUT_CAP_BYTES = 8 << 20;

export class Reporter {
  readonly #directory: SessionDirectory;
  readonly #events: number;
  readonly #outputCapBytes: number;
  #seq = 0;
  #pending: string[] = [];
  #controlStamp = '';
  #answered = 0;

  constructor(
    directory: SessionDirectory,
    outputCapBytes = OUTPUT_CAP_BYTES,
    events: 'events' | 'runnerEvents' = 'events',
  ) {
    this.#directory = directory;
    this.#outputCapBytes = outputCapBytes;
    this.#events = openSync(directory.file(events), 'a');
  }

  report(event: EventBody): void {
    this.#pending.push(JSON.stringify({ seq: ++this.#seq, t: Date.now(), ...event }));
  }

  /** Call at step boundaries: what is flushed survives SIGKILL. On a full disk lines wait for the next try. */
  flush(): void {
    if (this.#pending.length === 0) return;
    try {
      writeSync(this.#events, `${this.#pending.join('\n')}\n`);
      this.#pending = [];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      // A part may be on disk: the newline makes it a line of its own, which readers skip; whole lines follow.
      this.#pending.unshift('');
      if (this.#pending.length > 100_000) this.#pending.splice(1, 50_000);
    }
  }

  /** A request that has not been answered yet. Costs one stat when nothing changed. */
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

  /** Keeps `output.log` bounded: its newest part stays, in the same file, since stdout is open on it. */
  capOutput(): void {
    const path = this.#directory.file('output');
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size < this.#outputCapBytes * 2) return;
    const file = openSync(path, 'r+');
    try {
      const tail = Buffer.alloc(this.#outputCapBytes);
      const start = fstatSync(file).size - tail.length;
      const read = readSync(file, tail, 0, tail.length, start);
      ftruncateSync(file, 0);
      const note = Buffer.from(`[${start} bytes before this were dropped]\n`);
      writeSync(file, Buffer.concat([note, tail.subarray(tail.indexOf(10) + 1, read)]));
    } finally {
      closeSync(file);
    }
  }

  close(): void {
    this.flush();
    closeSync(this.#events);
  }
}
