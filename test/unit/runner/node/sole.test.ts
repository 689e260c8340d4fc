/** Lives of one run that meet: the later one waits, asks the earlier one to end, or is refused. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Allocation } from '../../../../protocol/allocation.ts';
import { SUPERSEDED_FILE } from '../../../../protocol/task.ts';
import { livesIn } from '../../../../runner/node/lives.ts';
import { holderOf } from '../../../../runner/node/sole.ts';
import { SessionDirectory } from '../../../../session/directory.ts';
import { temporaryFolder, until } from '../../../support/folder.ts';
import { makeLaunch } from '../../../support/trainer.ts';

const JOB: Allocation = { kind: 'slurm', job: '7', restart: 0, node: 'n1' };

/** Makes a place whose one life has just been alive. */
function living(allocation: Allocation): { place: string; directory: SessionDirectory } {
  const place = temporaryFolder();
  const directory = SessionDirectory.create(join(place, 'sessions'), makeLaunch({ allocation, life: 1 }));
  writeFileSync(directory.file('alive'), '1');
  return { place, directory };
}

test('a life on a node that the scheduler has lost is asked to save, and the next one begins once it has ended', async () => {
  const { place, directory } = living(JOB);
  const asked = holderOf(livesIn(place), { ...JOB, restart: 1, node: 'n2' });
  await until('it is asked', () => existsSync(join(directory.path, SUPERSEDED_FILE)));
  directory.writeExit({ outcome: 'paused', step: 5, at: 1, reason: '', error: null });
  expect(await asked).toBeNull();
});

test('on the same node nothing is waited for, nor after a life that has told its end or was never seen', async () => {
  const { place } = living(JOB);
  expect(await holderOf(livesIn(place), { ...JOB, restart: 1 })).toBeNull();
  const other = living(JOB);
  other.directory.writeExit({ outcome: 'completed', step: 5, at: 1, reason: '', error: null });
  expect(await holderOf(livesIn(other.place), { ...JOB, job: '8' })).toBeNull();
  expect(await holderOf([], JOB)).toBeNull();
  expect(existsSync(join(other.directory.path, SUPERSEDED_FILE))).toBe(false);
});
