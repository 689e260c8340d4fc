/** Tells from its files alone what a store has left to do. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from '../base/files.ts';
import { SESSION_FILES } from '../protocol/session.ts';

export function hasUnfinishedSession(store: string): boolean {
  const sessions = join(store, 'sessions');
  if (!existsSync(sessions)) return false;
  return readdirSync(sessions).some((id) => {
    const inbox = join(sessions, id, SESSION_FILES.inbox);
    return !existsSync(join(sessions, id, SESSION_FILES.exit)) || (existsSync(inbox) && readdirSync(inbox).length > 0);
  });
}

/** Tells whether something waits to be pushed. */
export function hasWaitingPushes(store: string): boolean {
  const remotes = join(store, 'remotes');
  if (!existsSync(remotes)) return false;
  return readdirSync(remotes).some((name) => {
    const queue = readJson(join(remotes, name, 'queue.json')) as { runs?: object } | null;
    return Object.keys(queue?.runs ?? {}).length > 0;
  });
}
