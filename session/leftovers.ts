/** Contract between the daemon and a runner about files that a dead runner's command had saved. */
import { existsSync } from 'node:fs';
import type { SessionDirectory } from './directory.ts';

/** Arguments after the session's directory for a runner that only collects leftovers. */
export const LEFTOVERS = 'leftovers';
export const SEEN_ALIVE = 'seen';

/**
 * Tells whether there can be leftovers: not from a script that reports by itself, nor where the earlier files are
 * unknown.
 */
export function mayHaveLeftovers(directory: SessionDirectory): boolean {
  return existsSync(directory.file('files')) && !existsSync(directory.file('events'));
}
