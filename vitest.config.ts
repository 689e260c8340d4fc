import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { LongestFirst } from './test/support/sequencer.ts';
import { SummaryReporter } from './test/support/summary-reporter.ts';

const FRAMEWORKS = ['test/python/frameworks/*.test.ts', 'test/integration/{tensorflow,native-packages}.test.ts'];
const PACKAGES = 'test/support/install-packages.ts';

// Workers and their pytest draw the same samples; test/support/sample.ts describes them.
process.env.TRAINSTASH_TEST_SEED ??= String(Date.now() % 1_000_000);

/** Makes a project of tests. All run side by side, in the order of the sequencer. */
function project(name: string, include: string[], globalSetup: string[]): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include,
      exclude: name === 'frameworks' ? [] : FRAMEWORKS,
      globalSetup,
      setupFiles: ['test/support/vitest-setup.ts'],
      // Loading the modules anew for each file takes half of the unit tests' time.
      isolate: name !== 'unit',
      // Longer than `until` waits, which says for what. Each wait in an editor has an end of its own, and a test has many.
      testTimeout: name === 'editor' ? 1_800_000 : 300_000,
      hookTimeout: name === 'editor' ? 600_000 : 300_000,
    },
  };
}

export default defineConfig({
  test: {
    // Real processes on two cores: more at once only makes each slower.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new SummaryReporter()],
    projects: [
      project('unit', ['test/unit/**/*.test.ts', 'bench/*.test.ts'], []),
      project('integration', ['test/{integration,branches,fuzz}/**/*.test.ts'], [PACKAGES]),
      project('faults', ['test/faults/**/*.test.ts'], [PACKAGES]),
      project('python', ['test/python/**/*.test.ts'], [PACKAGES]),
      // Its environments take minutes to make the first time: they are made while other tests run.
      project('frameworks', FRAMEWORKS, ['test/support/make-framework-environments.ts']),
      project('editor', ['test/editor/**/*.test.ts'], [PACKAGES, 'test/support/editor-folder.ts']),
    ],
  },
});
