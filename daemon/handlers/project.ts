/** Handlers of the messages about projects and their jobs. */

import { chooseStoresFolder } from '../../base/store-place.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import {
  jobKeep,
  projectInit,
  projectJobs,
  projectOpen,
  projectWhere,
  storesFolder,
} from '../../protocol/messages/project.ts';
import { gitVersion } from '../code/failure.ts';
import { describeProject } from '../runs/describe.ts';
import { initProject } from '../runs/init.ts';
import { jobsOf } from '../runs/jobs.ts';
import { saveAsJob } from '../runs/launch/save-as-job.ts';
import type { Handling } from './handling.ts';

export function projectHandlers({ on, daemon, access }: Handling): void {
  on(projectOpen, 'reads', async ({ root, trusted: trust, create, acceptStore, watch }, client) => {
    const opened = await daemon.project(root, { create, accept: acceptStore });
    const worktree = await daemon.rootOf(root);
    if (trust) daemon.trust(worktree);
    if (watch) await daemon.watch(opened, worktree, client);
    return describeProject(opened, worktree, daemon.isTrusted(worktree));
  });
  on(projectInit, 'changes', async ({ root, module }) => {
    const opened = await access.project(root);
    const worktree = await daemon.rootOf(root);
    return {
      ...initProject(worktree, module),
      project: await describeProject(opened, worktree, daemon.isTrusted(worktree)),
    };
  });
  on(projectJobs, 'reads', async ({ root }) => {
    await access.project(root);
    return jobsOf(await daemon.rootOf(root));
  });
  on(jobKeep, 'changes', async ({ root, run, name }) => {
    const { store } = await access.accepted(root);
    return saveAsJob(await daemon.rootOf(root), await store.findRun(run), name);
  });
  on(storesFolder, 'changes', ({ folder }) => {
    const problem = chooseStoresFolder(folder);
    if (problem !== null)
      throw new TrainstashError(
        'paramInvalid',
        `Stores cannot be kept in ${folder}: ${problem}. Nothing was changed. Name a folder on a disk of this machine that you can write to.`,
        { param: 'stores', expected: 'a folder on a local disk' },
      );
    daemon.forgetPlaces();
    return { folder };
  });
  on(projectWhere, 'reads', async ({ root }) => {
    const opened = await access.project(root);
    const worktree = await daemon.rootOf(root);
    return {
      project: await describeProject(opened, worktree, daemon.isTrusted(worktree)),
      usage: await opened.store.usage(),
      gitVersion: await gitVersion(),
    };
  });
}
