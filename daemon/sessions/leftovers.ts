/** What the daemon and a runner agree on about files that a dead runner's command had saved. */
import { existsSync } from 'node:fs';
import type { SessionDirectory } from './directory.ts';

/** Words behind the session's directory for a runner that only takes in what is left. */
export const LEFTOVERS = 'leftovers';
export const SEEN_ALIVE = 'seen';

/** Whether there can be any: not of a script that speaks for itself, nor where nobody knows what was there before. */
export function mayHaveLeftovers(directory: SessionDirectory): boolean {
  return existsSync(directory.file('files')) && !existsSync(directory.file('events'));
}
