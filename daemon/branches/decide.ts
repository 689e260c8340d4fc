/** Decides what to do after HEAD and the files in place were looked at. Pure: a table from facts to one decision. */

export interface Situation {
  /** Id of the branch that HEAD is on; null: detached, which moves nothing (rebase and bisect detach HEAD). */
  head: string | null;
  /** Id of the branch in place, whose files are in the tree; null: not known yet. */
  inPlace: string | null;
  /** True if files follow branches; null: the user was not asked yet. */
  follow: boolean | null;
  /** Number of files in place that belong to the working set. */
  files: number;
  /** HEAD's branch has a stash that would come back. */
  stashed: boolean;
  /** HEAD's branch was created since the last look, from the position of the branch in place. */
  madeHere: boolean;
  /** Live runs, or other processes, that write into the working set by path. */
  writers: readonly string[];
  /**
   * HEAD moved while the daemon was not running, and files are newer than the last look: either branch may own them.
   */
  unclear: boolean;
}

export type Decision =
  /** Files are where they belong. */
  | 'nothing'
  /** Nothing moves; the record names HEAD's branch from now on. */
  | 'record'
  /** Files stay with the new branch; the state of the old one is stashed first. */
  | 'branchOff'
  /** Files of the old branch leave, those of the new one come back. */
  | 'swap'
  | 'ask'
  | 'wait'
  | 'unclear';

export function decide(situation: Situation): Decision {
  const { head, inPlace, follow, files, stashed, madeHere, writers, unclear } = situation;
  if (head === null || head === inPlace) return 'nothing';
  if (inPlace === null) return 'record';
  if (follow === false || (files === 0 && !stashed)) return 'record';
  if (follow === null) return 'ask';
  if (unclear) return 'unclear';
  if (writers.length > 0) return 'wait';
  return madeHere && !stashed ? 'branchOff' : 'swap';
}
