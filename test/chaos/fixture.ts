import { runCleanups } from '../support/cleanup.ts';
import { type Fixture, makeFixture } from '../support/daemon.ts';

/** Makes a project and a daemon outside vitest. */
export function standaloneFixture(): { fixture: Fixture; dispose(): Promise<void> } {
  return { fixture: makeFixture(), dispose: runCleanups };
}
