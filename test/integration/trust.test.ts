/** The origin of a store, and consent to run a folder's code: looking trusts nothing. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { startStore } from '../../daemon/store/client.ts';
import { branchFollow, branchSync, stashList, stashRestore } from '../../protocol/messages/branch.ts';
import { checkpointRestore, checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { codeRestore, diffShow } from '../../protocol/messages/diff.ts';
import { exportWrite } from '../../protocol/messages/export.ts';
import { logRead } from '../../protocol/messages/metrics.ts';
import { jobKeep, projectOpen } from '../../protocol/messages/project.ts';
import { runFork, runList, runPreflight, runResume, runShow, runStart } from '../../protocol/messages/run.ts';
import { storeEject, storeScrub } from '../../protocol/messages/store.ts';
import {
  type Fixture,
  isAlive,
  makeFixture,
  openProject,
  shellEnvironment,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { CHECKPOINT, LATER, makeVictim, STASHES, stateOf, type Victim } from '../support/hostile-store.ts';
import { writeBroken } from '../support/native-package.ts';
import { gitIn } from '../support/repository.ts';
import { DIST, makeLaunch } from '../support/trainer.ts';

async function given(): Promise<{ victim: Victim; fixture: Fixture; client: Client; root: string }> {
  const fixture = makeFixture();
  const victim = await makeVictim(temporaryFolder());
  return { victim, fixture, client: await fixture.connect(), root: victim.root };
}

const open = (client: Client, root: string, more: object = {}) =>
  client.request(projectOpen, { root, trusted: true, ...more });

/** Runs the command line in another folder than the fixture's. */
function cli(fixture: Fixture, cwd: string, ...words: string[]): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(DIST, 'trainstash.js'), ...words], { cwd, env: fixture.env });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        text += data;
      });
    child.once('close', (code) => resolve({ code, text }));
  });
}

async function restarted({ fixture, client }: { fixture: Fixture; client: Client }): Promise<Client> {
  const { pid } = client.daemon;
  await client.request(daemonStop, {});
  await until('the daemon is gone', () => !isAlive(pid));
  return fixture.connect();
}

/** All files of a store with their bytes, but for SQLite's own, its owner's, and what git knows of the worktree. */
function recordsIn(store: string): [name: string, state: string][] {
  const isOfSqlite = (name: string) => /^(objects|catalog)\.db|^owner|^code\.git\/index|^$/.test(name);
  return [...stateOf(store)].flatMap(([name, state]) => (isOfSqlite(name) ? [] : [[name, state.split(' ')[0]!]]));
}

describe('a store that was made elsewhere', () => {
  test('may be looked at; nothing of it is run, and nothing is written, before somebody has said so once', async () => {
    const { victim, fixture, client, root } = await given();
    const before = stateOf(root, ['.git/trainstash']);
    // A session that nobody has taken in, and one that was being discarded.
    const store = join(root, '.git/trainstash');
    const session = join(store, 'sessions/k3k3k3k3k3k3');
    mkdirSync(join(session, 'inbox'), { recursive: true });
    writeFileSync(
      join(session, 'launch.json'),
      JSON.stringify(makeLaunch({ session: 'k3k3k3k3k3k3', run: null, root })),
    );
    mkdirSync(join(store, 'sessions/old.unstarted'), { recursive: true });
    rmSync(join(store, 'branch-ids.json'), { force: true });
    const kept = recordsIn(store);
    expect(await open(client, root)).toMatchObject({ trusted: true, madeElsewhere: true });
    const { runs } = await client.request(runList, { root });
    expect(runs.map(({ id }) => id)).toEqual([victim.run]);
    expect((await client.request(runShow, { root, run: victim.run })).checkpoints).toHaveLength(2);
    await client.request(diffShow, { root, sides: [CHECKPOINT, LATER] });
    await client.request(logRead, { root, run: victim.run, offset: 0 });
    await client.request(runPreflight, { root, run: victim.run, environment: shellEnvironment() });
    expect((await client.request(stashList, { root })).stashes).toHaveLength(STASHES.length);

    const out = join(victim.folder, 'out');
    const environment = shellEnvironment();
    const refused: Record<string, () => Promise<unknown>> = {
      run: () => client.request(runStart, { root, job: 'x', command: ['true'], cwd: root, params: {}, environment }),
      resume: () => client.request(runResume, { root, run: victim.run, environment, accept: true }),
      fork: () => client.request(runFork, { root, run: victim.run, environment, accept: true }),
      verify: () => client.request(checkpointVerify, { root, checkpoint: CHECKPOINT, environment }),
      restore: () => client.request(checkpointRestore, { root, checkpoint: CHECKPOINT, directory: out }),
      code: () => client.request(codeRestore, { root, source: CHECKPOINT, directory: out }),
      export: () =>
        client.request(exportWrite, { root, source: CHECKPOINT, format: 'original', path: out, environment }),
      stash: () => client.request(stashRestore, { root, stash: STASHES[0], directory: out }),
      'stash in place': () => client.request(stashRestore, { root, stash: STASHES[0] }),
      sync: () => client.request(branchSync, { root }),
      follow: () => client.request(branchFollow, { root, follow: true }),
      keep: () => client.request(jobKeep, { root, run: victim.run }),
      scrub: () => client.request(storeScrub, { root, apply: true, logs: true }),
      eject: () => client.request(storeEject, { root, directory: out }),
    };
    for (const [what, ask] of Object.entries(refused))
      await expect(ask(), what).rejects.toMatchObject({ code: 'storeElsewhere', data: { root } });
    expect(existsSync(out)).toBe(false);
    // Moving HEAD does not change that.
    gitIn(root)('switch', '-q', 'other');
    await client.request(projectOpen, { root, trusted: true, watch: true });
    gitIn(root)('switch', '-q', 'main');
    const after = stateOf(root, ['.git/trainstash']);
    for (const state of [before, after])
      for (const path of [...state.keys()]) if (/^(\.git(\/|$)|$)/.test(path)) state.delete(path);
    expect(after).toEqual(before);

    expect(recordsIn(store)).toEqual(kept);
    const { runs: left } = await client.request(runList, { root });
    expect(left).toEqual(runs);

    expect(await open(client, root, { acceptStore: true })).toMatchObject({ madeElsewhere: false });
    // Only now what was left there is taken over.
    expect((await client.request(runList, { root, drafts: true })).runs.length).toBeGreaterThan(runs.length);
    await refused.restore!();
    expect(existsSync(join(out, 'model.pt'))).toBe(true);
    const again = await restarted({ fixture, client });
    expect(await open(again, root)).toMatchObject({ madeElsewhere: false });
  });

  test('is asked about on the command line, where --trust is the answer', async () => {
    const { fixture, root, victim } = await given();
    expect((await cli(fixture, root, 'ls', '--all')).text).toContain('true #1');
    expect((await cli(fixture, root, 'where')).text).toContain('made elsewhere');
    const out = join(victim.folder, 'out');
    const refused = await cli(fixture, root, 'restore', CHECKPOINT, out);
    expect(refused.code).toBe(1);
    expect(refused.text).toMatch(/made elsewhere.*--trust/s);
    expect(existsSync(out)).toBe(false);
    const resumed = await cli(fixture, root, 'resume', '1', '--yes', '--json');
    expect(JSON.parse(resumed.text)).toMatchObject({ error: { code: 'storeElsewhere' } });
    expect((await cli(fixture, root, 'restore', CHECKPOINT, out, '--trust')).code).toBe(0);
    expect((await cli(fixture, root, 'code', CHECKPOINT, join(victim.folder, 'code'))).code).toBe(0);
  });

  test('is a copy of one’s own, one of another user or machine, and one that was put in the place of one’s own', async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
    const later = await restarted({ fixture, client });
    expect(await open(later, fixture.root)).toMatchObject({ madeElsewhere: false });

    const copy = join(fixture.folder, 'copy');
    cpSync(fixture.root, copy, { recursive: true });
    rmSync(join(copy, '.git/trainstash/owner.json'), { force: true });
    expect(await open(later, copy)).toMatchObject({ madeElsewhere: true });

    const last = await restarted({ fixture, client: later });
    const objects = join(fixture.store, 'objects.db');
    writeFileSync(`${objects}.new`, readFileSync(objects));
    renameSync(`${objects}.new`, objects);
    expect(await open(last, fixture.root)).toMatchObject({ madeElsewhere: true });
  });

  test('is told in no case where one’s own repository was only moved', async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const run = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
    const next = await restarted({ fixture, client });
    const moved = join(fixture.folder, 'elsewhere/project');
    mkdirSync(join(moved, '..'));
    renameSync(fixture.root, moved);
    expect(await open(next, moved)).toMatchObject({ madeElsewhere: false, runs: 1 });
    const directory = join(fixture.folder, 'restored');
    await next.request(checkpointRestore, { root: moved, checkpoint: `${run.number}@last`, directory });
  });

  test('is told in no case of one that was in use here before stores had names', async () => {
    const { victim, fixture, client, root } = await given();
    await client.request(daemonStop, {});
    await client.closed;
    const state = join(fixture.folder, 'state');
    rmSync(join(state, 'stores.json'), { force: true });
    writeFileSync(join(state, 'projects.json'), JSON.stringify([{ root, store: victim.store, trusted: true }]));
    await until('the daemon is gone', () => !isAlive(client.daemon.pid));
    expect(await open(await fixture.connect(), root)).toMatchObject({ trusted: true, madeElsewhere: false });
  });

  test('is not one that scripts have made which were started by hand, before any daemon', async () => {
    for (const [host, madeElsewhere] of [
      [hostname(), false],
      ['another-machine', true],
    ] as const) {
      const fixture = makeFixture();
      const session = join(fixture.store, 'sessions/aaaaaaaaaaaa');
      mkdirSync(join(session, 'inbox'), { recursive: true });
      writeFileSync(
        join(session, 'launch.json'),
        JSON.stringify(makeLaunch({ session: 'aaaaaaaaaaaa', root: fixture.root })),
      );
      writeFileSync(join(session, 'process.json'), JSON.stringify({ pid: 1, startTime: null, host, bootId: '' }));
      expect(await open(await fixture.connect(), fixture.root), host).toMatchObject({ madeElsewhere });
    }
  });

  test('is not even opened where it is a link', async () => {
    const { victim, client, root } = await given();
    const target = join(victim.folder, 'target');
    renameSync(victim.store, target);
    symlinkSync(target, victim.store);
    const before = stateOf(target);
    await expect(open(client, root)).rejects.toMatchObject({ code: 'storeElsewhere' });
    expect(stateOf(target)).toEqual(before);
    expect(await open(client, root, { acceptStore: true })).toMatchObject({ madeElsewhere: false, runs: 1 });
    expect(await open(client, root)).toMatchObject({ madeElsewhere: false });
  });
});

test('a store that is new is one’s own, with whatever was there to look at before', async () => {
  const path = join(temporaryFolder(), 'store');
  const store = await startStore(new URL(`file://${join(DIST, 'store-worker.js')}`), { path });
  expect((await store.info()).id).toBeNull();
  const id = await store.giveId();
  expect(await store.giveId()).toBe(id);
  await store.close();
});

test('looking at a clone on the command line does not trust it; starting something does', async () => {
  const fixture = makeFixture({ config: { jobs: { small: { run: 'true' } } } });
  const trusted = async () => (await fixture.connect()).request(projectOpen, { root: fixture.root, trusted: false });
  for (const words of [['ls'], ['gc', '--why'], ['fsck'], ['stash']]) {
    expect((await fixture.cli(...words)).code, words.join(' ')).toBe(0);
    expect((await trusted()).trusted, words.join(' ')).toBe(false);
  }
  expect((await fixture.cli('run', 'small', '-d')).code).toBe(0);
  expect((await trusted()).trusted).toBe(true);
});

test('doctor loads no package that came with a folder which nobody has trusted, and says which and how', async () => {
  const fixture = makeFixture();
  writeBroken(fixture.root, 'registersNothing');
  const trace = join(fixture.folder, 'ran');
  const main = execFileSync('find', [join(fixture.root, 'node_modules'), '-name', '*.js'], { encoding: 'utf8' }).split(
    '\n',
  )[0]!;
  writeFileSync(main, `require('fs').writeFileSync(${JSON.stringify(trace)}, '');\n${readFileSync(main, 'utf8')}`);
  const { stdout } = await fixture.cli('doctor');
  expect(existsSync(trace)).toBe(false);
  expect(stdout).toMatch(/tfjs-node-gpu\s+not loaded:\s+\S+tfjs-node-gpu\s+is part of this folder/);
  expect(stdout).toContain('doctor --trust');
  const client = await fixture.connect();
  const opened = await client.request(projectOpen, { root: fixture.root, trusted: false });
  expect(opened.trusted).toBe(false);
  expect((await fixture.cli('doctor', '--trust')).code).toBe(0);
  expect(existsSync(trace)).toBe(true);
});
