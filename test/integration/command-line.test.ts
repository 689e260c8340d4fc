/** Every command, as a user types it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { STATE_FILE } from '../../protocol/session.ts';
import { makeFixture, openProject, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';

test('from init to eject', async () => {
  const fixture = makeFixture();
  const ok = async (...args: string[]) => {
    const result = await fixture.cli(...args);
    expect(result.code, `${args.join(' ')}: ${result.stderr}${result.stdout}`).toBe(0);
    return result.stdout;
  };
  const json = async (...args: string[]) => JSON.parse(await ok(...args, '--json'));

  expect(await ok('init')).toContain('exists already');
  expect(await ok('jobs')).toContain('small.ts');
  expect(await ok('ls')).toContain('No runs on main');
  const run = await ok('run', 'small', '-p', 'slow=10', '--seed', '3');
  expect(run).toMatch(/Started small #1/);
  expect(run).toMatch(/small #1 completed after \d+ s\./);
  expect(await ok('ls')).toMatch(/small #1\s+completed\s+████████ 100%\s+val_loss/);
  const shown = await ok('show', '1');
  expect(shown).toMatch(/params\s+.*slow=10/);
  expect(shown).toMatch(/CHECKPOINT\s+STEP\s+EPOCH\s+GRADE/);
  for (const line of shown.split('\n')) expect(line.length).toBeLessThanOrEqual(200);
  expect((await json('show', '1')).run).toMatchObject({
    seed: 3,
    status: 'completed',
    code: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  expect(await ok('log', '1')).toBeDefined();

  const [middle, last] = (await json('show', '1')).checkpoints.slice(-2);
  expect(await ok('tag', `1@${middle.step}`, 'paper')).toContain('#paper');
  expect(await ok('verify', '1@paper')).toContain(`✔ verified: ${last.step - middle.step} steps`);
  const forked = await ok('fork', '1@paper', '--set', 'learningRate=0.1', '--set', 'slow=0');
  expect(forked).toMatch(new RegExp(`Forked at step ${middle.step}: small #2 · .*learningRate 0\\.1`));
  expect(await ok('rename', '2', 'faster', '--note', 'ten times')).toContain('faster');
  expect(await ok('show', 'faster')).toMatch(/note\s+ten times/);

  const restored = join(fixture.folder, 'restored');
  expect(await ok('restore', '1@paper', restored)).toContain('verified');
  expect(readdirSync(restored)).toEqual([STATE_FILE]);

  const why = await ok('gc', '--why', '1');
  expect(why).toMatch(/small #1 on main: .* before deduplication/);
  expect(why).toMatch(new RegExp(`${last.id}.*newest of its run`));
  expect(why).toMatch(new RegExp(`${middle.id}.*tagged paper; a fork starts fr`));
  expect((await fixture.cli('gc', '1')).stderr).toContain('only with --why');

  const code = join(fixture.folder, 'code');
  expect(await ok('code', '1@paper', code)).toMatch(/\d+ files in/);
  expect(readFileSync(join(code, 'small.ts'), 'utf8')).toBe(readFileSync(join(fixture.root, 'small.ts'), 'utf8'));
  expect((await fixture.cli('code', '1', code)).stderr).toContain('Nothing was written');

  expect(await ok('rm', 'faster')).toContain('in the trash for 7 days');
  expect(await ok('ls')).not.toContain('faster');
  expect(await ok('ls', '--trash')).toContain('faster');
  expect(await ok('rm', 'faster', '--undo')).toContain('are restored');
  expect(await ok('ls')).toContain('faster');
  expect(await ok('gc', '--empty-trash', '--yes')).toMatch(/chunks deleted/);
  expect(await ok('fsck')).toContain('✔ everything is intact');
  expect(await ok('fsck', '--rebuild')).toMatch(/Catalog rebuilt: 2 runs/);
  expect(await json('where')).toMatchObject({
    project: { root: fixture.root, branch: 'main' },
    usage: { checkpoints: expect.any(Number) },
  });
  expect(await ok('daemon', 'status')).toMatch(/sqlite\s+better-sqlite3/);
  expect(await ok('daemon', 'logs')).toContain('started, pid');

  const target = join(fixture.folder, 'ejected');
  expect(await ok('eject', '--to', target, '--yes')).toMatch(/checkpoints \(.*\) are in/);
  expect(existsSync(fixture.store)).toBe(false);
  const first = readdirSync(target).find((name) => name.startsWith('1-'))!;
  expect(readFileSync(join(target, first, 'metrics.csv'), 'utf8')).toMatch(/^step,seconds,metric,value\n1,/);
  const checkpoints = readdirSync(join(target, first)).filter((name) => name.startsWith('step-'));
  expect(checkpoints.length).toBeGreaterThan(3);
  expect(existsSync(join(target, first, checkpoints[0]!, STATE_FILE))).toBe(true);
  expect(await ok('daemon', 'stop')).toContain('Stopped');
  expect(await fixture.cli('daemon', 'status')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('No daemon is running'),
  });
});

test('pause, checkpoint and resume without a name take the live run, then the newest that can be resumed', async () => {
  const fixture = makeFixture();
  expect(await fixture.cli('run', 'small', '-d', '-p', 'slow=60', '-p', 'epochs=60')).toMatchObject({ code: 0 });
  await until('some steps are done', async () => JSON.parse((await fixture.cli('show', '--json')).stdout).run.step > 2);
  expect((await fixture.cli('checkpoint')).stdout).toMatch(/Checkpoint \w+ at step \d+ is stored/);
  expect((await fixture.cli('pause')).stdout).toMatch(/small #1 is paused/);
  const client = await openProject(fixture);
  const resumed = await fixture.cli('resume', '-d');
  expect(resumed.stdout).toMatch(/Resumed from step \d+: small #1/);
  await untilStatus(client, fixture, '1', 'running');
  expect((await fixture.cli('stop')).stdout).toMatch(/small #1/);
  await untilStatus(client, fixture, '1', 'stopped');
});

test('log -f ends with the run and has all of its output', async () => {
  const fixture = makeFixture();
  await fixture.cli('run', 'small', '-d', '-p', 'slow=20', '-p', 'failAt=6');
  const log = await fixture.cli('log', '1', '-f');
  expect(log.stdout).toContain('not even an Error');
});

test('a run of another branch is neither listed nor resumed by default', async () => {
  const fixture = makeFixture();
  await fixture.cli('run', 'small', '-d', '-p', 'slow=60', '-p', 'epochs=60');
  await until('it trains', async () => JSON.parse((await fixture.cli('show', '--json')).stdout).run.step > 1);
  await fixture.cli('pause');
  const { execFileSync } = await import('node:child_process');
  execFileSync('git', ['switch', '-qc', 'idea'], { cwd: fixture.root });
  expect((await fixture.cli('ls')).stdout).toContain('No runs on idea');
  expect((await fixture.cli('ls', '--all')).stdout).toContain('small #1');
  expect((await fixture.cli('ls', '--branch', 'main')).stdout).toContain('small #1');
  expect(await fixture.cli('resume')).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing to resume') });
});

test('the user’s repository is not changed by runs: objects, refs, index, status', async () => {
  const fixture = makeFixture();
  const { execFileSync } = await import('node:child_process');
  const state = () =>
    [
      ['for-each-ref'],
      ['status', '--porcelain'],
      ['count-objects', '-v'],
      ['worktree', 'list'],
      ['stash', 'list'],
      ['ls-files', '-s'],
    ]
      .map((args) => execFileSync('git', args, { cwd: fixture.root, encoding: 'utf8' }))
      .join('\n') +
    readFileSync(join(fixture.root, '.git/HEAD'), 'utf8') +
    readFileSync(join(fixture.root, '.git/config'), 'utf8');
  const before = state();
  await fixture.cli('run', 'small', '-p', 'slow=5');
  const { checkpoints } = JSON.parse((await fixture.cli('show', '1', '--json')).stdout);
  expect((await fixture.cli('verify', checkpoints.at(-2).id)).code).toBe(0);
  expect(state()).toBe(before);
  expect(readdirSync(join(fixture.root, '.git')).filter((name) => name.includes('trainstash'))).toEqual(['trainstash']);
});

test('an error says where it is explained, and help knows commands and errors', async () => {
  const fixture = makeFixture();
  expect((await fixture.cli('run', 'small', '-p', 'slow=0')).code).toBe(0);
  const refused = await fixture.cli('pause', '1');
  expect(refused.stderr).toMatch(/error: .*\n.*More: trainstash help wrongStatus/);
  const explained = (await fixture.cli('help', 'wrongstatus')).stdout;
  expect(explained).toMatch(/^wrongStatus\n\nA run can be paused only while it is live/);
  for (const line of explained.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect((await fixture.cli('help', 'resume')).stdout).toBe((await fixture.cli('resume', '--help')).stdout);
  expect(await fixture.cli('help', 'resum')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Did you mean "resume"?'),
  });
  // A run is not a checkpoint, but the user may have meant one of its checkpoints.
  expect((await fixture.cli('promote', '1', 'digits')).stderr).toContain('1@last');
});

test('resume and fork accept RUN@STEP, but not together with --from', async () => {
  const fixture = makeFixture();
  expect((await fixture.cli('run', 'small', '-p', 'slow=0')).code).toBe(0);
  const { checkpoints } = JSON.parse((await fixture.cli('show', '1', '--json')).stdout);
  const { step } = checkpoints[0];
  const both = await fixture.cli('fork', `1@${step}`, '--from', 'last');
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('not both') });
  const forked = await fixture.cli('fork', `1@${step}`, '--set', 'slow=0');
  expect(forked.stdout).toContain(`Forked at step ${step}: small #2`);
  const resumed = await fixture.cli('resume', `1@${step}`);
  expect(resumed.stdout).toContain(`Resumed from step ${step}: small #1`);
});
