/** The editor's copy of what is on remotes: what is gone there is gone here. */
import { expect, onTestFinished, test } from 'vitest';
import { RemotesModel } from '../../../extension/core/remotes-model.ts';
import { remoteList, remoteMarks } from '../../../protocol/messages/remote.ts';
import { until } from '../../support/folder.ts';

test('a mark goes when its checkpoint is deleted there, and all go with the remote', async () => {
  let there: Record<string, string[]> = { a: ['box'], b: ['box'] };
  let waiting = ['c'];
  let remotes: unknown[] = [{ name: 'box' }];
  let looks = 0;
  const connection = {
    on() {},
    async poll({ method }: { method: string }) {
      if (method === remoteList.method) return { remotes, offers: [] };
      expect(method).toBe(remoteMarks.method);
      return { there, waiting };
    },
  };
  const model = new RemotesModel(connection as never, () => [{ root: '/p', store: '/s' }]);
  onTestFinished(() => model.dispose());
  model.onChanged(() => looks++);
  const looked = async () => {
    const before = looks;
    model.look();
    await until('it has looked again', () => looks > before);
  };
  model.follow('/p', 'run');
  await looked();
  expect([model.markOf('run', 'a'), model.markOf('run', 'b'), model.isWaiting('run')]).toEqual([
    { there: ['box'] },
    { there: ['box'] },
    true,
  ]);
  there = { b: ['box'] };
  waiting = [];
  await looked();
  expect([model.markOf('run', 'a'), model.isWaiting('run')]).toEqual([undefined, false]);
  expect(model.markOf('run', 'b')).toEqual({ there: ['box'] });
  remotes = [];
  await looked();
  expect(model.markOf('run', 'b')).toBeUndefined();
});
