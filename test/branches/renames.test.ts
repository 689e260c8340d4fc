/** Files and runs stay with their branch whatever it is called: one by one, and in random sequences against a model. */
import { expect, test } from 'vitest';
import { connect } from '../../client/connect.ts';
import { branchSync } from '../../protocol/messages/branch.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runList, runShow, runStart } from '../../protocol/messages/run.ts';
import { afterwards } from '../support/cleanup.ts';
import { BUILD, shellEnvironment, startSmall, untilStatus, untilStep } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { random } from '../support/random.ts';
import { makeRepository, type Repository, stashesOf } from '../support/repository.ts';
import { FULL, sample } from '../support/sample.ts';
import { DIST } from '../support/trainer.ts';

const FILE = 'checkpoints/last.pt';

/** Reconnects the repository to a new daemon. */
async function withNewDaemon(repository: Repository, whileDown: () => void = () => {}): Promise<Repository> {
  await repository.client.request(daemonStop, {});
  await repository.client.closed;
  whileDown();
  const client = await connect({ name: 'test', build: BUILD, dist: DIST, env: repository.fixture.env });
  afterwards(() => client.close());
  await client.request(projectOpen, { root: repository.root, trusted: true });
  const sync = (files?: 'move' | 'stay') => client.request(branchSync, { root: repository.root, files });
  return { ...repository, client, sync };
}

/** Runs a short training on HEAD's branch; resolves with its id. */
async function runHere({ client, root }: Repository): Promise<string> {
  const run = await client.request(runStart, {
    root,
    job: 'true',
    command: ['true'],
    cwd: root,
    params: {},
    environment: shellEnvironment(),
  });
  await until('it has ended', async () => (await client.request(runShow, { root, run: run.id })).run.endedAt);
  return run.id;
}

async function branchOf({ client, root }: Repository, run: string): Promise<string | null> {
  return (await client.request(runShow, { root, run })).run.branch;
}

async function runsOn({ client, root }: Repository, branch: string): Promise<string[]> {
  const { runs } = await client.request(runList, { root, branch, drafts: true });
  return runs.map(({ id }) => id).sort();
}

/** Makes `main` and `other` at one commit, each with its file; HEAD is on main. */
async function withTwo(): Promise<Repository> {
  const repository = await makeRepository();
  repository.git('switch', '-q', '-c', 'other');
  await repository.sync();
  repository.write(FILE, 'other');
  await repository.sync();
  repository.git('switch', '-q', 'main');
  await repository.sync();
  repository.write(FILE, 'main');
  await repository.sync();
  return repository;
}

async function expectOn(repository: Repository, branch: string, content: string | null): Promise<void> {
  repository.git('switch', '-q', branch);
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: branch });
  expect(repository.read(FILE), branch).toBe(content);
}

test('two names are swapped while both have files, one of them in place', async () => {
  const repository = await withTwo();
  const { git } = repository;
  git('branch', '-m', 'main', 'temporary');
  git('branch', '-m', 'other', 'main');
  git('branch', '-m', 'temporary', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'other' });
  expect(repository.read(FILE)).toBe('main');
  await expectOn(repository, 'main', 'other');
  await expectOn(repository, 'other', 'main');
});

test('the name is used again at once: files and runs stay with the branch that had it', async () => {
  const repository = await withTwo();
  const { git } = repository;
  const run = await runHere(repository);
  await expectOn(repository, 'other', 'other');
  git('branch', '-m', 'main', 'dev');
  git('branch', 'main');
  await expectOn(repository, 'dev', 'main');
  expect(await runsOn(repository, 'dev')).toEqual([run]);
  expect(await runsOn(repository, 'main')).toEqual([]);
  git('switch', '-q', '--detach');
  await expectOn(repository, 'main', null);
});

test('runs are renamed before anybody is answered, and after a rename without a daemon', async () => {
  let repository = await withTwo();
  const run = await runHere(repository);
  repository.git('branch', '-m', 'main', 'dev');
  expect(await runsOn(repository, 'dev')).toEqual([run]);
  repository = await withNewDaemon(repository, () => {
    repository.git('branch', '-m', 'dev', 'trunk');
    repository.git('branch', 'dev');
  });
  expect(await branchOf(repository, run)).toBe('trunk');
  expect(await runsOn(repository, 'trunk')).toEqual([run]);
});

test('a branch is renamed while a run of it lives, and while one is paused', async () => {
  const repository = await makeRepository();
  const { client, fixture, git } = repository;
  const live = await startSmall(client, fixture, { slow: 100, epochs: 30 });
  await untilStep(client, fixture, live.id, 2);
  git('branch', '-m', 'main', 'dev');
  git('branch', 'main');
  await repository.sync();
  expect(await branchOf(repository, live.id)).toBe('dev');
  expect((await client.request(runShow, { root: fixture.root, run: live.id })).run.notices).toEqual([]);
  await fixture.cli('pause', live.id);
  const paused = await untilStatus(client, fixture, live.id, 'paused');
  expect(paused.branch).toBe('dev');
  git('branch', '-m', 'dev', 'trunk');
  expect(await branchOf(repository, live.id)).toBe('trunk');
  // `resume` without a name takes the newest of this branch.
  expect((await fixture.cli('resume', '--yes', '--detach')).stdout).toContain('small #1');
});

test('one branch takes another’s place by force: its files come along, those of the other are offered', async () => {
  const repository = await withTwo();
  repository.git('branch', '-M', 'main', 'other');
  expect(await repository.sync()).toMatchObject({ state: 'inPlace', inPlace: 'other', conflicts: [] });
  expect(repository.read(FILE)).toBe('main');
  expect(await stashesOf(repository)).toMatchObject([{ branch: 'other', branchExists: false, automatic: false }]);
});

test('git’s log is gone, and the branch may be another: nothing moves by itself, and a person is asked', async () => {
  const before = await withTwo();
  const repository = await withNewDaemon(before, () => {
    before.git('reflog', 'expire', '--expire=now', '--all');
    before.git('pack-refs', '--all');
    // HEAD is rewritten: it may have been anywhere.
    before.git('switch', '-q', 'other');
    before.git('switch', '-q', 'main');
  });
  expect(await repository.sync()).toMatchObject({ state: 'unclear', branch: 'main', inPlace: 'main' });
  expect(repository.read(FILE)).toBe('main');
  const asked = await repository.fixture.cli('sync');
  expect(asked.code).toBe(1);
  expect(asked.stdout).toMatch(/cannot tell whether[\s\S]*--files stay`: it is the same branch/);
  expect(await repository.sync('stay')).toMatchObject({ state: 'inPlace', inPlace: 'main' });
  expect(repository.read(FILE)).toBe('main');
});

interface Branch {
  name: string;
  exists: boolean;
  content: string | null;
  run: string | null;
}

interface World {
  repository: Repository;
  branches: Branch[];
  head: Branch;
  done: string[];
}

const NAMES = ['main', 'other', 'dev', 'deep/er', 'topic'];

/** Changes only names and HEAD, also while no daemon is running. */
function moveNames(world: World, draw: () => number): void {
  const { repository, branches, head } = world;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)]!;
  const run = (...args: string[]) => {
    world.done.push(args.join(' '));
    repository.git(...args);
  };
  const there = branches.filter(({ exists }) => exists);
  const circle = (...members: Branch[]) => {
    const names = members.map(({ name }) => name);
    run('branch', '-m', names[0]!, 'temporary');
    for (let i = 1; i < members.length; i++) run('branch', '-m', names[i]!, names[i - 1]!);
    run('branch', '-m', 'temporary', names.at(-1)!);
    for (const [i, member] of members.entries()) member.name = names.at(i - 1)!;
  };
  const kind = pick(['rename', 'circle', 'circle', 'switch', 'replace'] as const);
  if (kind === 'circle') circle(...new Set([pick(there), pick(there), pick(there)]));
  else if (kind === 'switch') {
    world.head = pick(there);
    run('switch', '-q', world.head.name);
  } else {
    const branch = pick(there);
    const name = pick(NAMES);
    const replaced = there.find((one) => one.name === name);
    if (branch === replaced || replaced === head || (replaced && kind === 'rename')) return;
    run('branch', replaced ? '-M' : '-m', branch.name, name);
    if (replaced) replaced.exists = false;
    branch.name = name;
  }
}

/** Makes other changes: creates and deletes branches, also under the name of one just renamed, and writes files. */
async function change(world: World, draw: () => number, i: number): Promise<void> {
  const { repository, branches, head } = world;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)]!;
  const run = (...args: string[]) => {
    world.done.push(args.join(' '));
    repository.git(...args);
  };
  const there = branches.filter(({ exists }) => exists);
  const free = NAMES.filter((name) => !there.some((branch) => branch.name === name));
  const made = (name: string, content: string | null) => {
    const branch = { name, exists: true, content, run: null };
    branches.push(branch);
    return branch;
  };
  const kind = pick(['write', 'write', 'branchOff', 'useNameAgain', 'useNameAgain', 'remove'] as const);
  if (kind === 'write') {
    head.content = `written ${i}`;
    world.done.push(head.content);
    repository.write(FILE, head.content);
  } else if (kind === 'branchOff' && free.length > 0) {
    run('switch', '-q', '-c', free[0]!);
    world.head = made(free[0]!, head.content);
  } else if (kind === 'useNameAgain' && free.length > 0) {
    const branch = pick(there);
    const before = branch.name;
    run('branch', '-m', before, free[0]!);
    branch.name = free[0]!;
    run('branch', before);
    made(before, null);
    // A switch from another commit does not carry the files along.
    run('commit', '-q', '--allow-empty', '-m', 'on');
  } else if (kind === 'remove') {
    const branch = pick(there);
    if (branch === head) return;
    run('branch', '-D', branch.name);
    branch.exists = false;
    run('branch', branch.name);
    made(branch.name, null);
    run('commit', '-q', '--allow-empty', '-m', 'on');
  }
}

async function checkWorld({ repository, branches, head, done }: World): Promise<void> {
  const said = done.join('\n');
  expect(await repository.sync(), said).toMatchObject({
    state: 'inPlace',
    inPlace: head.name,
    conflicts: [],
    late: [],
  });
  expect(repository.read(FILE), said).toBe(head.content);
  for (const { name, exists, run } of branches)
    if (exists && run) expect(await branchOf(repository, run), said).toBe(name);
}

const seeds = sample(Array.from({ length: 30 }, (_, i) => i + 1));

test.each(seeds)('drawn renames, deletions and switches, with and without a daemon (seed %i)', async (seed) => {
  const repository = await withTwo();
  const [main, other] = [
    { name: 'main', exists: true, content: 'main', run: await runHere(repository) },
    { name: 'other', exists: true, content: 'other', run: null as string | null },
  ];
  repository.git('switch', '-q', 'other');
  await repository.sync();
  other.run = await runHere(repository);
  const world: World = { repository, branches: [main, other], head: other, done: [] };
  const draw = random(seed);
  const steps = FULL ? 30 : 12;
  for (let i = 0; i < steps; i++) {
    const kind = draw();
    if (kind < 0.12) {
      world.done.push('no daemon');
      world.repository = await withNewDaemon(world.repository, () => {
        for (let n = 0; n < 3; n++) moveNames(world, draw);
      });
      world.done.push('a daemon');
    } else if (kind < 0.5) moveNames(world, draw);
    else await change(world, draw, i);
    await checkWorld(world);
  }
});
