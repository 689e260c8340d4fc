/** Messages about branches, the files that follow them, and stashes. */
import * as v from 'valibot';
import { request, root, text } from './request.ts';

export interface BranchSummary {
  /** Null: runs on a detached HEAD or without git. */
  name: string | null;
  runs: number;
  drafts: number;
  live: number;
  newestAt: number;
}

/** Lists the branches that have runs, the newest first. */
export const branchList = request<{ revision: number; branches: BranchSummary[] }>()('branch/list', v.object({ root }));

export type SyncState =
  /** The files in the tree belong to HEAD's branch. */
  | 'inPlace'
  /** HEAD is detached: the files stay unchanged. */
  | 'detached'
  /** It is not decided yet whether files follow branches: nothing moves. */
  | 'ask'
  /** Something writes to the working set: the files move once it has ended or paused. */
  | 'waiting'
  /** HEAD moved while no daemon was watching, and files have changed since: a person decides whose they are. */
  | 'unclear'
  /** The switch failed. Whatever was done is kept, and it is tried again. */
  | 'failed';

export interface SyncResult {
  state: SyncState;
  /** HEAD's branch; null: detached, or no git. */
  branch: string | null;
  /** The branch whose files are in place. */
  inPlace: string | null;
  /** Reason for waiting or failing, for people. */
  reason: string;
  /** Numbers of files that this call moved out of the tree and into it. */
  movedOut: number;
  movedIn: number;
  /** Files that appeared after HEAD had moved: they stayed and count as the new branch's. */
  late: string[];
  /** Files that did not come back because another file is in their place; they are still stashed. */
  conflicts: string[];
}

/** Brings the files of HEAD's branch into place. Returns when that is done, or why it is not. `files` settles `unclear`. */
export const branchSync = request<SyncResult>()(
  'branch/sync',
  v.object({ root, files: v.optional(v.picklist(['move', 'stay'])) }),
);

/** Answers the question whether files follow branches, which is asked once per project. */
export const branchFollow = request<SyncResult>()('branch/follow', v.object({ root, follow: v.boolean() }));

export interface StashSummary {
  id: string;
  branch: string;
  /** True if the branch that this stash belongs to still exists under that name. */
  branchExists: boolean;
  /** True if it is restored automatically when the branch is checked out. */
  automatic: boolean;
  reason: 'switch' | 'branched' | 'vanished' | 'conflict' | 'replaced';
  files: number;
  bytes: number;
  /** Number of files that are in the store; the others are only in its folder. */
  stored: number;
  createdAt: number;
  /** Time at which it was moved to the trash. */
  droppedAt: number | null;
}

export const stashList = request<{ stashes: StashSummary[] }>()('stash/list', v.object({ root }));

export const stashShow = request<{ stash: StashSummary; files: { path: string; bytes: number; stored: boolean }[] }>()(
  'stash/show',
  v.object({ root, stash: text }),
);

/** Restores files to their places, or below `directory`. A file that is in the way stays, and so does the stashed one. */
export const stashRestore = request<{ restored: string[]; conflicts: string[] }>()(
  'stash/restore',
  v.object({ root, stash: text, directory: v.optional(text) }),
);

/** Moves a stash to the trash, which is emptied after 7 days. `undo` takes it (or the newest one) out again. */
export const stashDrop = request<{ stash: StashSummary }>()(
  'stash/drop',
  v.object({ root, stash: v.optional(text), undo: v.optional(v.boolean()) }),
);
