/** Writes the points of a run as events of a session. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { toWireNumber, type WireNumber } from '../protocol/numbers.ts';

const BUFFER_CHARACTERS = 1 << 20;
/** Longest name of a metric, and most metrics of one line. */
const MOST_CHARACTERS = 300;
const MOST_IN_A_LINE = 2_000;

export class Points {
  readonly #file: number;
  readonly #base: number;
  #seq = 1;
  #buffer = '';
  #step: number | null = null;
  #epoch = 0;
  #time = 0;
  #values: Record<string, WireNumber> = Object.create(null);
  #named = 0;
  count = 0;
  leftOut = 0;
  lastStep = 0;
  firstTime: number | null = null;
  lastTime: number | null = null;

  /** Writes to this path; `base` is the time of points that have none. */
  constructor(path: string, base: number) {
    this.#file = openSync(path, 'w', 0o600);
    this.#base = base;
  }

  /** Adds a point. Points of one step that follow each other become one line. `time`: milliseconds, or null. */
  add(name: string, step: number, value: number, time: number | null = null, epoch: number | null = null): void {
    if (!Number.isSafeInteger(step) || step < 0 || name === '' || name.length > MOST_CHARACTERS) {
      this.leftOut++;
      return;
    }
    if (step !== this.#step || name in this.#values || this.#named >= MOST_IN_A_LINE) this.#end();
    this.#step = step;
    if (epoch !== null && Number.isFinite(epoch) && epoch >= 0) this.#epoch = Math.floor(epoch);
    if (time !== null && Number.isFinite(time) && time > 0) {
      this.#time = time;
      this.firstTime = Math.min(this.firstTime ?? time, time);
      this.lastTime = Math.max(this.lastTime ?? time, time);
    }
    this.#values[name] = toWireNumber(value);
    this.#named++;
    this.count++;
    this.lastStep = Math.max(this.lastStep, step);
  }

  close(): void {
    this.#end();
    this.#flush();
    closeSync(this.#file);
  }

  #end(): void {
    if (this.#step === null || this.#named === 0) return;
    const line = {
      type: 'metrics',
      // The first number is that of `started`.
      seq: ++this.#seq,
      t: this.#time || this.#base,
      step: this.#step,
      epoch: this.#epoch,
      values: this.#values,
    };
    this.#buffer += `${JSON.stringify(line)}\n`;
    this.#values = Object.create(null);
    this.#named = 0;
    if (this.#buffer.length > BUFFER_CHARACTERS) this.#flush();
  }

  #flush(): void {
    for (let rest: Uint8Array = Buffer.from(this.#buffer); rest.length > 0; )
      rest = rest.subarray(writeSync(this.#file, rest));
    this.#buffer = '';
  }
}
