/** Scripts that save by themselves, started again: their origin, their steps, and the messages. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runResume, runShow } from '../../protocol/messages/run.ts';
import { environment, startJob } from '../support/commands.ts';
import { type Fixture, makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { PYTHON } from '../support/python.ts';

/** Script that reads `MODE` at each launch to choose its behaviour. */
const SCRIPT = `
import os, sys, time
mode = open('mode').read().strip()
def write(step, *names):
    for name in names:
        os.makedirs(f'out/checkpoint-{step}', exist_ok=True)
        open(f'out/checkpoint-{step}/{name}', 'wb').write(b'x' * 99)
def step(n): print(f'trainstash step={n} loss={1 / n}', flush=True)
if mode == 'first':
    for n in (10, 20): step(n); write(n, 'model.bin', 'optimizer.pt'); time.sleep(0.1)
if mode == 'half': step(30); write(30, 'model.bin'); os.kill(os.getpid(), 9)
if mode == 'anew':
    for n in (10, 20): step(n); open(f'out/again_step_{n}.pt', 'wb').write(b'y'); time.sleep(0.1)
if mode == 'on': step(21); write(30, 'model.bin', 'optimizer.pt')
`;

function scriptFixture(resume: boolean): Fixture {
  const words = [PYTHON, 'train.py'];
  const job = { run: words, keep: { every: 1 }, ...(resume ? { resume: [...words, '${checkpoint}'] } : {}) };
  const fixture = makeFixture({ config: { jobs: { train: job } } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  writeFileSync(join(fixture.root, '.gitignore'), 'out/\nmode\n');
  return fixture;
}

const setMode = (fixture: Fixture, mode: string) => writeFileSync(join(fixture.root, 'mode'), mode);

describe.skipIf(!PYTHON)('a script that is resumed', () => {
  test('is never offered a half-written checkpoint before a complete one, and both are reported', async () => {
    const fixture = scriptFixture(true);
    const client = await openProject(fixture);
    setMode(fixture, 'first');
    const run = await startJob(client, fixture, 'train');
    await untilStatus(client, fixture, run.id, 'completed');
    setMode(fixture, 'half');
    const half = await fixture.cli('resume', '1', '--yes');
    expect(half.stderr).toContain('out/checkpoint-30/model.bin was taken in without optimizer.pt');
    expect(half.stdout).toContain('`trainstash resume 1` continues from step 20.');
    const shown = await show(client, fixture, run.id);
    expect(shown.run.lastCheckpoint!.step).toBe(20);
    expect(shown.run.status).toBe('lost');
    expect(shown.checkpoints.find(({ step }) => step === 30)!.lacks).toEqual(['optimizer.pt']);
    setMode(fixture, 'on');
    const again = await fixture.cli('resume', '1', '--yes');
    expect(again.stdout).toContain('Resumed from step 20:');
    expect((await fixture.cli('show', '1')).stdout.replace(/\s+/g, ' ')).toContain('step 30 lacks optimizer.pt');
    expect((await show(client, fixture, run.id)).run.lastCheckpoint!.step).toBe(30);
  });

  test('and starts from the beginning is recognised: its checkpoints and metrics have their own steps', async () => {
    const fixture = scriptFixture(true);
    const client = await openProject(fixture);
    setMode(fixture, 'first');
    const run = await startJob(client, fixture, 'train');
    await untilStatus(client, fixture, run.id, 'completed');
    setMode(fixture, 'anew');
    const anew = await fixture.cli('resume', '1', '--yes');
    expect(anew.stderr).toContain('but its script started over at step 10');
    const { run: ended, checkpoints, sessions } = await client.request(runShow, { root: fixture.root, run: run.id });
    expect(checkpoints.filter(({ session }) => session === ended.session).map(({ step }) => step)).toEqual([10, 20]);
    expect(sessions[1]).toMatchObject({ resumedFrom: null, firstStep: 10 });
    expect(ended).toMatchObject({ step: 20, metrics: { loss: { count: 2 } } });
    expect((await fixture.cli('show', '1')).stdout).toMatch(/2 {2}started .*, from the beginning again/);
  });

  test('without a resume command starts again, and says so; one that continues by itself is recognised', async () => {
    const fixture = scriptFixture(false);
    const client = await openProject(fixture);
    setMode(fixture, 'first');
    const first = await fixture.cli('run', 'train');
    expect(first.code).toBe(0);
    setMode(fixture, 'anew');
    const anew = await fixture.cli('resume', '1', '--yes');
    expect(anew.stdout).toContain('Started again from the beginning, with the files of step 20 in place:');
    expect(anew.stdout + (await fixture.cli('show', '1')).stdout).not.toMatch(/from step 20/i);
    setMode(fixture, 'on');
    await client.request(runResume, { root: fixture.root, run: '1', environment: environment(), accept: true });
    const { id } = await untilStatus(client, fixture, '1', 'completed');
    const { run, sessions } = await client.request(runShow, { root: fixture.root, run: id });
    expect(sessions[2]!.resumedFrom).toMatchObject({ step: 20 });
    expect(run.notices.at(-1)!.text).toContain('resumed by itself at step 21');
  });
});
