/** Identity of branches after renames: random sequences of git commands against a model of branches with identities. */
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { KnownBranches } from '../../../../daemon/branches/known-branches.ts';
import { temporaryFolder } from '../../../support/folder.ts';
import { random } from '../../../support/random.ts';
import { gitIn } from '../../../support/repository.ts';
import { FULL } from '../../../support/sample.ts';

const NAMES = ['main', 'dev', 'a', 'b', 'deep/er', 'topic'];

interface Branch {
  name: string;
  exists: boolean;
  id: string | null;
}

interface World {
  root: string;
  git(...args: string[]): string;
  store: string;
  branches: Branch[];
  head: Branch;
  known: KnownBranches;
  renamed: Map<string, string>;
  /** True if git cleans up within the second in which everything else happens. */
  cleans: boolean;
  done: string[];
}

function open(root: string, store: string, renamed: Map<string, string>): KnownBranches {
  const common = join(root, '.git');
  return new KnownBranches({
    root,
    storePath: store,
    gitDirectory: common,
    common,
    renamed: async (names) => {
      for (const [id, name] of names) renamed.set(id, name);
    },
    mayWrite: () => true,
  });
}

function makeWorld(config: Record<string, string> = {}, cleans = false): World {
  const folder = temporaryFolder();
  const root = join(folder, 'project');
  const store = join(folder, 'store');
  for (const path of [root, store]) mkdirSync(path);
  const git = gitIn(root);
  git('init', '-q', '-b', 'main');
  for (const [name, value] of Object.entries(config)) git('config', name, value);
  git('commit', '-q', '--allow-empty', '-m', 'start');
  const main: Branch = { name: 'main', exists: true, id: null };
  const renamed = new Map<string, string>();
  return {
    root,
    git,
    store,
    branches: [main],
    head: main,
    known: open(root, store, renamed),
    renamed,
    cleans,
    done: [],
  };
}

/** Runs one random command. All happen within a second, on a handful of commits: names and times tell nothing. */
function step(world: World, draw: () => number): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)]!;
  const there = world.branches.filter(({ exists }) => exists);
  const free = NAMES.filter((name) => !there.some((branch) => branch.name === name));
  const run = (...args: string[]) => {
    world.done.push(args.join(' '));
    world.git(...args);
  };
  const add = (name: string) => {
    const made: Branch = { name, exists: true, id: null };
    world.branches.push(made);
    return made;
  };
  const kinds = {
    create: () => {
      if (free.length === 0) return;
      run('branch', free[0]!, pick(there).name);
      add(free[0]!);
    },
    copy: () => {
      if (free.length === 0) return;
      run('branch', '-c', pick(there).name, free[0]!);
      add(free[0]!);
    },
    rename: () => {
      const branch = pick(there);
      const name = pick(NAMES);
      if (name === branch.name) return;
      const replaced = there.find((one) => one.name === name);
      if (replaced === world.head) return;
      run('branch', replaced ? '-M' : '-m', branch.name, name);
      if (replaced) replaced.exists = false;
      branch.name = name;
    },
    swap: () => {
      const [one, two] = [pick(there), pick(there)];
      if (one === two) return;
      run('branch', '-m', one.name, 'temporary');
      run('branch', '-m', two.name, one.name);
      run('branch', '-m', 'temporary', two.name);
      [one.name, two.name] = [two.name, one.name];
    },
    useNameAgain: () => {
      if (free.length === 0) return;
      const branch = pick(there);
      const before = branch.name;
      run('branch', '-m', before, free[0]!);
      branch.name = free[0]!;
      run('branch', before, pick(there).name);
      add(before);
    },
    remove: () => {
      const branch = pick(there);
      if (branch === world.head) return;
      run('branch', '-D', branch.name);
      branch.exists = false;
      if (draw() < 0.5) {
        run('branch', branch.name);
        add(branch.name);
      }
    },
    switch: () => {
      world.head = pick(there);
      run('switch', '-q', world.head.name);
    },
    commit: () => run('commit', '-q', '--allow-empty', '-m', 'on'),
    reset: () => run('reset', '-q', '--soft', pick(there).name),
    pack: () => run('pack-refs', '--all', '--prune'),
    // Both rewrite the logs in another file.
    expire: () => world.cleans && run('reflog', 'expire', '--all'),
    clean: () => world.cleans && run('gc', '-q'),
  };
  kinds[pick(Object.keys(kinds) as (keyof typeof kinds)[])]();
}

/** Checks each branch that was seen: it has its name or is gone, and never is another one. */
async function check(world: World, mayBeUnsure: boolean): Promise<void> {
  await world.known.look();
  const said = world.done.join('\n');
  for (const branch of world.branches) {
    if (branch.id === null) continue;
    const { name, state } = world.known.find(branch.id);
    if (!branch.exists) expect(state, `${branch.name} is deleted\n${said}`).not.toBe('there');
    else if (state === 'there') expect(name, said).toBe(branch.name);
    else expect(mayBeUnsure, `${branch.name} is ${state}\n${said}`).toBe(true);
  }
  // HEAD's branch gets an id, and no branch has the id of another.
  const id = await world.known.idOf(world.head.name);
  const others = world.branches.filter((branch) => branch !== world.head && branch.exists);
  expect(
    others.map((branch) => branch.id),
    said,
  ).not.toContain(id);
  if (world.head.id !== null && !mayBeUnsure) expect(id, said).toBe(world.head.id);
  world.head.id = id;
}

async function live(world: World, seed: number, steps: number, mayBeUnsure = false): Promise<void> {
  const draw = random(seed);
  for (let i = 0; i < steps; i++) {
    // Several commands between two looks, and sometimes another daemon.
    for (let n = Math.floor(draw() * 4); n >= 0; n--) step(world, draw);
    if (draw() < 0.2) world.known = open(world.root, world.store, world.renamed);
    await check(world, mayBeUnsure);
  }
}

describe('drawn sequences of renames, deletions, copies and commits', () => {
  const seeds = FULL ? Array.from({ length: 60 }, (_, i) => i + 1) : [1, 2];

  test.each(seeds)('every branch is found again, and never confused with another (seed %i)', async (seed) => {
    await live(makeWorld(), seed, 15);
  });

  test.each(seeds.slice(0, 20))('none is taken for another while git cleans up (seed %i)', async (seed) => {
    await live(makeWorld({}, true), seed, 10, true);
  });

  test.each(seeds.slice(0, 20))('without reflogs none is taken for another (seed %i)', async (seed) => {
    await live(makeWorld({ 'core.logAllRefUpdates': 'false' }, true), seed, 10, true);
  });
});

describe('one by one', () => {
  const seen = async (world: World, name: string) => world.known.idOf(name);
  const nameOf = async (world: World, id: string) => {
    await world.known.look();
    return world.known.find(id);
  };

  test('the name is used again at once', async () => {
    const world = makeWorld();
    await world.known.look();
    const id = await seen(world, 'main');
    world.git('branch', '-m', 'main', 'dev');
    world.git('branch', 'main');
    expect(await nameOf(world, id)).toMatchObject({ name: 'dev', state: 'there' });
    expect(await world.known.idOf('main')).not.toBe(id);
    expect(world.renamed.get(id)).toBe('dev');
  });

  test('three names rotate while nobody is watching', async () => {
    const world = makeWorld();
    for (const name of ['a', 'b', 'c']) world.git('branch', name);
    await world.known.look();
    const ids = await Promise.all(['a', 'b', 'c'].map((name) => seen(world, name)));
    for (const [from, to] of ['a t', 'b a', 'c b', 't c'].map((words) => words.split(' ')))
      world.git('branch', '-m', from!, to!);
    world.known = open(world.root, world.store, world.renamed);
    expect((await Promise.all(ids.map((id) => nameOf(world, id)))).map(({ name }) => name)).toEqual(['c', 'a', 'b']);
  });

  test('a branch that takes another’s place is not the one that it replaces', async () => {
    const world = makeWorld();
    world.git('branch', 'dev');
    await world.known.look();
    const [main, dev] = [await seen(world, 'main'), await seen(world, 'dev')];
    world.git('branch', '-M', 'main', 'dev');
    expect(await nameOf(world, main)).toMatchObject({ name: 'dev', state: 'there' });
    expect(await nameOf(world, dev)).toMatchObject({ name: 'dev', state: 'gone' });
  });

  test('there and back again is itself', async () => {
    const world = makeWorld();
    await world.known.look();
    const id = await seen(world, 'main');
    world.git('branch', '-m', 'main', 'dev');
    world.git('branch', '-m', 'dev', 'main');
    expect(await nameOf(world, id)).toMatchObject({ name: 'main', state: 'there' });
  });

  test('a branch without a commit is the one that gets its first one', async () => {
    const world = makeWorld();
    world.git('switch', '-q', '--orphan', 'lonely');
    await world.known.look();
    const id = await seen(world, 'lonely');
    expect(await world.known.idOf('lonely')).toBe(id);
    world.git('commit', '-q', '--allow-empty', '-m', 'first');
    expect(await nameOf(world, id)).toMatchObject({ name: 'lonely', state: 'there' });
  });

  test('old entries of its log have expired: those that are left are enough', async () => {
    const world = makeWorld();
    for (const days of [100, 95, 90, 60, 50]) {
      vi.stubEnv('GIT_COMMITTER_DATE', `@${Math.floor(Date.now() / 1000) - days * 86_400} +0000`);
      world.git('commit', '-q', '--allow-empty', '-m', `${days} days ago`);
    }
    vi.unstubAllEnvs();
    await world.known.look();
    const id = await seen(world, 'main');
    world.git('branch', '-m', 'main', 'dev');
    world.git('branch', 'main');
    world.git('reflog', 'expire', '--expire=70.days', '--all');
    world.known = open(world.root, world.store, world.renamed);
    expect(await nameOf(world, id)).toMatchObject({ name: 'dev', state: 'there' });
  });

  test('its log is gone and another branch has its commit: a person decides', async () => {
    const world = makeWorld();
    world.git('branch', 'other');
    world.git('pack-refs', '--all');
    await world.known.look();
    const id = await seen(world, 'main');
    rmSync(join(world.root, '.git/logs'), { recursive: true });
    expect(await nameOf(world, id)).toMatchObject({ state: 'unsure' });
    expect(await world.known.certainId('main')).toBeNull();
    await world.known.confirm(id, 'main');
    expect(await nameOf(world, id)).toMatchObject({ name: 'main', state: 'there' });
  });

  test('its log is gone, and no other branch has its commit: it is the same', async () => {
    const world = makeWorld();
    world.git('branch', 'other');
    world.git('commit', '-q', '--allow-empty', '-m', 'on');
    await world.known.look();
    const id = await seen(world, 'main');
    world.git('reflog', 'expire', '--expire=now', '--all');
    world.git('gc', '-q');
    expect(await nameOf(world, id)).toMatchObject({ name: 'main', state: 'there' });
  });

  test('other tools write a rename in their own words, or none', async () => {
    const world = makeWorld();
    world.git('branch', 'b');
    await world.known.look();
    const [main, b] = [await seen(world, 'main'), await seen(world, 'b')];
    const logs = join(world.root, '.git/logs/refs/heads');
    const last = readFileSync(join(logs, 'b'), 'utf8').trimEnd().split('\n').at(-1)!.split(' ');
    const line = (words: string) => `${last[1]} ${last[1]} t <t@e> 1700000000 +0000\t${words}\n`;
    for (const folder of ['refs/heads', 'logs/refs/heads'])
      renameSync(join(world.root, '.git', folder, 'b'), join(world.root, '.git', folder, 'renamed'));
    // JGit does not record where references come from.
    appendFileSync(join(logs, 'renamed'), line('Branch: renamed b to renamed'));
    world.git('branch', 'b');
    expect(await nameOf(world, b)).toMatchObject({ name: 'renamed', state: 'there' });
    expect(await nameOf(world, main)).toMatchObject({ name: 'main', state: 'there' });
  });

  test('which branch a name meant at a time, for what was recorded by name', async () => {
    const world = makeWorld();
    await world.known.look();
    const before = Date.now() - 60_000;
    const path = join(world.root, '.git/logs/refs/heads/main');
    // Pretends to be a minute old.
    writeFileSync(path, readFileSync(path, 'utf8').replace(/> \d+ /, `> ${Math.floor(before / 1000) - 60} `));
    world.git('branch', '-m', 'main', 'dev');
    world.git('branch', 'main');
    await world.known.look(true);
    const id = await world.known.idAt('main', before);
    expect(world.known.find(id!)).toMatchObject({ name: 'dev' });
    expect(await world.known.idAt('main', before - 3_600_000)).toBeNull();
    expect(await world.known.idAt('nothing', before)).toBeNull();
  });
});
