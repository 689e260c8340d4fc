import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import {
  runCheckpoint,
  runList,
  runPause,
  runResume,
  runShow,
  runStart,
  runStop,
} from '../../protocol/messages/run.ts';
import type { Launch } from '../../protocol/session.ts';
import { environment, log, start, startJob } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PACKAGE, PYTHON, SCRIPTS } from '../support/python.ts';

/** Expects that a resume's launch names the file that the store has just compared with its hashes. */
function expectVerified(fixture: Fixture, session: string): void {
  const folder = join(fixture.root, '.git/trainstash/sessions', session);
  const { resume } = JSON.parse(readFileSync(join(folder, 'launch.json'), 'utf8')) as Launch;
  const digits = expect.stringMatching(/^\d+$/);
  expect(resume!.verified).toEqual({ ino: digits, bytes: expect.any(Number), mtimeNs: digits });
}

describe.skipIf(!PYTHON)('a Python script with the package', () => {
  const JOB = { run: [PYTHON, '-W', 'ignore', 'train.py'], checkpoint: { every: '8 steps' }, keep: { last: 20 } };

  function packageFixture(): Fixture {
    const fixture = makeFixture({ config: { jobs: { train: JOB } } });
    writeFileSync(join(fixture.root, 'train.py'), readFileSync(join(SCRIPTS, 'train.py')));
    return fixture;
  }

  test('is killed, resumed without a question, and verified by the steps that were done twice', async () => {
    const fixture = packageFixture();
    const client = await openProject(fixture);
    const whole = await startJob(client, fixture, 'train');
    await untilStatus(client, fixture, whole.id, 'completed');
    const run = await client.request(runStart, {
      root: fixture.root,
      job: 'train',
      params: {},
      environment: { ...environment(), DIE: '21' },
    });
    await untilStatus(client, fixture, run.id, 'lost');
    await client.request(runResume, { root: fixture.root, run: run.id, environment: environment(), accept: false });
    const ended = await untilStatus(client, fixture, run.id, 'completed');
    expect(ended).toMatchObject({ step: 48, totalSteps: 48, stepsPerEpoch: 16, cooperative: true });
    const { checkpoints, sessions } = await client.request(runShow, { root: fixture.root, run: run.id });
    expectVerified(fixture, sessions.at(-1)!.id);
    const { checkpoint: origin, step } = sessions.at(-1)!.resumedFrom!;
    expect(step).toBe(16);
    const from = checkpoints.find(({ id }) => id === origin)!;
    const proof = { kind: 'overlap', verdict: 'equal', steps: 5 };
    expect(from).toMatchObject({ grade: 'verified', proof });
    const last = (await show(client, fixture, whole.id)).checkpoints.at(-1)!;
    expect(checkpoints.at(-1)!.stateDigest).toBe(last.stateDigest);
    // The inbox may have been pruned before the daemon read it: any two consecutive checkpoints will do.
    const followed = checkpoints.find(({ id, step }) =>
      checkpoints.some((next) => next.parent === id && next.step > step),
    )!;
    const verified = await client.request(checkpointVerify, {
      root: fixture.root,
      checkpoint: followed.id,
      environment: environment(),
    });
    expect(verified.proof).toMatchObject({ kind: 'replay', verdict: 'equal' });
    expect(existsSync(join(fixture.root, 'state.pt'))).toBe(false);
  });

  test('params that only the script knows of are shown, and are no words of its command at the next launch', async () => {
    const fixture = packageFixture();
    writeFileSync(
      join(fixture.root, 'train.py'),
      `
import argparse, trainstash
parser = argparse.ArgumentParser(); parser.add_argument('--lr', type=float, default=0.1); args = parser.parse_args()
run = trainstash.init(params={**vars(args), 'model': 'small'})
print('ARGS', args.lr, run.params['model'], run.resumed)
for epoch in run.epochs(3): run.step(loss=1.0)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--lr', '0.2']);
    const ended = await untilStatus(client, fixture, run.id, 'completed');
    expect(ended.params).toEqual({ lr: 0.2, model: 'small' });
    const resume = (extra: object) =>
      client.request(runResume, {
        root: fixture.root,
        run: run.id,
        environment: environment(),
        accept: true,
        ...extra,
      });
    await resume({});
    await untilStatus(client, fixture, run.id, 'completed');
    await resume({ set: { lr: 0.3 } });
    await untilStatus(client, fixture, run.id, 'completed');
    await resume({ command: [PYTHON, 'train.py', '--lr', '0.4'] });
    await untilStatus(client, fixture, run.id, 'completed');
    const printed = (await log(client, fixture, run.id)).match(/ARGS .*/g)!.map((line) => line.trim());
    expect(printed).toEqual([
      'ARGS 0.2 small False',
      'ARGS 0.2 small True',
      'ARGS 0.3 small True',
      'ARGS 0.4 small True',
    ]);
  });

  test('is paused at a step, and takes a checkpoint when asked', async () => {
    const fixture = packageFixture();
    const client = await openProject(fixture);
    const run = await client.request(runStart, {
      root: fixture.root,
      job: 'train',
      params: {},
      environment: { ...environment(), EPOCHS: '2000' },
    });
    await until('it does steps', async () => (await show(client, fixture, run.id)).run.step > 0);
    const checkpoint = await client.request(runCheckpoint, { root: fixture.root, run: run.id, tag: 'mine' });
    expect(checkpoint).toMatchObject({ grade: 'complete', tags: ['mine'] });
    await client.request(runPause, { root: fixture.root, run: run.id });
    const paused = await untilStatus(client, fixture, run.id, 'paused');
    expect(paused.lastCheckpoint!.step).toBe(paused.step);
  });

  test('that was started by hand and asks for its last checkpoint is given it by the daemon that keeps it', async () => {
    const fixture = packageFixture();
    writeFileSync(
      join(fixture.root, 'train.py'),
      `
import sys, torch, trainstash
model = torch.nn.Linear(4, 1)
run = trainstash.init(model=model, resume='last')
print('FROM', run.steps, float(model.weight.sum()))
for epoch in run.epochs(run.epoch + 1):
    for _ in range(4):
        with torch.no_grad(): model.weight += 1
        run.step(loss=1.0)
print('TO', run.steps, float(model.weight.sum()))
`,
    );
    const byHand = async () => {
      const child = spawn(PYTHON, ['-W', 'ignore', 'train.py'], {
        cwd: fixture.root,
        env: { ...environment(), PYTHONPATH: PACKAGE },
      });
      const [out, error] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      return { out, error };
    };
    const client = await openProject(fixture);
    const first = await byHand();
    // There is no checkpoint yet, and the daemon says so.
    expect(first.error).toContain('there is no checkpoint of train on main yet');
    expect(first.out).toContain('FROM 0');
    const taken = async () => {
      const { runs } = await client.request(runList, { root: fixture.root, drafts: true });
      return runs[0]?.status === 'completed' && runs[0].lastCheckpoint?.step;
    };
    await until('its end is in the store', async () => (await taken()) === 4);
    const second = await byHand();
    const [, sum] = first.out.match(/TO 4 (.*)/)!;
    expect(second.out).toContain(`FROM 4 ${sum}`);
    expect(second.out).toContain('TO 8');
    await until('its end is in the store, too', async () => (await taken()) === 8);
    expect(existsSync(join(fixture.store, 'asked'))).toBe(false);
    // It is unknown whether there is a checkpoint: the script does not silently start from scratch.
    await client.request(daemonStop, {});
    await client.closed;
    const third = await byHand();
    expect(third.out).toBe('');
    expect(third.error).toContain('trainstash ls');
  });

  test('that was started by hand is taken over while it runs, and resumed from the store', async () => {
    const fixture = packageFixture();
    const client = await openProject(fixture);
    const child = spawn(PYTHON, ['-W', 'ignore', 'train.py'], {
      cwd: fixture.root,
      stdio: 'ignore',
      env: { ...environment(), PYTHONPATH: PACKAGE, EPOCHS: '2000' },
    });
    const run = await until('it is listed', async () => {
      const { runs } = await client.request(runList, { root: fixture.root, drafts: true });
      return runs.find(({ status, step }) => status === 'running' && step > 0);
    });
    expect(run).toMatchObject({ name: 'train #1', branch: 'main', cooperative: true });
    await client.request(runPause, { root: fixture.root, run: run.id });
    await new Promise((resolve) => child.once('exit', resolve));
    const paused = await untilStatus(client, fixture, run.id, 'paused');
    await client.request(runResume, {
      root: fixture.root,
      run: run.id,
      environment: { ...environment(), EPOCHS: '2000' },
      accept: true,
    });
    await until('it goes on', async () => (await show(client, fixture, run.id)).run.step > paused.step);
    await client.request(runStop, { root: fixture.root, run: run.id });
    await untilStatus(client, fixture, run.id, 'stopped');
  });
});
