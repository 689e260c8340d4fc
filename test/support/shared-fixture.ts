/** Fixtures and trainings that all tests of a file or `describe` share. */
import { afterAll, beforeAll } from 'vitest';
import { runCleanups } from './cleanup.ts';
import { type Fixture, type FixtureOptions, makeFixture } from './daemon.ts';

/** Does what `beforeAll` asks for; its cleanups wait for `afterAll(runCleanups)`, since there is no test that they could follow. */
export function forAllTests<T>(work: () => T): T {
  const global = globalThis as { trainstashAfterTest?: unknown };
  const afterTest = global.trainstashAfterTest;
  delete global.trainstashAfterTest;
  try {
    return work();
  } finally {
    global.trainstashAfterTest = afterTest;
  }
}

/**
 * Makes a project and its daemon for tests that leave nothing in it: a daemon's start and end take longer than most requests. It is in
 * `fixture` while they run.
 */
export function shareFixture(options: FixtureOptions = {}): { fixture: Fixture } {
  const shared = {} as { fixture: Fixture };
  beforeAll(() => {
    shared.fixture = forAllTests(() => makeFixture(options));
  });
  afterAll(runCleanups);
  return shared;
}
