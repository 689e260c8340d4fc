/** Compares our watch of a git directory with chokidar's: whether the last of two quick moves is told, and how soon one is. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { watch } from 'chokidar';
import { watchFolders } from '../base/watch.ts';
import { median, type Result } from './measure.ts';

const ROUNDS = 100;
const BETWEEN_MS = 25;
/** Time that an event has: no poll of ours is as quick. */
const WAIT_MS = 150;

export async function watchingBenchmarks(folder: string): Promise<Result[]> {
  const directory = mkdtempSync(join(folder, 'watching-'));
  mkdirSync(join(directory, 'refs'));
  const told = { ours: Number.NaN, theirs: Number.NaN };
  const note = (side: keyof typeof told) => {
    told[side] = performance.now();
  };
  let value = 0;
  // As git does it: a lock file that is renamed.
  const move = (): number => {
    writeFileSync(join(directory, 'HEAD.lock'), `ref: refs/heads/b${value++}\n`);
    const at = performance.now();
    renameSync(join(directory, 'HEAD.lock'), join(directory, 'HEAD'));
    return at;
  };
  move();
  const theirs = watch(directory, {
    depth: 0,
    ignoreInitial: true,
    atomic: false,
    ignored: (path) => path !== directory && !path.endsWith('HEAD'),
  });
  theirs.on('all', () => note('theirs'));
  await new Promise<void>((resolve) => theirs.on('ready', resolve));
  const ours = watchFolders([directory], {
    hint: (name) => name === 'HEAD' && note('ours'),
    look: () => {},
    everyMs: 60_000,
  });
  const last = { ours: 0, theirs: 0 };
  const latency = { ours: [] as number[], theirs: [] as number[] };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      move();
      await sleep(BETWEEN_MS);
      const at = move();
      await sleep(WAIT_MS);
      for (const side of ['ours', 'theirs'] as const) last[side] += told[side] >= at ? 1 : 0;
      const alone = move();
      await sleep(WAIT_MS);
      for (const side of ['ours', 'theirs'] as const) if (told[side] >= alone) latency[side].push(told[side] - alone);
    }
  } finally {
    ours.close();
    await theirs.close();
    rmSync(directory, { recursive: true, force: true });
  }
  const [soon, late] = [median(latency.ours), median(latency.theirs)];
  return [
    {
      name: 'watching.moves',
      value: (100 * last.ours) / ROUNDS,
      unit: '%',
      theirs: (100 * last.theirs) / ROUNDS,
      versus: 'chokidar',
      goal: { atLeast: 100 },
    },
    {
      name: 'watching.latency',
      value: soon,
      unit: 'ms',
      theirs: late,
      versus: 'chokidar',
      ratio: soon / late,
      goal: { atMost: 1 },
      raw: latency,
    },
  ];
}
