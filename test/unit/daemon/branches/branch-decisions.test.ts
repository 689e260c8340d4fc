/** Decisions about files in place when HEAD may have moved: one row for each rule. */
import { expect, test } from 'vitest';
import { type Decision, decide, type Situation } from '../../../../daemon/branches/decide.ts';

/** Situation after a plain `git switch` from `main` to `idea`, with files on both. */
const SWITCHED: Situation = {
  head: 'idea',
  inPlace: 'main',
  follow: true,
  files: 3,
  stashed: true,
  madeHere: false,
  writers: [],
  unclear: false,
};
const ROWS: readonly [string, Partial<Situation>, Decision][] = [
  ['HEAD is on a branch with files of its own', {}, 'swap'],
  ['HEAD’s branch has no files yet', { stashed: false }, 'swap'],
  ['only HEAD’s branch has files', { files: 0 }, 'swap'],
  ['neither branch has files', { files: 0, stashed: false }, 'record'],
  ['HEAD has not moved', { head: 'main' }, 'nothing'],
  ['HEAD is detached, as in a rebase', { head: null }, 'nothing'],
  ['no branch was in place', { inPlace: null }, 'record'],
  ['no branch was in place, and nobody was asked', { inPlace: null, follow: null }, 'record'],
  ['the user said no', { follow: false }, 'record'],
  ['the user said no, and a run writes', { follow: false, writers: ['run 3'] }, 'record'],
  ['the user was not asked', { follow: null }, 'ask'],
  ['the user was not asked, and a run writes', { follow: null, writers: ['run 3'] }, 'ask'],
  ['either branch may own newer files', { unclear: true }, 'unclear'],
  ['either branch may own newer files, and a run writes', { unclear: true, writers: ['run 3'] }, 'unclear'],
  ['a run writes', { writers: ['run 3'] }, 'wait'],
  ['a run writes, and the branch was made here', { writers: ['run 3'], madeHere: true, stashed: false }, 'wait'],
  ['HEAD’s branch was made here', { madeHere: true, stashed: false }, 'branchOff'],
  ['HEAD’s branch was made here, and has a stash', { madeHere: true }, 'swap'],
];

test.each(ROWS)('%s: %j leads to %s', (_, change, decision) => {
  expect(decide({ ...SWITCHED, ...change })).toBe(decision);
});
