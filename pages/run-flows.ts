/** Questions and sentences about runs that are paused, killed or deleted, the same in the editor and in a browser. */
import type { Run } from '../protocol/domain.ts';
import { isError } from '../protocol/errors.ts';
import { runPause, runRemove, runStop } from '../protocol/messages/run.ts';
import { TRASH_DAYS } from '../protocol/messages/store.ts';
import { counted, duration, integer } from '../protocol/words.ts';
import type { Connection } from './connection.ts';

/** Ways to ask and tell the person. Whoever shows the texts makes hidden characters in them visible. */
export interface Asks {
  /** Asks before something that cannot be undone. */
  confirm(title: string, detail: string, yes: string): Promise<boolean>;
  /** Tells, and offers an action. Resolves to true if it was chosen. */
  offer(text: string, button: string): Promise<boolean>;
  warn(text: string): void;
}

type Requests = Pick<Connection, 'request'>;

/** Pauses a run; asks first if its script would lose what it has computed since it saved. */
export async function pauseRun(asks: Asks, connection: Requests, root: string, run: Run): Promise<void> {
  const pause = (accept: boolean) => connection.request(runPause, { root, run: run.id, accept });
  try {
    await pause(false);
  } catch (error) {
    if (!isError(error, 'pauseLoses')) throw error;
    const { checkpointStep, seconds } = error.data;
    const saved = checkpointStep === null ? 'has saved nothing yet' : `last saved at step ${integer(checkpointStep)}`;
    const detail = `Its script saves on its own schedule only, and ${saved}. Stopping it now loses the ${duration(seconds)} since then.`;
    if (await asks.confirm(`Stop ${run.name} now?`, detail, 'Stop Now')) await pause(true);
  }
}

/** Kills a run's process at once: to try a resume, or because it hangs. Returns the run if it is to be resumed right away. */
export async function killRun(asks: Asks, connection: Requests, root: string, run: Run): Promise<Run | null> {
  const last = run.lastCheckpoint;
  const kept = last
    ? `A resume goes on from step ${integer(last.step)}.`
    : 'It has no checkpoint yet: all of it is lost.';
  const detail = `Its process ends at once, as in a power cut, and saves nothing. ${kept}`;
  if (!(await asks.confirm(`Kill ${run.name}?`, detail, 'Kill'))) return null;
  const killed = await connection.request(runStop, { root, run: run.id, force: true });
  if (!killed.lastCheckpoint) return null;
  const text = `${run.name} was killed at step ${integer(killed.step)}. Its checkpoint is at step ${integer(killed.lastCheckpoint.step)}.`;
  return (await asks.offer(text, 'Resume')) ? killed : null;
}

export interface Removed {
  root: string;
  /** Run or checkpoint. */
  target: string;
  name: string;
}

/** Moves runs and checkpoints to the trash, and offers to undo it. */
export async function removeAll(asks: Asks, connection: Requests, removed: readonly Removed[]): Promise<void> {
  for (const { root, target } of removed) await connection.request(runRemove, { root, target });
  if (removed.length === 0) return;
  const what = removed.length === 1 ? removed[0]!.name : counted(removed.length, 'entry', 'entries');
  const text = `${what} moved to the trash. You can undo this for ${TRASH_DAYS} days.`;
  if (!(await asks.offer(text, 'Undo'))) return;
  const lost = await bringBack(connection, removed);
  // The offer may stay open for long: the trash may have been emptied in the meantime.
  if (lost.length > 0)
    asks.warn(`${lost.join(', ')} cannot be restored: the trash was emptied since, or it was restored already.`);
}

/** Restores items from the trash. Returns the names of those that are no longer in it. */
async function bringBack(connection: Requests, removed: readonly Removed[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { root, target, name } of removed) {
    try {
      await connection.request(runRemove, { root, target, undo: true });
    } catch (error) {
      if (!isError(error, 'notFound')) throw error;
      lost.push(name);
    }
  }
  return lost;
}
