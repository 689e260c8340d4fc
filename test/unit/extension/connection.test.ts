import { expect, test } from 'vitest';
import { Model } from '../../../extension/core/model.ts';
import { Usage, usageLine } from '../../../extension/core/usage.ts';
import { Connection } from '../../../pages/connection.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { projectWhere } from '../../../protocol/messages/project.ts';

function withoutDaemon() {
  const attempts: boolean[] = [];
  const connection = new Connection({
    connect: async (start) => {
      attempts.push(start);
      throw new TrainstashError('daemonUnavailable', 'No daemon runs.', { reason: 'test' });
    },
    log: () => {},
  });
  return { connection, attempts };
}

test('a background request never starts a daemon', async () => {
  const { connection, attempts } = withoutDaemon();
  await expect(connection.poll(projectWhere, { root: '/project' })).rejects.toMatchObject({
    code: 'daemonUnavailable',
  });
  expect(attempts).toEqual([]);
  expect(connection.status.kind).toBe('off');
});

test('a person’s request starts one', async () => {
  const { connection, attempts } = withoutDaemon();
  await expect(connection.request(projectWhere, { root: '/project' })).rejects.toMatchObject({
    code: 'daemonUnavailable',
  });
  expect(attempts).toEqual([true]);
  connection.dispose();
});

test('showing the usage of a store does not start a stopped daemon', async () => {
  const { connection, attempts } = withoutDaemon();
  const shown = await new Promise<string>((resolve) => new Usage(connection, () => ['/project'], resolve).changed());
  expect(shown).toBe('');
  expect(attempts).toEqual([]);
});

test('the usage of several projects is told for each, by the name of its folder', () => {
  expect(usageLine(['/a/digits'], ['1 kB of 2 GB quota'])).toBe('1 kB of 2 GB quota');
  expect(usageLine(['/a/digits', '/b/words'], ['1 kB of 2 GB quota', '3 kB of 2 GB quota'])).toBe(
    'digits: 1 kB of 2 GB quota · words: 3 kB of 2 GB quota',
  );
  expect(usageLine(['/a/digits', '/b/words'], ['', '3 kB of 2 GB quota'])).toBe('words: 3 kB of 2 GB quota');
  expect(usageLine([], [])).toBe('');
});

test('drawing does not start a stopped daemon', async () => {
  const attempts: boolean[] = [];
  let stop = () => {};
  const answers: Record<string, unknown> = {
    'project/open': { root: '/project', store: '/store', branch: 'main' },
    'run/list': { runs: [], next: null },
    'branch/list': { branches: [] },
    'sweep/list': { sweeps: [] },
  };
  const client = {
    request: async ({ method }: { method: string }) => answers[method],
    on() {},
    closed: new Promise<void>((resolve) => {
      stop = resolve;
    }),
    close() {},
  };
  const connection = new Connection({
    connect: async (start) => {
      attempts.push(start);
      return client as never;
    },
    log: () => {},
  });
  const nothing = () => {};
  const model = new Model(connection, { project: nothing, run: nothing, checkpoints: nothing, notice: nothing });
  await model.open('/project', true);
  expect(attempts).toEqual([true]);
  stop();
  await client.closed;
  await Promise.resolve();
  await expect(model.loadCheckpoints('/project', 'aa')).rejects.toMatchObject({ code: 'daemonUnavailable' });
  await expect(model.loadMore('/project', 'other')).rejects.toMatchObject({ code: 'daemonUnavailable' });
  expect(attempts).toEqual([true]);
  connection.dispose();
});

test('a filter loads all pages of a branch, each once, however many ask', async () => {
  const asked: (string | null)[] = [];
  const run = (number: number) => ({ id: `r${number}`, number, branch: 'main', status: 'completed' });
  const answers: Record<string, (params: { cursor: string | null }) => unknown> = {
    'project/open': () => ({ root: '/project', store: '/store', branch: 'main' }),
    'branch/list': () => ({ branches: [] }),
    'sweep/list': () => ({ sweeps: [] }),
    'run/list': ({ cursor }) => {
      asked.push(cursor);
      const from = Number(cursor ?? 5);
      return { runs: [run(from), run(from - 1)], next: from > 3 ? String(from - 2) : null };
    },
  };
  const answer = async ({ method }: { method: string }, params: never) => answers[method]!(params);
  const nothing = () => {};
  const connection = { request: answer, poll: answer, on: nothing } as never;
  const model = new Model(connection, { project: nothing, run: nothing, checkpoints: nothing, notice: nothing });
  const mirror = await model.open('/project', true);
  expect(mirror.runsOf('main')).toHaveLength(2);
  await Promise.all([model.loadAll('/project', 'main'), model.loadAll('/project', 'main')]);
  expect(mirror.runsOf('main').map(({ number }) => number)).toEqual([5, 4, 3, 2]);
  await model.loadAll('/project', 'main');
  expect(asked).toEqual([null, '3']);
});
