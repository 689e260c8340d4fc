/** The request for another start of a job, which only the life that the scheduler runs may make. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { preemptedBy } from '../../../../runner/node/requeue.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const ALLOCATION = { kind: 'slurm', job: '3', restart: 1, node: 'n1' } as const;

afterEach(() => void vi.unstubAllEnvs());

/** Lets `scontrol` answer as Slurm 22.05 does. */
function answering(state: string, restarts: number): void {
  const bin = temporaryFolder();
  const answer = `JobId=3 JobName=train JobState=${state} Reason=None Requeue=1 Restarts=${restarts} BatchFlag=1`;
  writeFileSync(join(bin, 'scontrol'), `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
}

test.each([
  ['a preempted job that counts as running is asked for', 'RUNNING', 1, 'asked'],
  ['a job that is requeued or cancelled is not asked for', 'COMPLETING', 1, 'itself'],
  ['a job that runs elsewhere in a later start is left alone', 'RUNNING', 2, 'itself'],
] as const)('%s', (_, state, restarts, again) => {
  answering(state, restarts);
  expect(preemptedBy('SIGTERM', ALLOCATION)).toEqual({ signal: 'SIGTERM', again });
});
