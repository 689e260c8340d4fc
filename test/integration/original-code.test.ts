/** Resumes with the original code: first what goes wrong. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { editableInstalls } from '../../daemon/runs/launch/python-facts.ts';
import { lockOfThen } from '../../daemon/runs/launch/then.ts';
import type { Run } from '../../protocol/domain.ts';
import { runPause, runPreflight, runResume, runShow } from '../../protocol/messages/run.ts';
import { commandFixture, startJob } from '../support/commands.ts';
import {
  type Fixture,
  kill,
  makeFixture,
  openProject,
  SMALL_JOB,
  sessionDirectory,
  shellEnvironment,
  show,
  startHeld,
  startSmall,
  trainerPid,
  untilStatus,
} from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

const git = (root: string, ...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' });
const resume = (client: Client, { root }: Fixture, run: Run, more: object = {}): Promise<Run> =>
  client.request(runResume, {
    root,
    run: run.id,
    code: 'then',
    accept: false,
    environment: shellEnvironment(),
    ...more,
  });

async function paused(client: Client, fixture: Fixture): Promise<Run> {
  const { run } = await startHeld(client, fixture, 5);
  await client.request(runPause, { root: fixture.root, run: run.id });
  return untilStatus(client, fixture, run.id, 'paused');
}

test('the original code is refused where it was not kept, where a run would wait, and for scripts that save by themselves', async () => {
  const bare = makeFixture({ git: false });
  const first = await openProject(bare);
  await expect(resume(first, bare, await paused(first, bare))).rejects.toMatchObject({
    code: 'notFound',
    message: expect.stringContaining('was not kept'),
  });
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await paused(client, fixture);
  await expect(resume(client, fixture, run, { queue: true })).rejects.toMatchObject({
    code: 'paramInvalid',
    message: expect.stringContaining('cannot wait in the queue'),
  });
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');
});

test.skipIf(!PYTHON)('a script that saves by itself is not run in a copy of its folders', async () => {
  const fixture = commandFixture({ train: `${PYTHON} train.py` });
  const client = await openProject(fixture);
  const run = await startJob(client, fixture, 'train', { epochs: 1 });
  await untilStatus(client, fixture, run.id, 'completed');
  await expect(resume(client, fixture, run)).rejects.toMatchObject({
    code: 'wrongStatus',
    message: expect.stringContaining('trainstash code 1 FOLDER'),
  });
});

test('a run goes on with its original code, bit for bit, in a copy that the repository knows nothing of', async () => {
  const fixture = makeFixture({ config: { jobs: { small: { ...SMALL_JOB, params: { epochs: 3 } } } } });
  mkdirSync(join(fixture.root, 'data'));
  writeFileSync(join(fixture.root, 'data/x'), 'x');
  writeFileSync(join(fixture.root, '.gitignore'), 'data/\n');
  git(fixture.root, 'add', '-A');
  git(fixture.root, '-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-qm', 'ignore data');
  writeFileSync(join(fixture.root, 'untracked.txt'), 'of then');
  const client = await openProject(fixture);
  const whole = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const run = await paused(client, fixture);
  // Today's code trains something else, and its job, too.
  appendFileSync(join(fixture.root, 'small.ts'), '\nthrow new Error("today");\n');
  writeFileSync(join(fixture.root, 'trainstash.json'), JSON.stringify({ jobs: { small: { module: 'other.ts' } } }));
  writeFileSync(join(fixture.root, 'untracked.txt'), 'of today');
  const before = [git(fixture.root, 'status', '--porcelain'), git(fixture.root, 'worktree', 'list')];
  const { differences } = await client.request(runPreflight, {
    root: fixture.root,
    run: run.id,
    code: 'then',
    environment: shellEnvironment(),
  });
  expect(differences).toEqual([]);
  await resume(client, fixture, run);
  const ended = await untilStatus(client, fixture, run.id, 'completed');
  const digest = async (of: Run) => (await show(client, fixture, of.id)).checkpoints.at(-1)!.stateDigest;
  expect(await digest(ended)).toBe(await digest(whole));
  const folder = sessionDirectory(fixture, ended).launch()!.cwd;
  expect(folder.startsWith(join(fixture.store, 'files'))).toBe(true);
  expect(readFileSync(join(folder, 'untracked.txt'), 'utf8')).toBe('of then');
  expect(readFileSync(join(folder, 'data/x'), 'utf8')).toBe('x');
  expect(git(folder, 'log', '-1', '--format=%s').trim()).toBe('ignore data');
  expect(git(folder, 'status', '--porcelain').trim()).toBe('?? untracked.txt');
  expect([git(fixture.root, 'status', '--porcelain'), git(fixture.root, 'worktree', 'list')]).toEqual(before);
  const { sessions } = await client.request(runShow, { root: fixture.root, run: run.id });
  expect(sessions.at(-1)!.identity?.code).toBe(sessions[0]!.identity?.code);
  expect(ended.notices.find(({ code }) => code === 'originalCode')?.text).toContain('It runs the original code');
  expect(existsSync(join(fixture.root, '.git/worktrees'))).toBe(false);
});

test('a restart after a crash trains the original code again', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await paused(client, fixture);
  appendFileSync(join(fixture.root, 'small.ts'), '\nthrow new Error("today");\n');
  const hold = { holdAfter: 2, go: join(fixture.folder, 'never') };
  const resumed = await resume(client, fixture, run, { set: hold, restarts: 2 });
  kill(await trainerPid(fixture, resumed), 'SIGKILL');
  const restarted = await until('it trains again', async () => {
    const { run: now } = await show(client, fixture, run.id);
    return ['running', 'failed'].includes(now.status) && now.sessions === 3 && now;
  });
  expect(restarted).toMatchObject({ status: 'running', code: run.code });
  expect(sessionDirectory(fixture, restarted).launch()!.cwd).toContain('/code-');
});

test('a lock file of then that is another one today is named', () => {
  const [then, now] = [temporaryFolder(), temporaryFolder()];
  expect(lockOfThen(then, now)).toBeNull();
  writeFileSync(join(then, 'requirements.txt'), 'torch==2.12\n');
  writeFileSync(join(now, 'requirements.txt'), 'torch==2.13\n');
  expect(lockOfThen(then, now)).toBe('requirements.txt');
  for (const folder of [then, now]) writeFileSync(join(folder, 'uv.lock'), 'version = 1\n');
  expect(lockOfThen(then, now)).toBeNull();
  writeFileSync(join(now, 'uv.lock'), 'version = 2\n');
  expect(lockOfThen(then, now)).toBe('uv.lock');
});

test.skipIf(!PYTHON)('packages in editable mode are found, whatever else is broken beside them', async () => {
  const site = temporaryFolder();
  const about = (name: string, text: string, files: Record<string, string> = {}) => {
    const folder = join(site, `${name}-1.0.dist-info`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'METADATA'), `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n`);
    writeFileSync(join(folder, 'direct_url.json'), text);
    for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
  };
  about('mine', '{"dir_info": {"editable": true}, "url": "file:///home/me/my%20project"}');
  about('plain', '{"dir_info": {}, "url": "file:///elsewhere"}');
  about('torn', '{"dir_in');
  const environment = { ...shellEnvironment(), PYTHONPATH: site };
  const found = await editableInstalls(PYTHON, environment);
  expect(found.filter(({ name }) => ['mine', 'plain', 'torn'].includes(name))).toEqual([
    { name: 'mine', path: '/home/me/my project' },
  ]);
  expect(await editableInstalls('/nowhere/python3', environment)).toEqual([]);
});
