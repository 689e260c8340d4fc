/** The code that a checkpoint was made with, for a session that runs it instead of today's. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { inside } from '../../../base/inside.ts';
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { privateCopy } from '../../code/private-copy.ts';
import type { ProjectContext } from '../context.ts';
import type { LaunchNotice } from '../live/notices.ts';
import type { Identity } from '../records.ts';
import { isOfPackage } from './prepare.ts';
import { isRebuilt } from './rebuilt.ts';
import { lockIn, lockOfThen } from './then.ts';

export interface OriginalCode {
  /** Private copy of the worktree as it was. */
  folder: string;
  identity: Identity;
}

/** Makes the code of a checkpoint available. Throws `notFound` if it was not kept, and `wrongStatus` for a script that saves by itself. */
export async function originalCode(
  context: ProjectContext,
  run: Run,
  checkpoint: Checkpoint | null,
): Promise<OriginalCode> {
  const { place, store } = context;
  const facts = checkpoint ? await store.checkpointFacts(checkpoint.id) : null;
  const { code, commit, branch, branchId, dirty, codeLeftOut } = facts?.run ?? run;
  if (code === null)
    throw new TrainstashError(
      'notFound',
      `The code of ${run.name} was not kept, so it cannot be resumed with it. Nothing was started; \`trainstash resume ${run.number}\` resumes it with today's.`,
      { what: 'file', query: run.name },
    );
  if (facts && !isOfPackage(facts.checkpoint))
    throw new TrainstashError(
      'wrongStatus',
      `${run.name} is a script that saves by itself, into the project's own folders, so it cannot run in a copy of them. Nothing was started; \`trainstash code ${run.number} FOLDER\` writes its code to a folder where you can run it.`,
      { run: run.id, status: run.status, allowed: [] },
    );
  // In the run's own folder: it is deleted with the run.
  const folder = `${copyPrefix(place.store, run.id)}${code.slice(0, 12)}`;
  mkdirSync(dirname(folder), { recursive: true });
  await privateCopy(place, { tree: code, commit }, folder);
  return { folder, identity: { branch, branchId: branchId ?? null, commit, dirty, code, codeLeftOut } };
}

/** Tells whether a folder is a private copy of a run's worktree. */
export function isPrivateCopy({ place }: Pick<ProjectContext, 'place'>, run: string, folder: string): boolean {
  return folder.startsWith(copyPrefix(place.store, run));
}

function copyPrefix(store: string, run: string): string {
  return inside(store, `files/${run}/code-`);
}

/** Says which code a session runs, and what of it is not there. `interpreter`: the Python that was asked for. */
export function originalCodeNotices(
  { folder, identity }: OriginalCode,
  { number }: Run,
  root: string,
  interpreter?: string,
): LaunchNotice[] {
  const { codeLeftOut } = identity;
  const left =
    codeLeftOut.length > 0 ? ` Files that were too large to be kept are missing: ${codeLeftOut.join(', ')}.` : '';
  const isOfThen = interpreter !== undefined && isRebuilt(folder, interpreter);
  const packages = isOfThen ? ` Its packages are those of its ${lockIn(folder) ?? 'lock file'}.` : '';
  const text = `It runs the original code, in ${folder}. What git ignores, such as data, is today's.${packages}${left}`;
  const lock = isOfThen ? null : lockOfThen(folder, root);
  const others =
    lock &&
    `Its ${lock} is not today's, and its packages are today's. \`trainstash resume ${number} --code then --environment then\` installs the original ones, in a folder of Trainstash's own.`;
  return [
    { code: 'originalCode', level: codeLeftOut.length > 0 ? 'warning' : 'info', text },
    ...(others ? [{ code: 'otherPackages', level: 'warning' as const, text: others }] : []),
  ];
}

/** Throws `paramInvalid` for a run with its original code that would wait: the queue starts runs with the code in the tree. */
export function requireAtOnce({ name, number }: Run): never {
  throw new TrainstashError(
    'paramInvalid',
    `${name} cannot wait in the queue with its original code. Nothing was started; \`trainstash resume ${number} --code then\` starts it at once.`,
    { param: 'code', expected: 'a start without a queue' },
  );
}
