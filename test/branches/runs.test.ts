/** Switching the branch while runs are live. */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { noticeRaised, runPause, runStart } from '../../protocol/messages/run.ts';
import { afterwards } from '../support/cleanup.ts';
import {
  type Fixture,
  isAlive,
  shellEnvironment,
  show,
  startSmall,
  untilStatus,
  untilStep,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { makeRepository, type Repository } from '../support/repository.ts';
import { hasTurn } from '../support/sample.ts';

const SLOW = { slow: 100, epochs: 30 };

async function withOther(repository: Repository): Promise<void> {
  repository.git('branch', 'other');
  repository.git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write('checkpoints/last.pt', 'main');
  await repository.sync();
}

test('a run that writes into its session only goes on; files move at once, and it is marked', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  const { client, fixture } = repository;
  const run = await startSmall(client, fixture, SLOW);
  await untilStep(client, fixture, run.id, 3);
  repository.git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'other' });
  expect(repository.read('checkpoints/last.pt')).toBeNull();
  const shown = (await show(client, fixture, run.id)).run;
  expect(shown.status).toBe('running');
  expect(shown.branch).toBe('main');
  expect(shown.notices.map(({ code }) => code)).toEqual(['codeMoved']);
  await untilStep(client, fixture, run.id, shown.step + 3);
  // Switching there and back again reports it once.
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect((await show(client, fixture, run.id)).run.notices).toHaveLength(1);
});

test('files wait for a live run that writes them by path, and follow when it has paused', {
  skip: !hasTurn('files wait for a run', 0, 2),
}, async () => {
  const repository = await makeRepository({
    follow: true,
    config: { jobs: { small: { module: 'small.ts', files: ['checkpoints'] } } },
  });
  await withOther(repository);
  const { client, fixture } = repository;
  const run = await startSmall(client, fixture, SLOW);
  await untilStep(client, fixture, run.id, 3);
  repository.git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({
    state: 'waiting',
    inPlace: 'main',
    branch: 'other',
    reason: 'small #1',
  });
  const open = () => client.request(projectOpen, { root: fixture.root, trusted: true });
  expect(await open()).toMatchObject({ switchWaits: 'small #1' });
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  // The run continues to write by path: its files are still main's.
  repository.write('checkpoints/step-10.pt', 'written by the run after the switch');
  const start = { root: fixture.root, job: 'small', params: {}, environment: shellEnvironment() };
  await expect(client.request(runStart, start)).rejects.toMatchObject({
    code: 'switchWaiting',
    data: { inPlace: 'main' },
  });
  await client.request(runPause, { root: fixture.root, run: run.id });
  // A client that polls constantly may see that the run has ended before the end is reported.
  await until('the files have left', async () => (await repository.sync()).inPlace === 'other');
  expect(repository.read('checkpoints/last.pt')).toBeNull();
  expect(repository.read('checkpoints/step-10.pt')).toBeNull();
  // The run that was paused for the switch is offered again.
  const notices: string[] = [];
  client.on(noticeRaised, ({ run: of, notice }) => notices.push(`${notice.code} ${of}`));
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect(repository.read('checkpoints/step-10.pt')).toBe('written by the run after the switch');
  await until('it is offered', () => notices.includes(`canResume ${run.id}`));
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');
});

test('several switches in a row while the first still waits', {
  skip: !hasTurn('files wait for a run', 1, 2),
}, async () => {
  const repository = await makeRepository({
    follow: true,
    config: { jobs: { small: { module: 'small.ts', files: ['checkpoints'] } } },
  });
  await withOther(repository);
  repository.git('branch', 'third', 'other');
  const { client, fixture } = repository;
  const run = await startSmall(client, fixture, SLOW);
  await untilStep(client, fixture, run.id, 3);
  for (const branch of ['other', 'third', 'main', 'third', 'other']) {
    repository.git('switch', '-q', branch);
    const state = branch === 'main' ? 'inPlace' : 'waiting';
    expect(await repository.sync()).toMatchObject({ state, inPlace: 'main', branch });
  }
  await client.request(runPause, { root: fixture.root, run: run.id });
  await until('the files have left', async () => (await repository.sync()).inPlace === 'other');
  expect(repository.read('checkpoints/last.pt')).toBeNull();
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect(repository.read('checkpoints/last.pt')).toBe('main');
});

test('a process of nobody’s with a file of the set open is waited for, and named', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  const path = join(repository.root, 'checkpoints/last.pt');
  const writer = spawn('sh', ['-c', `exec 3>>'${path}'; echo ready; read line; echo more >&3`], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  afterwards(() => void writer.kill());
  await new Promise((resolve) => writer.stdout.once('data', resolve));
  repository.git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({
    state: 'waiting',
    inPlace: 'main',
    reason: expect.stringContaining(`(process ${writer.pid})`),
  });
  writer.stdin.end('go\n');
  await new Promise((resolve) => writer.once('exit', resolve));
  await until('the file has left', () => repository.read('checkpoints/last.pt') === null);
  repository.git('switch', '-q', 'main');
  await repository.sync();
  expect(repository.read('checkpoints/last.pt')).toBe('mainmore\n');
});

test('with onBranchSwitch "pause" a run saves and frees the device; back again it is offered', async () => {
  const repository = await makeRepository({
    follow: true,
    config: { onBranchSwitch: 'pause', files: ['checkpoints'], jobs: { small: { module: 'small.ts' } } },
  });
  await withOther(repository);
  const { client, fixture } = repository;
  const notices: string[] = [];
  client.on(noticeRaised, ({ run, notice }) => notices.push(`${notice.code} ${run}`));
  const run = await startSmall(client, fixture, SLOW);
  await untilStep(client, fixture, run.id, 3);
  repository.git('switch', '-q', 'other');
  expect(await repository.sync()).toMatchObject({ inPlace: 'other' });
  const paused = await untilStatus(client, fixture, run.id, 'paused');
  expect(paused.lastCheckpoint?.step).toBe(paused.step);
  repository.git('switch', '-q', 'main');
  await repository.sync();
  await until('it is offered', () => notices.includes(`canResume ${run.id}`));
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');
});

test('a run that was paused for a switch that did not happen goes on by itself, with its own code only', async () => {
  // The question whether files follow is open: none moves, but runs pause.
  const repository = await makeRepository({
    config: { onBranchSwitch: 'pause', files: ['checkpoints'], jobs: { small: { module: 'small.ts' } } },
  });
  await withOther(repository);
  const { client, fixture } = repository;
  const run = await startSmall(client, fixture, { slow: 100, epochs: 100 });
  const thereAndBack = async (meanwhile: () => void) => {
    await untilStep(client, fixture, run.id, (await show(client, fixture, run.id)).run.step + 3);
    repository.git('switch', '-q', 'other');
    expect(await repository.sync()).toMatchObject({ state: 'ask', inPlace: 'main' });
    await untilStatus(client, fixture, run.id, 'paused');
    meanwhile();
    repository.git('switch', '-q', 'main');
    await repository.sync();
  };
  await thereAndBack(() => {});
  await untilStatus(client, fixture, run.id, 'running');
  await thereAndBack(() => appendFileSync(join(repository.root, 'small.ts'), '\n// Another one.\n'));
  const offered = await until('it is offered', async () => {
    const { run: shown } = await show(client, fixture, run.id);
    return shown.notices.find(({ code }) => code === 'canResume');
  });
  expect(offered.text).toMatch(/was not resumed automatically: code small\.ts/);
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');
});

test('the daemon was off while HEAD moved: what nobody changed since is switched, what changed is asked about', async () => {
  const repository = await makeRepository();
  await withOther(repository);
  await repository.taken('checkpoints/last.pt');
  const { fixture } = repository;
  await fixture.cli('daemon', 'stop');
  await repository.client.closed;
  repository.git('switch', '-q', 'other');
  const synced = await fixture.cli('sync', '--json');
  expect(JSON.parse(synced.stdout)).toMatchObject({ state: 'inPlace', inPlace: 'other' });
  expect(repository.read('checkpoints/last.pt')).toBeNull();

  repository.write('checkpoints/new.pt', 'on other, seen');
  await repository.taken('checkpoints/new.pt');
  const pid = fixture.daemonPid();
  await fixture.cli('daemon', 'stop');
  // The daemon records its last look as its last action.
  await until('the daemon is gone', () => !isAlive(pid));
  repository.write('checkpoints/new.pt', 'on other or on main?');
  repository.git('switch', '-q', 'main');
  // The file is older than HEAD’s move and newer than the last look.
  const asked = await fixture.cli('sync', '--json');
  expect(JSON.parse(asked.stdout)).toMatchObject({ state: 'unclear', inPlace: 'other', branch: 'main' });
  expect(asked.code).toBe(1);
  expect(repository.read('checkpoints/new.pt')).toBe('on other or on main?');
  const moved = await fixture.cli('sync', '--files', 'move');
  expect(moved.stdout).toContain('The files of main are in place');
  expect(repository.read('checkpoints/new.pt')).toBeNull();
  expect(readFileSync(join(repository.root, 'checkpoints/last.pt'), 'utf8')).toBe('main');
});

describe.skipIf(!PYTHON)('files that a known run wrote, declared nowhere', () => {
  const SCRIPT = `
import sys, time
for i in range(int(sys.argv[1])):
    open(f'weights_epoch_{i}.pt', 'w').write('of main')
    time.sleep(2.5)
`;
  const start = (client: Client, fixture: Fixture, count: number) =>
    client.request(runStart, {
      root: fixture.root,
      job: 'command',
      command: [PYTHON, 'save.py', String(count)],
      cwd: fixture.root,
      params: {},
      environment: shellEnvironment(),
    });

  async function withScript(): Promise<Repository> {
    const repository = await makeRepository({ follow: true, config: { jobs: {} } });
    repository.write('save.py', SCRIPT);
    repository.write('pretrained.pt', 'nobody’s run wrote it');
    repository.git('add', 'save.py');
    repository.git('commit', '-qm', 'script');
    repository.git('branch', 'other');
    repository.git('commit', '-q', '--allow-empty', '-m', 'on');
    await repository.sync();
    return repository;
  }

  test('follow its branch; a pre-trained file that nobody’s run wrote stays', async () => {
    const repository = await withScript();
    const { client, fixture } = repository;
    const run = await start(client, fixture, 2);
    await untilStatus(client, fixture, run.id, 'completed');
    await until('both are known', async () => {
      const worktrees = join(fixture.store, 'worktrees');
      const listed = readdirSync(worktrees).map((name) => join(worktrees, name, 'files.json'));
      return listed.some((path) => existsSync(path) && readFileSync(path, 'utf8').includes('weights_epoch_1.pt'));
    });
    repository.git('switch', '-q', 'other');
    expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'other' });
    expect([repository.read('weights_epoch_0.pt'), repository.read('weights_epoch_1.pt')]).toEqual([null, null]);
    expect(repository.read('pretrained.pt')).toBe('nobody’s run wrote it');
    repository.git('switch', '-q', 'main');
    expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'main' });
    expect(repository.read('weights_epoch_1.pt')).toBe('of main');
  });

  test('wait for it while it lives, and it is never ended for a switch', async () => {
    const repository = await withScript();
    const { client, fixture } = repository;
    const run = await start(client, fixture, 100);
    await until('it has saved', async () => (await show(client, fixture, run.id)).checkpoints.length > 0);
    repository.git('switch', '-q', 'other');
    expect(await repository.sync()).toMatchObject({ state: 'waiting', inPlace: 'main' });
    expect((await show(client, fixture, run.id)).run.status).toBe('running');
    await client.request(runPause, { root: fixture.root, run: run.id, accept: true });
    await untilStatus(client, fixture, run.id, 'paused');
    await until('the files have left', () => repository.read('weights_epoch_0.pt') === null);
  });

  test('of two scripts at once are nobody’s: they stay, and it is said', async () => {
    const repository = await withScript();
    const { client, fixture } = repository;
    const first = await start(client, fixture, 100);
    const second = await start(client, fixture, 100);
    const said = await until('it is said', async () => {
      const { run } = await show(client, fixture, second.id);
      return run.notices.find(({ code }) => code === 'filesShared');
    });
    expect(said.text).toContain('save #1 may have written them as well');
    expect((await show(client, fixture, first.id)).checkpoints).toEqual([]);
    for (const { id } of [first, second]) await client.request(runPause, { root: fixture.root, run: id, accept: true });
  });
});
