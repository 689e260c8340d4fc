/** The process of a command: how it starts, what reaches it, how it ends, and who it outlives. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isError } from '../../protocol/errors.ts';
import { runFork, runInput, runList, runStart, runStop } from '../../protocol/messages/run.ts';
import { commandFixture, environment, log, start, untilCheckpoints } from '../support/commands.ts';
import { isAlive, kill, openProject, sessionDirectory, show, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { sampleOfEach } from '../support/sample.ts';

describe.skipIf(!PYTHON)('any command', () => {
  test('that fails at once says why in one line; a missing program starts nothing', async () => {
    const fixture = commandFixture();
    const failed = await fixture.cli('run', '--', PYTHON, '-c', 'import not_to_be_found');
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).toMatch(
      /failed after \d+ s: ModuleNotFoundError: No module named 'not_to_be_found' \(exit code 1\)\./,
    );
    const missing = await fixture.cli('run', '--json', '--', 'not-to-be-found', 'x');
    expect(JSON.parse(missing.stdout).error).toMatchObject({
      code: 'commandMissing',
      data: { program: 'not-to-be-found' },
    });
    writeFileSync(join(fixture.root, 'script.sh'), 'true\n');
    const barred = await fixture.cli('run', '--', './script.sh');
    expect(barred.stderr).toContain('script.sh is not executable. Nothing was started.');
    expect(JSON.parse((await fixture.cli('ls', '--drafts', '--json')).stdout)).toHaveLength(1);
  });

  const endings = [
    ['kills itself', 'os.kill(os.getpid(), 9)', 'lost', 'ended by SIGKILL, sent by the kernel or by a person'],
    ['crashes', 'os.kill(os.getpid(), 11)', 'lost', 'ended by SIGSEGV'],
    ['is interrupted', 'signal.raise_signal(signal.SIGINT)', 'stopped', 'interrupted by SIGINT (Ctrl-C)'],
    ['leaves with a code', 'sys.exit(3)', 'failed', 'exit code 3'],
    ['has an error', '{}["lr"]', 'failed', "KeyError: 'lr' (exit code 1)"],
  ] as const;

  test.each(sampleOfEach(endings, ([, , status]) => status))(
    'that %s says so, and not what it printed last',
    async (_, statement, status, reason) => {
      const fixture = commandFixture();
      const printing = `import os, signal, sys; print('Epoch 4/10', flush=True); ${statement}`;
      await fixture.cli('run', '--', PYTHON, '-c', printing);
      const [run] = JSON.parse((await fixture.cli('ls', '--drafts', '--json')).stdout);
      expect(run).toMatchObject({ status, reason });
    },
  );

  test('reads keystrokes from its attached terminal', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'ask.py'),
      "import os; print('ANSWER', input('? '), os.get_terminal_size().columns)\n",
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'ask.py']);
    await until('it asks', async () => (await log(client, fixture, run.id)).includes('? '));
    await client.request(runInput, { root: fixture.root, run: run.id, columns: 77, rows: 20 });
    await client.request(runInput, { root: fixture.root, run: run.id, text: 'forty-' });
    await client.request(runInput, { root: fixture.root, run: run.id, text: 'two\r' });
    await untilStatus(client, fixture, run.id, 'completed');
    expect(await log(client, fixture, run.id)).toContain('ANSWER forty-two 77');
    expect(readdirSync(sessionDirectory(fixture, run).file('input'))).toEqual([]);
  });

  test('continues when the daemon is killed, and the next one stores its checkpoints; killed itself it is lost', async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--epochs', '100', '--sleep', '0.5']);
    await untilCheckpoints(client, fixture, run.id, 1);
    const { pid, child } = sessionDirectory(fixture, run).process()!;
    kill(fixture.daemonPid(), 'SIGKILL');
    const again = await openProject(fixture);
    const before = (await show(again, fixture, run.id)).run.step;
    const later = await until('it is further', async () => {
      const shown = await show(again, fixture, run.id);
      return shown.run.step > before + 300 && shown;
    });
    expect(later.run.status).toBe('running');
    kill(pid, 'SIGKILL');
    await untilStatus(again, fixture, run.id, 'lost');
    // Its terminal was hung up.
    await until('the script has ended', () => !isAlive(child!.pid));
  });

  test('a forced stop ends the script as well', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'stubborn.py'),
      "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: None); signal.signal(signal.SIGHUP, lambda *_: None)\nprint('ready', flush=True)\nwhile True: time.sleep(1)\n",
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'stubborn.py']);
    await until('it is ready', async () => (await log(client, fixture, run.id)).includes('ready'));
    const { child } = sessionDirectory(fixture, run).process()!;
    await client.request(runStop, { root: fixture.root, run: run.id });
    await client.request(runStop, { root: fixture.root, run: run.id, force: true });
    expect((await show(client, fixture, run.id)).run.status).toBe('stopped');
    await until('the script has ended', () => !isAlive(child!.pid));
  });

  test('a leading python is that of the shell that asks, not of the daemon', async () => {
    const fixture = commandFixture();
    const venv = join(fixture.folder, 'venv');
    execFileSync(PYTHON, ['-m', 'venv', '--without-pip', venv]);
    const client = await openProject(fixture);
    const words = ['python', '-c', 'import sys; print("PREFIX", sys.prefix)'];
    const active = { ...environment(), VIRTUAL_ENV: venv, PATH: `${join(venv, 'bin')}:${environment().PATH}` };
    const run = await start(client, fixture, words, { environment: active });
    await untilStatus(client, fixture, run.id, 'completed');
    expect(await log(client, fixture, run.id)).toContain(`PREFIX ${venv}`);
    const chosen = await start(client, fixture, words, { interpreter: PYTHON });
    await untilStatus(client, fixture, chosen.id, 'completed');
    expect(await log(client, fixture, chosen.id)).not.toContain(venv);
  });

  test('without a daemon runs in the foreground, and the next daemon takes over what it saved', async () => {
    const fixture = commandFixture();
    const done = await fixture.cli('run', '--no-daemon', '--', PYTHON, 'train.py', '--lr', '0.5');
    expect(done.stdout).toContain('trainstash step=300 epoch=2');
    expect(done.stdout).toContain('train completed at step 300.');
    const client = await openProject(fixture);
    const { runs } = await client.request(runList, { root: fixture.root });
    expect(runs).toMatchObject([
      { name: 'train #1', status: 'completed', step: 300, params: { lr: 0.5 }, checkpoints: 3 },
    ]);
  });

  test('in a repository with a trainstash.py of its own, the script gets that one', async () => {
    const fixture = commandFixture();
    writeFileSync(join(fixture.root, 'trainstash.py'), "name = 'the repository’s'\n");
    writeFileSync(join(fixture.root, 'use.py'), 'import trainstash; print(trainstash.name)\n');
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'use.py']);
    await untilStatus(client, fixture, run.id, 'completed');
    expect(await log(client, fixture, run.id)).toContain('the repository’s');
  });
});

test('a debugger is in the process of one session and in no record; what is no Python is refused whole', async () => {
  const jobs = {
    train: { run: 'python train.py', resume: 'python train.py --resume ${checkpoint}' },
    shell: { run: 'sh -c true' },
  };
  const fixture = commandFixture(jobs);
  const client = await openProject(fixture);
  writeFileSync(
    join(fixture.folder, 'wrapper.py'),
    "import sys, runpy; print('WRAPPED', flush=True); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')",
  );
  const words = ['-Xfrozen_modules=off', join(fixture.folder, 'wrapper.py')];
  const launch = { root: fixture.root, params: {}, environment: environment(), debugger: words };
  const refused = await client.request(runStart, { ...launch, job: 'shell' }).catch((error) => error);
  expect(isError(refused, 'notPython')).toBe(true);
  expect(refused.message).toMatch(/starts with ".*sh"\. Nothing was started/);
  expect((await client.request(runList, { root: fixture.root, drafts: true })).runs).toEqual([]);

  const run = await client.request(runStart, { ...launch, job: 'train' });
  await untilStatus(client, fixture, run.id, 'completed');
  await untilCheckpoints(client, fixture, run.id, 3);
  expect(await log(client, fixture, run.id)).toContain('WRAPPED');
  const { run: ended } = await show(client, fixture, run.id);
  expect(readFileSync(sessionDirectory(fixture, ended).file('launch'), 'utf8')).not.toContain('wrapper.py');
  const plain = { root: fixture.root, run: run.id, set: {}, environment: environment(), accept: true };
  const fork = await client.request(runFork, plain);
  await untilStatus(client, fixture, fork.id, 'completed');
  expect(await log(client, fixture, fork.id)).not.toContain('WRAPPED');
});
