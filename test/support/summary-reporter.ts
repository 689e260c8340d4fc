import type { Reporter, TestCase } from 'vitest/node';

/** A last line that machines understand. */
export class SummaryReporter implements Reporter {
  readonly #counts = { passed: 0, failed: 0, skipped: 0 };

  onTestCaseResult(test: TestCase): void {
    const { state } = test.result();
    if (state !== 'pending') this.#counts[state]++;
  }

  onTestRunEnd(): void {
    const { passed, failed, skipped } = this.#counts;
    // After the default reporter's own summary.
    process.on('exit', () => console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`));
  }
}
