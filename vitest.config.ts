import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './test/support/summary-reporter.ts';

const EDITOR = 'test/editor/**/*.test.ts';
const FRAMEWORKS = 'test/python/frameworks.test.ts';
const common = {
  setupFiles: ['test/support/vitest-setup.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    // Real processes on two cores: more at once only makes each slower.
    maxWorkers: 2,
    globalSetup: ['test/support/install-packages.ts'],
    reporters: ['default', new SummaryReporter()],
    projects: [
      {
        test: {
          ...common,
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: [EDITOR, FRAMEWORKS],
          sequence: { groupOrder: 0 },
        },
      },
      // Its environments take minutes to make the first time: no other test waits for them.
      {
        test: {
          ...common,
          name: 'frameworks',
          include: [FRAMEWORKS],
          globalSetup: ['test/support/make-framework-environments.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      // After the others, and one after the other: an editor, a browser and a daemon need both cores for themselves.
      { test: { ...common, name: 'editor', include: [EDITOR], maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
