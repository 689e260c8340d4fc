/** Handlers of the messages about branches and the files that follow them. */
import { resolve } from 'node:path';
import {
  branchFollow,
  branchList,
  branchSync,
  stashDrop,
  stashList,
  stashRestore,
  stashShow,
} from '../../protocol/messages/branch.ts';
import type { Handling } from './handling.ts';

export function branchHandlers({ on, daemon, access }: Handling): void {
  on(branchList, 'reads', async ({ root }) => {
    const branches = await (await access.withBranchNames(root)).store.branches();
    return { revision: daemon.revision, branches };
  });

  on(branchSync, 'changes', async ({ root, files }) =>
    (await access.trusted(root)).worktrees.sync(await daemon.rootOf(root), files),
  );
  on(branchFollow, 'changes', async ({ root, follow }) =>
    (await access.trusted(root)).worktrees.follow(await daemon.rootOf(root), follow),
  );
  on(stashList, 'reads', async ({ root }) => {
    const { worktrees } = await access.project(root);
    await worktrees.settle(await daemon.rootOf(root));
    return { stashes: await worktrees.stashes.list() };
  });
  on(stashShow, 'reads', async ({ root, stash }) => {
    const { worktrees } = await access.project(root);
    await worktrees.settle(await daemon.rootOf(root));
    return worktrees.stashes.show(stash);
  });
  on(stashRestore, 'changes', async ({ root, stash, directory }) => {
    const worktree = await daemon.rootOf(root);
    const target = directory === undefined ? undefined : resolve(root, directory);
    const { worktrees } = await access.accepted(root);
    await worktrees.settle(worktree);
    return worktrees.exclusively(worktree, (stashes) => stashes.restore(worktree, stash, target));
  });
  on(stashDrop, 'changes', async ({ root, stash, undo }) => {
    const worktree = await daemon.rootOf(root);
    const { worktrees } = await access.project(root);
    await worktrees.settle(worktree);
    const dropped = await worktrees.exclusively(worktree, (stashes) => stashes.drop(stash, undo ?? false));
    return { stash: dropped };
  });
}
