/** Reads the checkpoints of a run, page by page. */
import type { Checkpoint, Run } from '../protocol/domain.ts';
import { checkpointList } from '../protocol/messages/checkpoint.ts';
import type { Connection } from './connection.ts';

/** Number of checkpoints of a run that pages list: more would take longer to draw than anybody reads. */
const MOST_CHECKPOINTS = 5_000;

/** Lists all checkpoints of a run. Those that are stored meanwhile shift the pages, so that an id may come twice. */
export async function allCheckpoints(
  connection: Pick<Connection, 'poll'>,
  root: string,
  run: string,
): Promise<Checkpoint[]> {
  const found = new Map<string, Checkpoint>();
  let cursor: string | null = null;
  do {
    const place: { cursor?: string } = cursor === null ? {} : { cursor };
    const page = await connection.poll(checkpointList, { root, run, ...place });
    for (const checkpoint of page.checkpoints) found.set(checkpoint.id, checkpoint);
    cursor = found.size < MOST_CHECKPOINTS ? page.next : null;
  } while (cursor !== null);
  return [...found.values()];
}

/** Adds the checkpoints beyond a run's first page. All of them are sorted, the newest first. */
export async function withEarlier(
  connection: Pick<Connection, 'poll'>,
  root: string,
  run: Run,
  page: readonly Checkpoint[],
): Promise<Checkpoint[]> {
  const all = page.length < run.checkpoints ? await allCheckpoints(connection, root, run.id) : page;
  return [...all].sort((a, b) => b.step - a.step || b.createdAt - a.createdAt);
}
