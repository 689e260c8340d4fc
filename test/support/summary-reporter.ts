import type { Reporter, TestCase } from 'vitest/node';

/** Numbers of tests. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

declare module 'vitest' {
  interface TaskMeta {
    /** Tests of another runner that this test ran, and that count in the summary. */
    counts?: Counts;
  }
}

/** Prints a last line for machines. */
export class SummaryReporter implements Reporter {
  readonly #counts: Counts = { passed: 0, failed: 0, skipped: 0 };

  onTestRunStart(): void {
    const seed = process.env.TRAINSTASH_TEST_SEED;
    if (!process.env.TRAINSTASH_TEST_FULL)
      console.log(
        `Of generated cases a sample runs; TRAINSTASH_TEST_SEED=${seed} draws it again, npm run test:full runs all.`,
      );
  }

  onTestCaseResult(test: TestCase): void {
    const { state } = test.result();
    if (state !== 'pending') this.#counts[state]++;
    const inside = test.meta().counts;
    if (!inside) return;
    this.#counts.passed += inside.passed;
    this.#counts.failed += inside.failed;
    this.#counts.skipped += inside.skipped;
  }

  onTestRunEnd(): void {
    const { passed, failed, skipped } = this.#counts;
    // After the default reporter's own summary.
    process.on('exit', () => console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`));
  }
}
