/** All checkpoints of a run, although a request answers with one page. */
import { expect, test } from 'vitest';
import { allCheckpoints, withEarlier } from '../../../pages/all-checkpoints.ts';
import type { Connection } from '../../../pages/connection.ts';
import type { Checkpoint, Run } from '../../../protocol/domain.ts';

const PAGE = 200;

/** A daemon with so many checkpoints, the newest first, of which one more is stored with each request. */
function daemonWith(count: number, grows = false) {
  const stored = Array.from({ length: count }, (_, i) => ({ id: `c${count - i}`, step: count - i, createdAt: 0 }));
  let requests = 0;
  const poll = async (_: unknown, { cursor }: { cursor?: string }) => {
    requests++;
    if (grows) stored.unshift({ id: `new${requests}`, step: count + requests, createdAt: 0 });
    const after = Number(cursor ?? 0);
    const checkpoints = stored.slice(after, after + PAGE);
    return { revision: 1, checkpoints, next: checkpoints.length === PAGE ? String(after + PAGE) : null };
  };
  return { connection: { poll } as unknown as Connection, requests: () => requests, stored };
}

test('a run with more checkpoints than fit into a page lists all of them, each once', async () => {
  const { connection } = daemonWith(450);
  expect(new Set((await allCheckpoints(connection, '/p', 'r')).map(({ id }) => id)).size).toBe(450);
  const growing = daemonWith(450, true);
  const found = await allCheckpoints(growing.connection, '/p', 'r');
  expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
  expect(found.map(({ id }) => id)).toContain('c1');
});

test('a run whose checkpoints fit into the page is not asked for again, and its list is sorted', async () => {
  const { connection, requests } = daemonWith(1_000);
  const page = [1, 3, 2].map((step) => ({ id: `c${step}`, step, createdAt: 0 })) as Checkpoint[];
  const steps = (await withEarlier(connection, '/p', { id: 'r', checkpoints: 3 } as Run, page)).map(({ step }) => step);
  expect(steps).toEqual([3, 2, 1]);
  expect(requests()).toBe(0);
  expect(await withEarlier(connection, '/p', { id: 'r', checkpoints: 1_000 } as Run, page)).toHaveLength(1_000);
});
