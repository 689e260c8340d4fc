/** A command, its runner and the daemon, killed in all combinations: each death gets one status, and no complete file is lost. */
import { existsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runShow, runStop } from '../../protocol/messages/run.ts';
import { start } from '../support/commands.ts';
import {
  type Fixture,
  kill,
  makeFixture,
  openProject,
  sessionDirectory,
  show,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

const SCRIPT = `
import time
for s in range(1, 1000):
    print(f'trainstash step={s} loss={1 / s}', flush=True)
    if s == 5: open('model_step_5.pt', 'wb').write(b'x' * 999)
    time.sleep(0.05)
`;

function runnerFixture(): Fixture {
  const fixture = makeFixture({ config: { jobs: {} } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  return fixture;
}

/** Tells whether the file is there as a whole: a kill right after it was made would leave it empty. */
function hasSaved({ root }: Fixture): boolean {
  return statSync(join(root, 'model_step_5.pt'), { throwIfNoEntry: false })?.size === 999;
}

const PARTS = ['command', 'runner', 'daemon'] as const;
const COMBINATIONS = [1, 2, 3, 4, 5, 6, 7].map((bits) => PARTS.filter((_, i) => bits & (1 << i)));

/** Kills the parts right after the command's file was written; resolves with the run in its final state. */
async function killed(which: readonly (typeof PARTS)[number][]) {
  const fixture = runnerFixture();
  let client = await openProject(fixture);
  const run = await start(client, fixture, [PYTHON, 'train.py']);
  await until('it has saved', () => hasSaved(fixture));
  const record = sessionDirectory(fixture, run).process()!;
  const pids = { command: record.child!.pid, runner: record.pid, daemon: fixture.daemonPid() };
  for (const part of which) kill(pids[part], 'SIGKILL');
  if (which.includes('daemon')) client = await openProject(fixture);
  const goesOn = !which.includes('command') && !which.includes('runner');
  if (goesOn)
    await until('its file is taken', async () => (await show(client, fixture, run.id)).checkpoints.length > 0);
  else await untilStatus(client, fixture, run.id, 'lost');
  return { which: which.join(' + '), fixture, ...(await show(client, fixture, run.id)) };
}

describe.skipIf(!PYTHON)('whatever dies', () => {
  test('a run is lost if its command or its runner was killed, and has the file that was just written', async () => {
    const ends = [];
    for (const one of [COMBINATIONS.slice(0, 3), COMBINATIONS.slice(3)])
      ends.push(...(await Promise.all(one.map(killed))));
    expect(ends.map(({ which, run, checkpoints }) => [which, run.status, checkpoints.map(({ step }) => step)])).toEqual(
      ends.map(({ which }) => [which, which === 'daemon' ? 'running' : 'lost', [5]]),
    );
    for (const { run } of ends.filter(({ which }) => which !== 'daemon')) {
      expect(run.reason).toMatch(
        /ended by SIGKILL, sent by the kernel|without an exit record .* its newest checkpoint is at step 5$/,
      );
      expect(run.draft).toBe(false);
    }
  });

  test('files that came long after the last sign of life of a runner are not taken for its own', async () => {
    const fixture = runnerFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, '-c', 'import time; time.sleep(100)']);
    const directory = sessionDirectory(fixture, run);
    await until('its runner knows what was there', () => existsSync(directory.file('files')));
    kill(fixture.daemonPid(), 'SIGKILL');
    const { pid, child } = await until('both are there', () => directory.process()?.child && directory.process());
    for (const one of [pid, child!.pid]) kill(one, 'SIGKILL');
    const hourAgo = Date.now() / 1000 - 3_600;
    utimesSync(directory.file('files'), hourAgo, hourAgo);
    for (const [name, age] of [
      ['of_others.pt', 0],
      ['own.pt', 3_600],
    ] as const) {
      writeFileSync(join(fixture.root, name), 'x');
      utimesSync(join(fixture.root, name), Date.now() / 1000 - age, Date.now() / 1000 - age);
    }
    const again = await openProject(fixture);
    await untilStatus(again, fixture, run.id, 'lost');
    const { checkpoints } = await again.request(runShow, { root: fixture.root, run: run.id });
    expect(checkpoints).toHaveLength(1);
    expect(checkpoints[0]!.bytes).toBe(statSync(join(fixture.root, 'own.pt')).size);
  });

  test('ls shows the newest run though it is a draft, and says how many older ones there are', async () => {
    const fixture = runnerFixture();
    for (let i = 0; i < 2; i++) await fixture.cli('run', '--', PYTHON, '-c', 'exit(1)');
    const { stdout } = await fixture.cli('ls');
    expect(stdout).toMatch(/#2 +failed/);
    expect(stdout).not.toContain('#1');
    expect(stdout.replaceAll('\n', ' ')).toContain(
      '1 draft hidden (ended within a minute, without a checkpoint); `trainstash ls --drafts` shows it',
    );
  });

  test('a forced stop keeps the file that was just written, too', async () => {
    const fixture = runnerFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py']);
    await until('it has saved', () => hasSaved(fixture));
    const stopped = await client.request(runStop, { root: fixture.root, run: run.id, force: true });
    expect(stopped).toMatchObject({ status: 'stopped', checkpoints: 1 });
  });
});
