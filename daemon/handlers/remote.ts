/** Handlers of the messages about remotes. */
import {
  remoteAdd,
  remoteCheck,
  remoteCollect,
  remoteFetch,
  remoteList,
  remotePull,
  remotePush,
  remoteRemove,
  remoteRuns,
  remoteTest,
} from '../../protocol/messages/remote.ts';
import type { Remotes } from '../remotes/remotes.ts';
import type { Handling } from './handling.ts';

export function remoteHandlers({ on, daemon, access }: Handling): void {
  /** Uses the remotes of an accepted store: one from elsewhere could name remotes to which nobody wants to send. */
  const using = async <T>(
    root: string,
    work: (remotes: Remotes) => T | Promise<T>,
    environment?: Record<string, string>,
  ): Promise<T> =>
    daemon.transferring(await access.accepted(root), (remotes) => {
      remotes.useEnvironment(environment);
      return work(remotes);
    });

  on(remoteList, 'reads', ({ root }) => using(root, (remotes) => ({ remotes: remotes.list() })));
  on(remoteRuns, 'reads', ({ root, name, limit }) => using(root, (remotes) => remotes.runs(name, limit)));
  on(remoteAdd, 'changes', async ({ root, name, environment, ...place }) => {
    const worktree = await daemon.rootOf(root);
    return using(root, (remotes) => remotes.add(name, place, worktree), environment);
  });
  on(remoteTest, 'changes', ({ root, name, environment }) => using(root, (remotes) => remotes.test(name), environment));
  on(remoteRemove, 'changes', ({ root, name }) =>
    using(root, (remotes) => {
      remotes.remove(name);
      return {};
    }),
  );
  on(remotePush, 'changes', ({ root, to, targets, environment }, _client, task) =>
    using(root, (remotes) => remotes.push(to, targets ?? [], task), environment),
  );
  on(remoteFetch, 'changes', ({ root, name, environment }, _client, task) =>
    using(root, async (remotes) => ({ fetched: await remotes.fetch(name, task) }), environment),
  );
  on(remotePull, 'changes', ({ root, targets, environment }, _client, task) =>
    using(root, (remotes) => remotes.pull(targets, task), environment),
  );
  on(remoteCollect, 'changes', ({ root, name, dryRun, environment }, _client, task) =>
    using(root, (remotes) => remotes.collect(name, dryRun ?? false, task), environment),
  );
  on(remoteCheck, 'changes', ({ root, name, data, environment }, _client, task) =>
    using(root, (remotes) => remotes.check(name, data ?? false, task), environment),
  );
}
