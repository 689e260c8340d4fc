/** `node-run` by itself: on a scratch disk that is full, and with its lives used up. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { randomId } from '../../protocol/ids.ts';
import { beginLife, livesIn, readTask } from '../../runner/node/lives.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { fill, onSmallDisk, smallDisk } from '../support/small-disk.ts';
import { DIST, makeLaunch } from '../support/trainer.ts';

/** Makes a place whose command is a script of the shell with these words. */
function placeIn(folder: string, script: string, ...words: string[]): string {
  const place = join(folder, 'place');
  mkdirSync(place, { recursive: true });
  const command = { words: ['sh', '-c', script, 'sh', ...words], cwd: folder, env: {}, dir: folder };
  const rest = { checkpoints: [], parts: {}, usesPackage: false, facts: {} };
  const launch = makeLaunch({
    module: '',
    run: randomId(),
    root: folder,
    cwd: folder,
    backend: '',
    command: { ...command, ...rest },
  });
  const task = { format: 1, run: launch.run, launch, graceSeconds: 10, lives: 2, packages: './python', nodes: 1 };
  writeFileSync(join(place, 'task.json'), JSON.stringify({ ...task, launcher: 'plain' }));
  return place;
}

function nodeRun(place: string): { child: ChildProcess; ended: Promise<number | null> } {
  const env = { ...process.env, TRAINSTASH_ALLOCATION: 'none' };
  const child = spawn(process.execPath, [join(DIST, 'node-run.mjs'), place], { env, stdio: 'ignore' });
  afterwards(() => void child.kill('SIGKILL'));
  return { child, ended: new Promise((resolve) => child.once('exit', resolve)) };
}

onSmallDisk('on a full scratch disk the command goes on, and its end is recorded when there is room', async () => {
  const disk = smallDisk(4);
  const outside = temporaryFolder();
  const go = join(outside, 'go');
  const said = join(outside, 'said');
  const place = placeIn(
    disk,
    'echo begins; until [ -e "$1" ]; do sleep 0.05; done; seq 1000; echo done > "$2"',
    go,
    said,
  );
  const { child, ended } = nodeRun(place);
  const exitOf = () => livesIn(place)[0]?.directory.exit() ?? null;
  await until('it has begun', () => livesIn(place)[0]?.directory.process());
  const filler = fill(disk);
  writeFileSync(go, '');
  await until('the command has ended', () => existsSync(said));
  expect(child.exitCode).toBeNull();
  expect(exitOf()).toBeNull();
  rmSync(filler);
  expect(await ended).toBe(0);
  expect(exitOf()).toMatchObject({ outcome: 'completed', whole: true });
});

test('a place whose lives are used up is not trained again, and says so', async () => {
  const folder = temporaryFolder();
  const place = placeIn(folder, 'touch "$1"', join(folder, 'trained'));
  beginLife(place, readTask(place)!, null);
  livesIn(place)[0]!.directory.writeExit({ outcome: 'lost', step: 0, at: 1, reason: '', error: null });
  const { ended } = nodeRun(place);
  expect(await ended).toBe(0);
  expect(existsSync(join(folder, 'trained'))).toBe(false);
  expect(livesIn(place).at(-1)!.directory.exit()).toMatchObject({ outcome: 'failed', error: { code: 'livesUsed' } });
});
