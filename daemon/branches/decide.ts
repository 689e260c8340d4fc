/** What is due when HEAD and the files in place are looked at. Pure: a table from facts to one decision. */

export interface Situation {
  /** The id of the branch that HEAD is on; null: detached, which moves nothing (rebase and bisect are that). */
  head: string | null;
  /** The id of the branch whose files are in place; null: not known yet. */
  inPlace: string | null;
  /** Whether files follow branches; null: nobody was asked yet. */
  follow: boolean | null;
  /** How many files in place are of the working set. */
  files: number;
  /** Whether HEAD's branch has something stashed that would come back. */
  stashed: boolean;
  /** HEAD's branch was made since, and from where the one in place was. */
  madeHere: boolean;
  /** Live runs, or other processes, that write into the working set by path. */
  writers: readonly string[];
  /** HEAD moved while nobody looked, and files are newer than the last look: whose are they? */
  unclear: boolean;
}

export type Decision =
  /** Files are where they belong. */
  | 'nothing'
  /** Nothing moves; the record says HEAD's branch from now on. */
  | 'record'
  /** Files stay with the new branch; the old one's state is kept first. */
  | 'branchOff'
  /** Files of the old branch leave, those of the new one come. */
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
