/** Resumes of commands: by a template, by the script itself, as a job, and with a secret that nobody kept. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isError } from '../../protocol/errors.ts';
import { runPause, runResume } from '../../protocol/messages/run.ts';
import { commandFixture, environment, log, SCRIPT, start, startJob, untilCheckpoints } from '../support/commands.ts';
import {
  isAlive,
  kill,
  openProject,
  sessionDirectory,
  shellEnvironment,
  show,
  untilStatus,
} from '../support/daemon.ts';
import { PYTHON } from '../support/python.ts';

describe.skipIf(!PYTHON)('any command', () => {
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
