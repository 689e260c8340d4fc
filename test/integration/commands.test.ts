import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isError } from '../../protocol/errors.ts';
import { checkpointRestore } from '../../protocol/messages/checkpoint.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { runFork, runInput, runList, runPause, runResume, runStart, runStop } from '../../protocol/messages/run.ts';
import { environment, log, start, startJob, untilCheckpoints } from '../support/commands.ts';
import {
  type Fixture,
  isAlive,
  kill,
  makeFixture,
  openProject,
  sessionDirectory,
  shellEnvironment,
  show,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

/** Script that trains nothing and saves files as scripts do, without the package. */
const SCRIPT = `
import os, sys, time, zipfile
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
def save(path, text, whole=True):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with zipfile.ZipFile(path, 'w') as z: z.writestr('archive/data.pkl', text)
    if not whole: os.truncate(path, os.path.getsize(path) - 10)
start = 0
if '--resume' in args:
    with zipfile.ZipFile(args['--resume']) as z: start = int(z.read('archive/data.pkl')) + 1
    print('RESUMED', args['--resume'], start, flush=True)
print('TTY', sys.stdout.isatty(), args, flush=True)
for epoch in range(start, int(args.get('--epochs', 3))):
    print(f'trainstash step={(epoch + 1) * 100} epoch={epoch} loss={1 / (epoch + 1)}', flush=True)
    save(f'out/ckpt_epoch_{epoch:04d}.pt', str(epoch))
    time.sleep(float(args.get('--sleep', 0)))
`;

function commandFixture(jobs: object = {}): Fixture {
  const fixture = makeFixture({ config: { jobs } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  writeFileSync(join(fixture.root, '.gitignore'), 'out/\n');
  return fixture;
}

function everyFile(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    .join('\n');
}

describe.skipIf(!PYTHON)('any command', () => {
  test('runs in a terminal; its files are checkpoints, its lines metrics, its flags params', async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--lr', '0.1', '--api-key', 'very-secret-value']);
    expect(run).toMatchObject({ kind: 'command', cooperative: false, name: 'train #1', params: { lr: 0.1 } });
    await untilStatus(client, fixture, run.id, 'completed');
    const { run: ended, checkpoints } = await show(client, fixture, run.id);
    expect(ended).toMatchObject({ step: 300, epoch: 2, metrics: { loss: { last: 1 / 3, count: 3 } } });
    expect(checkpoints.map(({ epoch, step, grade, reasons }) => [epoch, step, grade, reasons])).toEqual([
      [0, 100, 'weights only', ['file']],
      [1, 200, 'weights only', ['file']],
      [2, 300, 'weights only', ['file']],
    ]);
    expect(await log(client, fixture, run.id)).toContain('TTY True');
    // Values of the environment and anything that looks like a secret are not written to disk.
    const written = everyFile(fixture.store) + everyFile(join(fixture.folder, 'state'));
    expect(written).toContain('--api-key');
    expect(written.replaceAll("'--api-key': 'very-secret-value'", '')).not.toContain('very-secret-value');
    expect(written).not.toContain('a value of the environment');
  });

  test('resumes by the job’s template; a missing file is restored, and a changed one is left alone', async () => {
    const fixture = commandFixture({
      train: {
        run: [PYTHON, 'train.py'],
        resume: [PYTHON, 'train.py', '--resume', '${checkpoint}'],
        params: { epochs: 2 },
      },
    });
    const client = await openProject(fixture);
    const run = await startJob(client, fixture, 'train');
    await untilStatus(client, fixture, run.id, 'completed');
    rmSync(join(fixture.root, 'out'), { recursive: true });
    const resume = () =>
      client.request(runResume, {
        root: fixture.root,
        environment: environment(),
        run: run.id,
        set: { epochs: 4 } as never,
        accept: true,
      });
    await resume();
    await untilStatus(client, fixture, run.id, 'completed');
    expect(await log(client, fixture, run.id)).toContain(`RESUMED ${join(fixture.root, 'out/ckpt_epoch_0001.pt')} 2`);
    expect(readdirSync(join(fixture.root, 'out')).sort()).toEqual([
      'ckpt_epoch_0001.pt',
      'ckpt_epoch_0002.pt',
      'ckpt_epoch_0003.pt',
    ]);
    writeFileSync(join(fixture.root, 'out/ckpt_epoch_0003.pt'), 'another one');
    await resume();
    const { run: ended } = await show(client, fixture, (await untilStatus(client, fixture, run.id, 'completed')).id);
    expect(readFileSync(join(fixture.root, 'out/ckpt_epoch_0003.pt'), 'utf8')).toBe('another one');
    expect(await log(client, fixture, run.id)).toMatch(/RESUMED \S+restore\/ckpt_epoch_0003\.pt 4/);
    expect(ended.notices.at(-1)!.text).toContain('differs from the checkpoint and was left alone');
  });

  test('without a template asks once whether the script continues by itself', async () => {
    const fixture = commandFixture({ train: [PYTHON, 'train.py'].join(' ') });
    const client = await openProject(fixture);
    const run = await startJob(client, fixture, 'train');
    await untilStatus(client, fixture, run.id, 'completed');
    const options = { root: fixture.root, environment: environment(), run: run.id };
    const error = await client.request(runResume, { ...options, accept: false }).catch((e: unknown) => e);
    if (!isError(error, 'preflightDiffers')) throw error;
    expect(error.data.differences).toMatchObject([{ kind: 'script' }]);
    await client.request(runResume, { ...options, accept: true });
    await untilStatus(client, fixture, run.id, 'completed');
    await client.request(runResume, { ...options, accept: false });
    await untilStatus(client, fixture, run.id, 'completed');
  });

  test('is paused only after a warning about what is lost', async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--epochs', '100', '--sleep', '1']);
    await untilCheckpoints(client, fixture, run.id, 1);
    const error = await client.request(runPause, { root: fixture.root, run: run.id }).catch((e: unknown) => e);
    if (!isError(error, 'pauseLoses')) throw error;
    expect(error.data.checkpointStep).toBeGreaterThanOrEqual(100);
    expect(error.message).toMatch(/going back to step \d+ \(\d+ s lost\)/);
    expect((await show(client, fixture, run.id)).run.status).toBe('running');
    const printed = await fixture.cli('pause', '1', '--detach');
    expect(printed.stderr).toContain('only saves by itself');
    await client.request(runPause, { root: fixture.root, run: run.id, accept: true });
    const paused = await untilStatus(client, fixture, run.id, 'paused');
    expect(paused.lastCheckpoint!.step).toBeGreaterThanOrEqual(100);
    expect(isAlive(sessionDirectory(fixture, paused).process()!.child!.pid)).toBe(false);
  });

  test('stores no half-written file, none from before the run, and parts only together', async () => {
    const fixture = commandFixture();
    mkdirSync(join(fixture.root, 'out'));
    writeFileSync(join(fixture.root, 'out/pretrained.pt'), 'old');
    writeFileSync(
      join(fixture.root, 'parts.py'),
      `${SCRIPT.split('start = 0')[0]}
save('out/half.pt', 'x', whole=False)
for epoch in range(4):
    open(f'out/model_epoch_{epoch}.pdparams', 'wb').write(b'\\x80\\x02N.')
    if epoch < 3: open(f'out/model_epoch_{epoch}.pdopt', 'wb').write(b'\\x80\\x02N.')
    time.sleep(2.6)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'parts.py']);
    await untilStatus(client, fixture, run.id, 'completed');
    const { run: ended, checkpoints } = await show(client, fixture, run.id);
    const restored = join(fixture.folder, 'restored');
    // Nothing counts steps, so the epochs are used.
    expect(checkpoints.map(({ epoch, step, lacks }) => [epoch, step, lacks])).toEqual([
      [0, 0, []],
      [1, 1, []],
      [2, 2, []],
      [3, 3, ['model.pdopt']],
    ]);
    // A possibly half-written file is kept, but a resume does not start from it.
    expect(ended.lastCheckpoint!.step).toBe(2);
    await client.request(checkpointRestore, {
      root: fixture.root,
      checkpoint: checkpoints[1]!.id,
      directory: restored,
    });
    expect(readdirSync(restored).sort()).toEqual(['model_epoch_1.pdopt', 'model_epoch_1.pdparams']);
    const said = ended.notices.map(({ text }) => text).join('\n');
    expect(said).toContain('out/half.pt was not taken in: out/half.pt is truncated. The original is unchanged.');
    expect(said).toContain('out/model_epoch_3.pdparams was taken in without model.pdopt');
  });

  test('that overwrites one file repeatedly: each state that stayed still is a checkpoint, and none is mixed', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'again.py'),
      `${SCRIPT.split('start = 0')[0]}
for i in range(4):
    save('out/last.pt', str(i) * 200_000)
    while i % 2 == 0 and not os.path.exists(f'go{i}'): time.sleep(0.05)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'again.py']);
    // One stays still until it is a checkpoint; the next is overwritten at once.
    for (const [count, state] of [
      [1, 0],
      [2, 2],
    ] as const) {
      await untilCheckpoints(client, fixture, run.id, count);
      writeFileSync(join(fixture.root, `go${state}`), '');
    }
    await untilStatus(client, fixture, run.id, 'completed');
    const { checkpoints } = await show(client, fixture, run.id);
    const states: string[] = [];
    for (const [i, { id }] of checkpoints.entries()) {
      const directory = join(fixture.folder, `restored-${i}`);
      await client.request(checkpointRestore, { root: fixture.root, checkpoint: id, directory });
      const listed = execFileSync(PYTHON, [
        '-c',
        `import zipfile, sys; print(set(zipfile.ZipFile(sys.argv[1]).read('archive/data.pkl').decode()))`,
        join(directory, 'last.pt'),
      ]);
      states.push(listed.toString().trim());
    }
    expect(states.sort()).toEqual(["{'0'}", "{'2'}", "{'3'}"]);
  });

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
    expect(JSON.parse((await fixture.cli('ls', '--drafts', '--json')).stdout)).toHaveLength(1);
  });

  test.each([
    ['kills itself', 'os.kill(os.getpid(), 9)', 'lost', 'ended by SIGKILL, sent by the kernel or by a person'],
    ['crashes', 'os.kill(os.getpid(), 11)', 'lost', 'ended by SIGSEGV'],
    ['is interrupted', 'signal.raise_signal(signal.SIGINT)', 'stopped', 'interrupted by SIGINT (Ctrl-C)'],
    ['leaves with a code', 'sys.exit(3)', 'failed', 'exit code 3'],
    ['has an error', '{}["lr"]', 'failed', "KeyError: 'lr' (exit code 1)"],
  ])('that %s says so, and not what it printed last', async (_, statement, status, reason) => {
    const fixture = commandFixture();
    const printing = `import os, signal, sys; print('Epoch 4/10', flush=True); ${statement}`;
    await fixture.cli('run', '--', PYTHON, '-c', printing);
    const [run] = JSON.parse((await fixture.cli('ls', '--drafts', '--json')).stdout);
    expect(run).toMatchObject({ status, reason });
  });

  test('whose checkpoint does not fit is not said to continue from it', async () => {
    const fixture = commandFixture({
      train: { run: [PYTHON, 'load.py'], resume: [PYTHON, 'load.py', '${checkpoint}'] },
    });
    writeFileSync(
      join(fixture.root, 'load.py'),
      `${SCRIPT.split('start = 0')[0]}
import trainstash
if len(sys.argv) > 1: raise trainstash.ResumeError('The checkpoint does not fit.')
save('out/step_5.pt', 'x'); sys.exit(1)
`,
    );
    const first = await fixture.cli('run', 'train');
    expect(first.stdout).toContain('`trainstash resume 1` continues from step 5.');
    const resumed = await fixture.cli('resume', '1', '--yes');
    expect(resumed.stdout).toContain('trainstash.ResumeError: The checkpoint does not fit. (exit code 1).');
    expect(resumed.stdout).not.toContain('continues from');
    expect(resumed.stdout).toContain('would fail in the same way');
  });

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

  test('metrics come from the files that it writes for TensorBoard anyway', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'board.py'),
      `
import os, struct, time
def event(step, tag, value):
    inner = b'\\x0a' + bytes([len(tag)]) + tag + b'\\x15' + struct.pack('<f', value)
    summary = b'\\x0a' + bytes([len(inner)]) + inner
    body = b'\\x09' + struct.pack('<d', time.time()) + b'\\x10' + bytes([step]) + b'\\x2a' + bytes([len(summary)]) + summary
    return struct.pack('<Q', len(body)) + b'0000' + body + b'0000'
os.makedirs('runs/a')
with open('runs/a/events.out.tfevents.1.host', 'wb') as file:
    for step in range(1, 6):
        file.write(event(step, b'loss', 1 / step)); file.flush(); time.sleep(0.1)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'board.py']);
    await untilStatus(client, fixture, run.id, 'completed');
    const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id });
    expect(series).toMatchObject([{ name: 'loss', steps: [1, 2, 3, 4, 5] }]);
    expect(series[0]!.values[3]).toBe(0.25);
  });

  test('is saved as a job without changing the rest of the file; one with a secret is not', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'trainstash.json'),
      '{\n  // Ours.\n  "jobs": {\n    "other": "python other.py"\n  }\n}\n',
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--epochs', '1', '--name', 'a b']);
    await untilStatus(client, fixture, run.id, 'completed');
    expect((await fixture.cli('keep', '1')).stdout).toContain('the job "train"');
    const text = readFileSync(join(fixture.root, 'trainstash.json'), 'utf8');
    expect(text).toContain('// Ours.');
    expect(text).toContain(`"run": "${PYTHON} train.py --epochs 1 --name 'a b'"`);
    const again = await startJob(client, fixture, 'train');
    await untilStatus(client, fixture, again.id, 'completed');
    expect(await log(client, fixture, again.id)).toContain("'--name': 'a b'");
    expect((await fixture.cli('keep', '1')).stderr).toContain('There is a job "train" already');
    const secret = await start(client, fixture, [PYTHON, 'train.py', '--api-key', 'x']);
    await untilStatus(client, fixture, secret.id, 'completed');
    expect((await fixture.cli('keep', String(secret.number), 'mine')).stderr).toContain('looks like a secret');
    expect(readFileSync(join(fixture.root, 'trainstash.json'), 'utf8')).toBe(text);
  });

  test('that was kept as a job with a template goes on by it from then on', async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--epochs', '2']);
    await untilStatus(client, fixture, run.id, 'completed');
    const job = {
      run: `${PYTHON} train.py --epochs 2`,
      resume: `${PYTHON} train.py --epochs 2 --resume \${checkpoint}`,
    };
    writeFileSync(join(fixture.root, 'trainstash.json'), JSON.stringify({ jobs: { train: job } }));
    const resume = { root: fixture.root, run: run.id, environment: shellEnvironment(), accept: true };
    await client.request(runResume, { ...resume, set: { epochs: 3 } });
    await untilStatus(client, fixture, run.id, 'completed');
    expect(await log(client, fixture, run.id)).toMatch(/'--epochs': '3', '--resume': '[^']+\.pt'/);
    // Another command of that name does not belong to that job.
    const other = await start(client, fixture, [PYTHON, 'train.py', '--epochs', '1']);
    await untilStatus(client, fixture, other.id, 'completed');
    await client.request(runResume, { ...resume, run: other.id });
    await untilStatus(client, fixture, other.id, 'completed');
    expect((await log(client, fixture, other.id)).split('--resume')).toHaveLength(1);
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

  test('a word that looks like a secret has to be given again when the daemon that knew it is gone', async () => {
    const fixture = commandFixture();
    const words = [PYTHON, 'train.py', '--epochs', '1', '--api-key', 'very-secret-value'];
    const client = await openProject(fixture);
    const run = await start(client, fixture, words);
    await untilStatus(client, fixture, run.id, 'completed');
    kill(fixture.daemonPid(), 'SIGKILL');
    const again = await openProject(fixture);
    const options = { root: fixture.root, environment: environment(), run: run.id, accept: true };
    const error = await again.request(runResume, options).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'commandNotKept', data: { masked: 1 } });
    await again.request(runResume, { ...options, command: words });
    await untilStatus(again, fixture, run.id, 'completed');
    expect(await log(again, fixture, run.id)).toContain("'--api-key': 'very-secret-value'");
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
