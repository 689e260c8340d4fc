/**
 * Entry of `trainstash node-run PLACE`: one life of a run on a node of an engine, in the foreground. It goes on from the newest whole
 * checkpoint in the place, and ends with a code that makes the engine start it again if it was ended before its time.
 */

import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allocationHere, rankIn } from '../../base/allocation.ts';
import type { Allocation } from '../../protocol/allocation.ts';
import type { Launch } from '../../protocol/session.ts';
import { isCrash } from '../../protocol/status.ts';
import { AGAIN_CODE, type Task } from '../../protocol/task.ts';
import { realCommand } from '../../session/launch.ts';
import { attend, recordEnd } from './attend.ts';
import { launched, nodeFacts } from './launcher.ts';
import { failure, liveOnce } from './life.ts';
import { beginLife, livesIn, livesUsed, readTask, sessionOfLife } from './lives.ts';
import { holderOf } from './sole.ts';

const HERE = dirname(fileURLToPath(import.meta.url));

async function main(place: string): Promise<number> {
  const task = readTask(place);
  if (!task?.launch.command) {
    console.error(
      `trainstash: ${place} has no task to run. Nothing was started. \`trainstash run JOB --on ENGINE\` makes one.`,
    );
    return 2;
  }
  const allocation = allocationHere();
  if (allocation && rankIn(allocation) > 0) return follow(place, task, allocation);
  const holder = await holderOf(livesIn(place), allocation);
  if (holder !== null) {
    console.error(`trainstash: ${holder} trains this run already. Nothing was started.`);
    return 1;
  }
  const used = livesUsed(livesIn(place));
  const directory = beginLife(place, task, allocation);
  if (used >= task.lives) {
    const text = `its ${task.lives} lives are used up; one without a new step counts twice. \`trainstash resume\` begins anew from its newest checkpoint`;
    console.error(`trainstash: not started again: ${text}`);
    await recordEnd(directory, failure('livesUsed', text, directory.launch()!), false);
    return 0;
  }
  const launch = directory.launch()!;
  if (launch.resume) console.error(`trainstash: life ${launch.life} goes on from step ${launch.resume.step}`);
  return liveOnce(directory, launch, setupOf(task, launch, allocation));
}

/** Runs the command on another node of a life: it has the same session, in which only the first node records. */
async function follow(place: string, task: Task, allocation: Allocation): Promise<number> {
  const directory = await sessionOfLife(place, allocation);
  const launch = directory?.launch();
  if (!directory || !launch) {
    console.error('trainstash: the first node of this job has not begun. Nothing was started here.');
    return 1;
  }
  const { record, signal } = await attend({
    ...setupOf(task, launch, allocation),
    directory,
    launch,
    records: false,
    rank: allocation ? rankIn(allocation) : 0,
  });
  if (signal !== null) return AGAIN_CODE;
  return isCrash(record.outcome) ? 1 : 0;
}

function setupOf(task: Task, { command }: Launch, allocation: Allocation | null) {
  const { words, env } = realCommand() ?? command!;
  const facts = nodeFacts(allocation, allocation ? rankIn(allocation) : 0);
  const { packages, graceSeconds } = task;
  return { real: { words: launched(words, task, facts), env }, packages: resolve(HERE, packages), graceSeconds };
}

// The reader may be gone; the training goes on.
process.stdout.on('error', () => {});
process.exitCode = await main(resolve(process.argv[2] ?? ''));
process.exit();
