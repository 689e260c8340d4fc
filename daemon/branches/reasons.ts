/** Texts that a branch switch shows to people. */
import { counted } from '../../protocol/words.ts';

export type BranchNotice =
  | 'switched'
  | 'switchWaits'
  | 'switchFailed'
  | 'askFollow'
  | 'vanished'
  | 'replaced'
  | 'stashOffered'
  | 'canResume';

/** Notifies the user; `run`: about that run. */
export type Notify = (code: BranchNotice, text: string, run?: string) => void;

const MAX_LISTED = 20;

/** Describes the files that a switch moved; empty: none. */
export function movedText(
  from: string,
  to: string | null,
  { movedOut, movedIn }: { movedOut: number; movedIn: number },
) {
  const parts = [
    movedOut > 0 ? `${counted(movedOut, 'file')} of ${from} stashed` : '',
    movedIn > 0 ? `${counted(movedIn, 'file')} of ${to} back in place` : '',
  ].filter(Boolean);
  return parts.length > 0 ? `${parts.join(', ')}.` : '';
}

export function unsureText(branch: string): string {
  return `git's reflog of ${branch} is gone, so Trainstash cannot tell whether it is the branch whose files are in the tree or another one of that name`;
}

export function listed(names: readonly string[]): string {
  const more = names.length - MAX_LISTED;
  return `${names.slice(0, MAX_LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
