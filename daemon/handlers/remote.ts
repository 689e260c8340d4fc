/** Handlers of the messages about remotes. */
import {
  remoteAdd,
  remoteChange,
  remoteCheck,
  remoteCollect,
  remoteDecline,
  remoteFetch,
  remoteKey,
  remoteList,
  remoteMarks,
  remotePull,
  remotePush,
  remoteRemove,
  remoteRuns,
  remoteTest,
} from '../../protocol/messages/remote.ts';
import type { Remotes } from '../remotes/remotes.ts';
import { offeredBy } from '../runs/config.ts';
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

  on(remoteList, 'reads', async ({ root }) => {
    const offered = offeredBy(await daemon.rootOf(root));
    return using(root, (remotes) => ({ remotes: remotes.list(), offers: remotes.offers(offered) }));
  });
  on(remoteDecline, 'changes', ({ root, name, url }) =>
    using(root, (remotes) => {
      remotes.decline(name, url);
      return {};
    }),
  );
  on(remoteMarks, 'reads', ({ root, run }) => using(root, (remotes) => remotes.marks(run)));
  on(remoteRuns, 'reads', ({ root, name, ...which }) => using(root, (remotes) => remotes.runs(name, which)));
  on(remoteAdd, 'changes', async ({ root, name, environment, push, bytesPerSecond, encrypt, keyFile, ...place }) => {
    const worktree = await daemon.rootOf(root);
    return using(
      root,
      (remotes) => remotes.add(name, place, worktree, { push, bytesPerSecond, encrypt, keyFile }),
      environment,
    );
  });
  on(remoteChange, 'changes', ({ root, name, push, bytesPerSecond }) =>
    using(root, (remotes) => remotes.change(name, { push, bytesPerSecond })),
  );
  on(remoteKey, 'changes', ({ root, name, environment }) =>
    using(root, async (remotes) => ({ key: await remotes.key(name) }), environment),
  );
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
