/** What a run is tied to: branch, commit, code, machine. */
import { cpus } from 'node:os';
import { isError } from '../../protocol/errors.ts';
import type { KnownBranches } from '../branches/known-branches.ts';
import { type Head, readHead } from '../code/project.ts';
import { takeSnapshot } from '../code/snapshot.ts';
import type { ProjectContext } from './context.ts';
import type { Identity } from './records.ts';

const MAX_LISTED = 50;
const MAX_TRIES = 20;

/** Throws `gitUnusable` when the branch is not to be had. A run whose code cannot be kept is still a run, and says so. */
export async function identityOf({ place, branches, log }: ProjectContext): Promise<Identity> {
  if (!branches) return { branch: null, branchId: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
  const head = await restingHead(place.root, branches);
  const branchId = head.branch === null ? null : await branches.certainId(head.branch);
  let codeProblem: string | undefined;
  const snapshot = await takeSnapshot(place.root, place.store).catch((error: Error) => {
    codeProblem = isError(error, 'gitUnusable') && error.data.said ? `git: “${error.data.said}”` : error.message;
    log(`code not kept: ${error.message}`);
    return null;
  });
  const codeLeftOut = (snapshot?.leftOut ?? [])
    .slice(0, MAX_LISTED)
    .map(({ path, bytes }) => `${path} (${bytes} bytes)`);
  const code = snapshot?.tree ?? null;
  return { ...head, branchId, dirty: snapshot?.dirty ?? false, code, codeLeftOut, codeProblem };
}

/** HEAD and the branches at one moment: a rename changes one after the other. */
async function restingHead(root: string, branches: KnownBranches): Promise<Head> {
  for (let tries = 1; ; tries++) {
    const head = await readHead(root);
    await branches.look(true);
    const { branch } = await readHead(root);
    const isOneMoment = branch === head.branch && (branch === null || !(await branches.isBetweenNames(branch)));
    if (isOneMoment || tries === MAX_TRIES) return head;
  }
}

/** As the trainer reports it, so that the two can be compared. */
export function machineNow(): Record<string, string> {
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    device: cpus()[0]?.model.trim() ?? 'cpu',
  };
}
