import { type Fixture, makeFixture } from '../support/daemon.ts';
import { runCleanups } from '../support/cleanup.ts';

/** A project and a daemon outside vitest. */
export function standaloneFixture(): { fixture: Fixture; dispose(): Promise<void> } {
  return { fixture: makeFixture(), dispose: runCleanups };
}
