/**
 * Tells whether an input reached code that no earlier one reached, with V8's own block coverage. Jazzer.js would do that, but its
 * binary needs glibc 2.38, which Debian 12 and Ubuntu 22.04 lack.
 */
import { Session } from 'node:inspector';

interface Range {
  startOffset: number;
  endOffset: number;
  count: number;
}

interface ScriptCoverage {
  url: string;
  functions: { ranges: Range[] }[];
}

/** The product's own scripts. */
const COUNTED = /^file:(?!.*\/(node_modules|test)\/)/;

export class Coverage {
  readonly #session = new Session();
  readonly #reached = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Number of blocks reached so far. */
  get size(): number {
    return this.#reached.size;
  }

  /** Returns whether anything that ran since the last call was new. */
  grew(): boolean {
    const before = this.#reached.size;
    const { result } = this.#post('Profiler.takePreciseCoverage') as { result: ScriptCoverage[] };
    for (const { url, functions } of result) {
      if (!COUNTED.test(url)) continue;
      // Powers of two of the count, so that one more iteration of a loop is not always new.
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0)
            this.#reached.add(`${url}:${startOffset}-${endOffset}:${Math.min(6, Math.floor(Math.log2(count)))}`);
    }
    return this.#reached.size > before;
  }

  close(): void {
    this.#session.disconnect();
  }

  #post(method: string, params: object = {}): unknown {
    let answer: unknown;
    let failure: Error | null = null;
    // The inspector of the same thread answers before it returns.
    this.#session.post(method, params, (error, result) => {
      failure = error;
      answer = result;
    });
    if (failure) throw failure;
    return answer;
  }
}
