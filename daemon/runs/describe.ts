/** Describes a project to clients, including problems with its git and with the place of its store. */
import type { Project } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { type Place, readHead } from '../code/project.ts';
import type { OpenProject } from './project.ts';

/** Describes the project as seen from `root`, one of its worktrees. */
export async function describeProject(project: OpenProject, root: string, trusted: boolean): Promise<Project> {
  const { place, context, worktrees, runs, store } = project;
  const { branch, gitProblem } = await branchOf(place.git ? root : null);
  await project.lookAtBranches();
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
    return { branch: (await readHead(root)).branch, gitProblem: null };
  } catch (error) {
    if (!isError(error, 'gitUnusable')) throw error;
    return { branch: null, gitProblem: { message: error.message, data: error.data } };
  }
}

function adviceOn({ store, moveTo, other }: Place): string[] {
  const advice: string[] = [];
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
