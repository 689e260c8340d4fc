/** Describes a project to clients, including problems with its git and with the place of its store. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Project } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { type Place, readBranch } from '../code/project.ts';
import type { OpenProject } from './project.ts';

/** Describes the project as seen from `root`, one of its worktrees. */
export async function describeProject(project: OpenProject, root: string, trusted: boolean): Promise<Project> {
  const { place, context, worktrees, runs, store } = project;
  const [{ branch, gitProblem }] = await Promise.all([branchOf(place.git ? root : null), project.lookAtBranches()]);
  return {
    root,
    store: place.store,
    git: context.branches !== null,
    branch,
    gitProblem,
    trusted,
    madeElsewhere: !project.isOurs,
    advice: adviceOn(place),
    switchWaits: await worktrees.waitsFor(root),
    live: runs.liveRuns().length,
    needEnvironment: await runs.queued.needEnvironment(),
    runs: await store.countRuns(),
  };
}

async function branchOf(root: string | null): Promise<Pick<Project, 'branch' | 'gitProblem'>> {
  if (root === null) return { branch: null, gitProblem: null };
  try {
    return { branch: await readBranch(root), gitProblem: null };
  } catch (error) {
    if (!isError(error, 'gitUnusable')) throw error;
    return { branch: null, gitProblem: { message: error.message, data: error.data } };
  }
}

function adviceOn({ root, git, store, moveTo, other, network }: Place): string[] {
  const advice: string[] = [];
  if (network !== undefined) {
    const shared = join(root, git ? '.git/trainstash-remote' : '.trainstash-remote');
    advice.push(
      `The project is on a network file system (${network}), where database locks do not hold, so its store is on a disk of this machine. Other machines get its checkpoints from a remote beside the project: \`trainstash remote add shared ${pathToFileURL(shared).href} --push all\`.`,
    );
  }
  if (moveTo !== undefined)
    advice.push(
      `The store ${store} was made before \`git init\`, and \`git clean -fdx\` would delete it. Trainstash moves it to ${moveTo} as soon as no training writes into it, if both are on the same disk.`,
    );
  if (other !== undefined)
    advice.push(
      `There is a second store, ${other}, whose runs are not shown: it was created while git was not available. To see them, run \`trainstash daemon stop\`, move ${store} away, and use Trainstash here as usual.`,
    );
  return advice;
}
