/** A session directory on a disk that fills up: reported events are not lost, and no file is truncated. */

import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { readJson, writeJson } from '../../base/files.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { Reporter } from '../../session/reporter.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { PACKAGE, PYTHON, pythonLaunch, runPython } from '../support/python.ts';
import { fill, onSmallDisk, smallDisk } from '../support/small-disk.ts';
import { events, inbox, losses, makeLaunch, startTrainer } from '../support/trainer.ts';
import { trainerText } from '../support/trainer-text.ts';

const LONG = 'x'.repeat(9_000);

function steps(directory: SessionDirectory): number[] {
  return events(directory).flatMap((event) => (event.type === 'notice' ? (event.step ?? []) : []));
}

function blankLines(directory: SessionDirectory): number {
  return readFileSync(directory.file('events'), 'utf8')
    .split('\n')
    .filter((line) => line === '').length;
}

onSmallDisk('a trainer’s events wait for room: every one comes, in order, however often it is tried', () => {
  const disk = smallDisk(1);
  const directory = SessionDirectory.create(join(disk, 'sessions'), makeLaunch());
  const reporter = new Reporter(directory);
  const say = (step: number) => reporter.report({ type: 'notice', code: 'test', level: 'warning', text: LONG, step });
  say(1);
  reporter.flush();
  const filler = fill(disk);
  // The rest of the file's last page takes a part of the first line.
  for (let step = 2; step <= 5; step++) {
    say(step);
    reporter.flush();
  }
  const now = performance.now();
  const clock = vi.spyOn(performance, 'now');
  for (let second = 2; second < 100; second++) {
    clock.mockReturnValue(now + second * 1_000);
    reporter.flush();
  }
  clock.mockRestore();
  rmSync(filler);
  say(6);
  reporter.close();
  expect(blankLines(directory)).toBeLessThan(10);
  expect([...new Set(steps(directory))]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('events that cannot be written, for whatever reason, do not end the training', () => {
  const directory = SessionDirectory.create(join(temporaryFolder(), 'sessions'), makeLaunch());
  execFileSync('mkfifo', [directory.file('events')]);
  const reader = openSync(directory.file('events'), 'r+');
  const reporter = new Reporter(directory);
  closeSync(reader);
  // No process reads it any more: EPIPE.
  reporter.report({ type: 'answered', control: 1, step: 1 });
  expect(() => reporter.flush()).not.toThrow();
  expect(() => reporter.close()).not.toThrow();
});

onSmallDisk('a JSON file that does not fit is not there, and the one before stays', () => {
  const disk = smallDisk(1);
  const path = join(disk, 'file.json');
  writeJson(path, { number: 1 });
  fill(disk);
  expect(() => writeJson(path, { text: LONG })).toThrow();
  expect(readJson(path)).toEqual({ number: 1 });
  expect(readdirSync(disk).sort()).toEqual(['file.json', 'filler']);
});

onSmallDisk('a Python script’s events wait for room, and its JSON files are whole or not there', ({ skip }) => {
  skip(!PYTHON);
  const disk = smallDisk(1);
  const directory = SessionDirectory.create(join(disk, 'sessions'), makeLaunch());
  const target = join(disk, 'file.json');
  const program = trainerText('events_on_full_disk.py');
  const { stdout, stderr } = spawnSync(PYTHON, ['-c', program, directory.path, target, join(disk, 'filler'), LONG], {
    env: { ...process.env, PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1' },
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
  expect(stderr).not.toContain('Traceback');
  expect(JSON.parse(readFileSync(target, 'utf8'))).toEqual({ number: 1 });
  expect(blankLines(directory)).toBeLessThan(10);
  expect([...new Set(steps(directory))]).toEqual([1, 2, 3, 4, 5, 6]);
  expect(readdirSync(disk)).not.toContainEqual(expect.stringContaining('.tmp'));
});

describe('a disk that has no room for checkpoints', () => {
  const OFTEN = { everySeconds: 0, everySteps: 2, everyEpochs: null, onBest: false };
  /** Space for events and small files, but not for a state. */
  const LEFT = 32 << 10;

  const saidFailed = (directory: SessionDirectory) =>
    events(directory).flatMap((event) =>
      event.type === 'notice' && event.code === 'checkpointFailed' ? event.text : [],
    );
  const waitsForRoom = (directory: SessionDirectory) => saidFailed(directory)[1]?.includes('within ten minutes');
  const stepsOf = (directory: SessionDirectory) => losses(directory).map(([step]) => step);
  const upTo = (step: number) => Array.from({ length: step }, (_, i) => i + 1);

  async function waitingTrainer() {
    const disk = smallDisk(2);
    const launch = makeLaunch({ params: { slow: 10, units: 200 }, checkpoint: OFTEN });
    const { directory, child } = startTrainer(join(disk, 'sessions'), launch);
    const filler = fill(disk, LEFT);
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await until('it has said so of its last state', () => waitsForRoom(directory));
    return { directory, child, filler, ended };
  }

  onSmallDisk('a trainer trains to its end, and keeps its last state as soon as there is room', async () => {
    const { directory, filler, ended } = await waitingTrainer();
    expect(directory.exit()).toBeNull();
    expect(inbox(directory)).toEqual([]);
    rmSync(filler);
    expect(await ended).toBe(0);
    expect(directory.exit()).toMatchObject({ outcome: 'completed', step: 18 });
    expect(inbox(directory).map(({ facts }) => [facts.step, facts.reasons])).toEqual([[18, ['end']]]);
    expect(stepsOf(directory)).toEqual(upTo(18));
    expect(saidFailed(directory)).toHaveLength(2);
  });

  onSmallDisk('who ends a trainer that waits for room reads that its last state is not kept', async () => {
    const { directory, child, ended } = await waitingTrainer();
    child.kill('SIGTERM');
    expect(await ended).toBe(1);
    expect(directory.exit()).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('last state could not be written'),
    });
  });

  onSmallDisk(
    'a Python script does not pause without a checkpoint, and waits with its last state',
    async ({ skip }) => {
      skip(!PYTHON);
      const disk = smallDisk(2);
      const filler = join(disk, 'filler');
      const path = join(temporaryFolder(), 'script.py');
      writeFileSync(path, PYTHON_SCRIPT);
      const launch = pythonLaunch({ checkpoint: OFTEN });
      const running = runPython(join(disk, 'sessions'), launch, [path], { FILLER: filler, LEFT: String(LEFT) });
      const directory = new SessionDirectory(join(disk, 'sessions', launch.session));
      await until('it has said so of its last state', () => waitsForRoom(directory), 60_000);
      expect(stepsOf(directory)).toEqual(upTo(30));
      expect(directory.exit()).toBeNull();
      rmSync(filler);
      const { code, final } = await running;
      expect({ code, final }).toEqual({ code: 0, final: 'FINAL 30' });
      expect(inbox(directory).at(-1)!.facts).toMatchObject({ step: 30, reasons: ['end'] });
      expect(directory.exit()).toBeNull();
    },
  );
});

const PYTHON_SCRIPT = trainerText('trains_on_full_disk.py');
