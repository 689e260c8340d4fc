import { expect, test } from 'vitest';
import { Connection } from '../../extension/connection.ts';
import { Usage } from '../../extension/usage.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { projectWhere } from '../../protocol/messages.ts';

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

test('what a clock asks never starts a daemon', async () => {
  const { connection, attempts } = withoutDaemon();
  await expect(connection.poll(projectWhere, { root: '/project' })).rejects.toMatchObject({
    code: 'daemonUnavailable',
  });
  expect(attempts).toEqual([]);
  expect(connection.status.kind).toBe('off');
});

test('what a person asks starts one', async () => {
  const { connection, attempts } = withoutDaemon();
  await expect(connection.request(projectWhere, { root: '/project' })).rejects.toMatchObject({
    code: 'daemonUnavailable',
  });
  expect(attempts).toEqual([true]);
  connection.dispose();
});

test('the usage of a store is not worth a daemon that was stopped', async () => {
  const { connection, attempts } = withoutDaemon();
  const shown = await new Promise<string>((resolve) => new Usage(connection, resolve).changed('/project'));
  expect(shown).toBe('');
  expect(attempts).toEqual([]);
});
