/** Questions before a run is paused, killed or deleted, as editor and browser ask them. */
import { expect, test } from 'vitest';
import { type Asks, killRun, pauseRun, removeAll } from '../../../pages/run-flows.ts';
import type { Run } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';

/** Asks that answer yes or no, and a connection that answers by method. */
function talk(says: boolean, answers: Record<string, (params: Record<string, unknown>) => unknown>) {
  const said: string[] = [];
  const sent: Record<string, unknown>[] = [];
  const asks: Asks = {
    confirm(title, detail, yes) {
      said.push(`${title} ${detail} [${yes}]`);
      return Promise.resolve(says);
    },
    offer(text, button) {
      said.push(`${text} [${button}]`);
      return Promise.resolve(says);
    },
    warn: (text) => void said.push(text),
  };
  const request = async ({ method }: { method: string }, params: Record<string, unknown>) => {
    sent.push(params);
    return answers[method]!(params);
  };
  return { asks, connection: { request } as never, said, sent };
}

const run = { id: 'r1', name: 'digits #1', step: 0, lastCheckpoint: null } as Run;

test('a pause that loses work is asked for, and only then accepted', async () => {
  const refuse = ({ accept }: Record<string, unknown>) => {
    if (!accept)
      throw new TrainstashError('pauseLoses', 'loses', { run: 'r1', checkpointStep: 20, seconds: 120 } as never);
  };
  for (const says of [true, false]) {
    const { asks, connection, said, sent } = talk(says, { 'run/pause': refuse });
    await pauseRun(asks, connection, '/p', run);
    expect(said).toEqual([
      'Stop digits #1 now? Its script saves on its own schedule only, and last saved at step 20. Stopping it now loses the 2 min since then. [Stop Now]',
    ]);
    expect(sent.map(({ accept }) => accept)).toEqual(says ? [false, true] : [false]);
  }
});

test('a kill says what is lost, and offers to resume what is not', async () => {
  const killed = { ...run, step: 33, lastCheckpoint: { id: 'c', step: 30, grade: 'complete' } } as Run;
  const yes = talk(true, { 'run/stop': () => killed });
  expect(await killRun(yes.asks, yes.connection, '/p', run)).toBe(killed);
  expect(yes.said[0]).toContain('It has no checkpoint yet: all of it is lost.');
  expect(yes.said[1]).toBe('digits #1 was killed at step 33. Its checkpoint is at step 30. [Resume]');
  const no = talk(false, {});
  expect(await killRun(no.asks, no.connection, '/p', killed)).toBeNull();
  expect([no.said.length, no.sent.length]).toEqual([1, 0]);
});

test('what is deleted comes back by Undo, and what the trash no longer has is named', async () => {
  const remove = ({ target, undo }: Record<string, unknown>) => {
    if (undo && target === 'b') throw new TrainstashError('notFound', 'gone', { what: 'run', query: 'b' });
    return {};
  };
  const { asks, connection, said } = talk(true, { 'run/remove': remove });
  const removed = ['a', 'b'].map((target) => ({ root: '/p', target, name: `run ${target}` }));
  await removeAll(asks, connection, removed);
  expect(said[0]).toMatch(/^2 entries moved to the trash\. You can undo this for \d+ days\. \[Undo\]$/);
  expect(said[1]).toBe('run b cannot be restored: the trash was emptied since, or it was restored already.');
});
