import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { SummaryReporter } from './test/support/summary-reporter.ts';

const FRAMEWORKS = ['test/python/frameworks.test.ts', 'test/integration/{tensorflow,native-packages}.test.ts'];
const PACKAGES = 'test/support/install-packages.ts';

/** Makes a project of tests. All but those of the editor run side by side. */
function project(name: string, include: string[], globalSetup: string[]): TestProjectInlineConfiguration {
  const isEditor = name === 'editor';
  return {
    test: {
      name,
      include,
      exclude: name === 'frameworks' ? [] : FRAMEWORKS,
      globalSetup,
      setupFiles: ['test/support/vitest-setup.ts'],
      testTimeout: 60_000,
      hookTimeout: 60_000,
      // The editor's after the others, and one after the other: an editor, a browser and a daemon need both cores.
      sequence: { groupOrder: isEditor ? 1 : 0 },
      ...(isEditor ? { maxWorkers: 1 } : {}),
    },
  };
}

export default defineConfig({
  test: {
    // Real processes on two cores: more at once only makes each slower.
    maxWorkers: 2,
    reporters: ['default', new SummaryReporter()],
    projects: [
      project('unit', ['test/unit/**/*.test.ts'], []),
      project('integration', ['test/{integration,branches,fuzz}/**/*.test.ts'], [PACKAGES]),
      project('faults', ['test/faults/**/*.test.ts'], [PACKAGES]),
      project('python', ['test/python/**/*.test.ts'], [PACKAGES]),
      // Its environments take minutes to make the first time: no other test waits for them.
      project('frameworks', FRAMEWORKS, ['test/support/make-framework-environments.ts']),
      project('editor', ['test/editor/**/*.test.ts'], [PACKAGES]),
    ],
  },
});
