/** Identity of a run: branch, commit, code, machine. */
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { isError } from '../../../protocol/errors.ts';
import type { KnownBranches } from '../../branches/known-branches.ts';
import { codeChanges } from '../../code/changes.ts';
import { type Head, readHead } from '../../code/project.ts';
import { isGitWriting, type Snapshot, takeSnapshot } from '../../code/snapshot.ts';
import type { ProjectContext } from '../context.ts';
import { withoutOutputs } from '../outputs.ts';
import type { Identity } from '../records.ts';

const MAX_LISTED = 50;
const MAX_NAMED = 4;
/** Age above which a git lock is stale: its git has died. */
const STALE_LOCK_MS = 3_000;
const PAUSE_MS = 150;
const ROUNDS = 5;

/**
 * Reads the identity. Throws `gitUnusable` when the branch cannot be read. A run whose code cannot be kept is still a
 * run, and says so.
 */
export async function identityOf(context: ProjectContext): Promise<Identity> {
  const { branches } = context;
  if (!branches) return { branch: null, branchId: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
  const { head, snapshot, codeProblem } = await stableTree(context, branches);
  const branchId = head.branch === null ? null : await branches.certainId(head.branch);
  const codeLeftOut = (snapshot?.leftOut ?? [])
    .slice(0, MAX_LISTED)
    .map(({ path, bytes }) => `${path} (${bytes} bytes)`);
  const code = snapshot?.tree ?? null;
  return { ...head, branchId, dirty: snapshot?.dirty ?? false, code, codeLeftOut, codeProblem };
}

interface TreeState {
  head: Head;
  /** Null: it could not be kept, for the reason in `codeProblem`. */
  snapshot: Snapshot | null;
  codeProblem: string | undefined;
}

/**
 * Reads HEAD, the branches and the files at one moment. git writes the files of a switch first and HEAD last, and a
 * rename changes HEAD and the branches one after the other: a state read in between belongs to no commit.
 */
async function stableTree({ place, log }: ProjectContext, branches: KnownBranches): Promise<TreeState> {
  for (let round = 1; ; round++) {
    const until = Date.now() + STALE_LOCK_MS;
    while ((await isGitWriting(place.root)) && Date.now() < until) await delay(PAUSE_MS);
    const head = await readHead(place.root);
    let codeProblem: string | undefined;
    const snapshot = await takeSnapshot(place.root, place.store).catch((error: Error) => {
      codeProblem = isError(error, 'gitUnusable') && error.data.said ? `git: “${error.data.said}”` : error.message;
      log(`code not kept: ${error.message}`);
      return null;
    });
    await branches.look(true);
    const after = await readHead(place.root);
    const moved =
      after.branch !== head.branch ||
      after.commit !== head.commit ||
      (after.branch !== null && (await branches.isRenaming(after.branch))) ||
      (await isGitWriting(place.root));
    if (!moved || round === ROUNDS) return { head, snapshot, codeProblem };
  }
}

/** Identity of the tree at a moment: the user may edit or switch after it. */
export interface Measured {
  identity: Identity;
  at: number;
}

export async function measure(context: ProjectContext): Promise<Measured> {
  return { at: Date.now(), identity: await identityOf(context) };
}

/** Measures twice with a pause in between, so that a switch under way is not reported. Null: something is moving. */
export async function measureStable(context: ProjectContext): Promise<Measured | null> {
  const [first, second] = [await measure(context), await delay(PAUSE_MS).then(() => measure(context))];
  const { branch, commit, code } = first.identity;
  const { identity } = second;
  return identity.branch === branch && identity.commit === commit && identity.code === code ? second : null;
}

/** Difference between the tree and the state that a run was recorded with. */
export interface CodeDifference {
  /** True if branch or commit differ. */
  head: boolean;
  /**
   * True if the code differs, without files that runs have written. `files` lists the differing files, as far as known.
   */
  code: boolean;
  files: string[];
}

export async function codeDifference(
  context: Pick<ProjectContext, 'store' | 'place'>,
  before: Pick<Identity, 'branch' | 'branchId' | 'commit' | 'code'>,
  now: Identity,
): Promise<CodeDifference> {
  const head = !isSameBranch(before, now) || before.commit !== now.commit;
  // Code that was not kept, then or now, cannot be compared.
  if (before.code === null || now.code === null || before.code === now.code) return { head, code: false, files: [] };
  const changes = await codeChanges(context.place.store, before.code, now.code);
  const own = await withoutOutputs(context, changes);
  // The trees differ, so an empty list means that the changes could not be read.
  return { head, code: changes.length === 0 || own.length > 0, files: own.map(({ path }) => path) };
}

/** Compares branches by id, which survives a rename, or by name where an id is unknown. */
function isSameBranch(
  one: Pick<Identity, 'branch' | 'branchId'>,
  other: Pick<Identity, 'branch' | 'branchId'>,
): boolean {
  return one.branchId && other.branchId ? one.branchId === other.branchId : one.branch === other.branch;
}

/** Describes the difference: `HEAD is idea @ 1a2b3c4d5e, not main @ 5d4c3b2a10; changed: train.py`. */
export function differenceText(
  { head, code, files }: CodeDifference,
  before: Pick<Identity, 'branch' | 'commit'>,
  now: Identity,
): string {
  const moved = head ? `HEAD is ${headText(now)}, not ${headText(before)}` : '';
  if (!code) return moved ? `${moved}, with the same code` : '';
  return [moved, files.length > 0 ? `changed: ${listed(files)}` : 'its code has changed'].filter(Boolean).join('; ');
}

function headText({ branch, commit }: Pick<Identity, 'branch' | 'commit'>): string {
  return `${branch ?? 'detached'}${commit ? ` @ ${commit.slice(0, 10)}` : ''}`;
}

function listed(files: readonly string[]): string {
  return files.length <= MAX_NAMED
    ? files.join(', ')
    : `${files.slice(0, MAX_NAMED).join(', ')} and ${files.length - MAX_NAMED} more`;
}

/** Describes this machine in the form that the trainer reports, so that the two can be compared. */
export function machineNow(): Record<string, string> {
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    device: cpus()[0]?.model.trim() ?? 'cpu',
  };
}
