/** Pins, models, removals and the quota: first what must not happen to them. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { modelPromote, pinSet, storePlan, storeQuota } from '../../protocol/messages/keep.ts';
import { runFork, runPreflight, runRemove, runResume } from '../../protocol/messages/run.ts';
import { storeFsck, storeGc, storeTrash } from '../../protocol/messages/store.ts';
import {
  type Fixture,
  makeFixture,
  openProject,
  shellEnvironment,
  show,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';

const JOB = { module: 'small.ts', checkpoint: { every: '2 steps', best: false }, keep: { last: 5 } };

interface Trained {
  fixture: Fixture;
  client: Client;
  run: Run;
  checkpoints: Checkpoint[];
}

async function trained(runs = 1): Promise<Trained> {
  const fixture = makeFixture({ config: { jobs: { small: JOB } } });
  const client = await openProject(fixture);
  let run: Run | undefined;
  for (let i = 0; i < runs; i++) {
    run = await startSmall(client, fixture);
    await untilStatus(client, fixture, run.id, 'completed');
  }
  const { run: shown, checkpoints } = await show(client, fixture, '1');
  return { fixture, client, run: shown, checkpoints };
}

const trashed = async ({ client, fixture }: Trained) => {
  const { runs, checkpoints } = await client.request(storeTrash, { root: fixture.root });
  return [...runs.map(({ name }) => name), ...checkpoints.map(({ id }) => id)];
};

describe('what is pinned', () => {
  test('stays, whether it is removed, superseded or in the way of the quota, until the pin is taken away', async () => {
    const all = await trained();
    const { fixture, client, checkpoints } = all;
    const { root } = fixture;
    const oldest = checkpoints[0]!;
    await client.request(pinSet, { root, targets: [`1@${oldest.step}`] });
    const removal = { root, target: oldest.id };
    await expect(client.request(runRemove, removal)).rejects.toMatchObject({
      code: 'protectedBy',
      message: expect.stringContaining(`\`trainstash unpin ${oldest.id}\``),
    });
    await expect(client.request(runRemove, { root, target: '1' })).rejects.toMatchObject({ code: 'protectedBy' });
    // A quota below everything deletes what it may at the next checkpoint.
    await client.request(storeQuota, { root, bytes: 1 });
    const next = await startSmall(client, fixture);
    await untilStatus(client, fixture, next.id, 'completed');
    const left = (await show(client, fixture, '1')).checkpoints.map(({ id }) => id);
    expect(left).toContain(oldest.id);
    expect(left.length).toBeLessThan(checkpoints.length);
    await client.request(storeQuota, { root, bytes: null });
    expect((await fixture.cli('gc', '--why', '1')).stdout).toContain('pinned');
    await client.request(pinSet, { root, targets: [oldest.id], remove: true });
    await client.request(runRemove, removal);
  });

  test('as a whole run keeps checkpoints that come later, and is still pinned after the catalog was rebuilt', async () => {
    const all = await trained();
    const { fixture, client } = all;
    const { root } = fixture;
    expect((await fixture.cli('pin', '1')).stdout).toContain('small #1 is pinned');
    expect((await show(client, fixture, '1')).run.pinned).toBe(true);
    await client.request(storeFsck, { root, rebuild: true });
    const again = await openProject(fixture);
    const { checkpoints } = await show(again, fixture, '1');
    expect(checkpoints.every(({ pinned }) => pinned === 'run')).toBe(true);
    await expect(again.request(runRemove, { root, target: checkpoints[0]!.id })).rejects.toMatchObject({
      code: 'protectedBy',
    });
    expect((await fixture.cli('unpin', '1')).code).toBe(0);
    await again.request(runRemove, { root, target: '1' });
    for (const start of [runResume, runFork])
      await expect(
        again.request(start, { root, run: '1', accept: true, environment: shellEnvironment() }),
      ).rejects.toMatchObject({ code: 'protectedBy' });
    // Nothing in the trash can be pinned: it would be deleted all the same.
    await expect(again.request(pinSet, { root, targets: ['1'] })).rejects.toMatchObject({ code: 'protectedBy' });
  });

  test('of several targets all change, or none', async () => {
    const { fixture, client, checkpoints } = await trained();
    const targets = [checkpoints[0]!.id, '1@999999'];
    await expect(client.request(pinSet, { root: fixture.root, targets })).rejects.toMatchObject({ code: 'notFound' });
    await expect(client.request(pinSet, { root: fixture.root, targets: ['99'] })).rejects.toMatchObject({
      message: expect.stringMatching(/^There is no run or checkpoint "99"/),
    });
    expect((await show(client, fixture, '1')).checkpoints.some(({ pinned }) => pinned)).toBe(false);
  });
});

describe('removing several', () => {
  test('removes none if one may not go, and a run together with its fork in any order', async () => {
    const all = await trained(2);
    const { fixture, client, checkpoints } = all;
    const { root } = fixture;
    const fork = await client.request(runFork, {
      root,
      run: '1',
      from: String(checkpoints[0]!.step),
      accept: true,
      environment: shellEnvironment(),
    });
    await untilStatus(client, fixture, fork.id, 'completed');
    const before = await trashed(all);
    for (const target of [
      ['2', '1'],
      ['2', '77'],
      [checkpoints[1]!.id, '1'],
    ])
      await expect(client.request(runRemove, { root, target })).rejects.toMatchObject({
        code: expect.stringMatching(/^(protectedBy|notFound)$/),
        message: expect.not.stringContaining('undefined'),
      });
    expect(await trashed(all)).toEqual(before);
    const removed = await fixture.cli('rm', '1', '3', '2', '2', checkpoints[1]!.id);
    expect(removed.stdout.match(/in the trash for 7 days/g)).toHaveLength(3);
    const back = await fixture.cli('rm', '3', '1', '--undo');
    expect(back.stdout.match(/restored/g)).toHaveLength(2);
    expect((await show(client, fixture, '1')).checkpoints).toHaveLength(checkpoints.length);
    await expect(client.request(runRemove, { root, target: ['1', '2'], undo: true })).rejects.toMatchObject({
      code: 'notFound',
    });
    expect(await trashed(all)).toContain('small #2');
  });
});

describe('a promoted checkpoint', () => {
  test('needs a name that is a folder and a version that is free; otherwise nothing changes', async () => {
    const { fixture, client, checkpoints } = await trained();
    const { root } = fixture;
    const request = { root, source: checkpoints[0]!.id, environment: shellEnvironment() };
    for (const name of ['../evil', '', '.hidden', 'a/b', 'x'.repeat(65), 'a@b', 'a\nb', '-rf'])
      await expect(client.request(modelPromote, { ...request, name })).rejects.toMatchObject({ code: 'paramInvalid' });
    await expect(client.request(modelPromote, { ...request, name: 'm', version: '../1' })).rejects.toMatchObject({
      code: 'paramInvalid',
    });
    await expect(client.request(modelPromote, { ...request, name: 'm', format: 'gguf' })).rejects.toMatchObject({
      code: 'formatUnavailable',
    });
    mkdirSync(join(root, 'models/mine@7'), { recursive: true });
    await expect(client.request(modelPromote, { ...request, name: 'mine', version: '7' })).rejects.toMatchObject({
      code: 'outputExists',
    });
    writeFileSync(join(root, 'file'), '');
    await expect(
      client.request(modelPromote, { ...request, name: 'm', directory: join(root, 'file/below') }),
    ).rejects.toMatchObject({ code: 'outputUnusable' });
    expect(readdirSync(join(root, 'models'))).toEqual(['mine@7']);
    expect((await show(client, fixture, '1')).checkpoints.flatMap(({ tags }) => tags)).toEqual([]);
    expect((await client.request(modelPromote, { ...request, name: 'mine' })).model).toBe('models/mine@8');
    expect((await fixture.cli('tag', checkpoints[1]!.id, 'models/mine@9')).stderr).toContain('trainstash promote');
  });

  test('has a card with its origin, is found by its name, and is not taken for a change of the code', async () => {
    const { fixture, client, run, checkpoints } = await trained();
    const { root } = fixture;
    const last = checkpoints.at(-1)!;
    writeFileSync(
      join(root, 'pyproject.toml'),
      '[tool.x]\nlicense = "wrong"\n[project]\nname = "x"\nlicense = "MIT"\n',
    );
    const promoted = await fixture.cli('promote', `1@${last.step}`, 'digits', '--note', 'For | the *team*');
    expect(promoted).toMatchObject({ code: 0, stderr: '' });
    const folder = join(root, 'models/digits@1');
    const card = JSON.parse(readFileSync(join(folder, 'card.json'), 'utf8'));
    expect(card).toMatchObject({
      model: 'models/digits@1',
      license: 'MIT',
      checkpoint: { id: last.id, step: last.step, stateDigest: last.stateDigest },
      params: run.params,
      metrics: last.metrics,
      code: { branch: 'main', commit: run.commit },
    });
    for (const { name, bytes } of card.files) expect(statSync(join(folder, name)).size).toBe(bytes);
    const text = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(text).toMatch(/^---\nlicense: "MIT"\n/);
    expect(text).toContain('For \\| the \\*team\\*');
    expect(readdirSync(folder).sort()).toEqual(
      ['README.md', 'card.json', ...card.files.map((one: { name: string }) => one.name)].sort(),
    );
    const found = await fixture.cli('show', 'models/digits@1', '--json');
    expect(JSON.parse(found.stdout).id).toBe(last.id);
    expect((await fixture.cli('rm', '1')).stderr).toContain('has the model models/');
    const fork = await fixture.cli('fork', 'models/digits@1', '--detach', '--json');
    expect(JSON.parse(fork.stdout).parent.checkpoint).toBe(last.id);
    await untilStatus(client, fixture, JSON.parse(fork.stdout).id, 'completed');
    const options = { root, run: '1', environment: shellEnvironment() };
    const { differences } = await client.request(runPreflight, options);
    expect(differences.filter(({ kind }) => kind === 'code').map(({ name }) => name)).toEqual(['pyproject.toml']);
  });
});

describe('the plan of a collection', () => {
  test('names what goes and what that frees, and deletes nothing', async () => {
    const all = await trained(2);
    const { fixture, client } = all;
    const { root } = fixture;
    await client.request(runRemove, { root, target: '2' });
    const now = await client.request(storePlan, { root });
    expect(now).toMatchObject({ counts: { runs: 0, checkpoints: 0 }, runs: [], checkpoints: [] });
    expect(now.later.checkpoints).toBeGreaterThan(0);
    const emptied = await client.request(storePlan, { root, emptyTrash: true });
    expect(emptied.runs.map(({ name }) => name)).toEqual(['small #2']);
    expect(emptied.freedBytes).toBeGreaterThanOrEqual(0);
    const before = await trashed(all);
    expect((await fixture.cli('gc', '--plan', '--empty-trash')).stdout).toContain('1 run for good');
    expect(await trashed(all)).toEqual(before);
    const done = await client.request(storeGc, { root, emptyTrash: true });
    expect(done.removedCheckpoints).toBe(emptied.counts.checkpoints);
    expect((await client.request(storePlan, { root, emptyTrash: true })).freedBytes).toBe(0);
    expect(existsSync(join(root, 'models'))).toBe(false);
  });
});

describe('the quota', () => {
  test('is set by a size, says first what a smaller one deletes, and is not set without a yes', async () => {
    const { fixture } = await trained();
    const shown = async () => JSON.parse((await fixture.cli('quota', '--json')).stdout);
    const before = await shown();
    expect(before.isDefault).toBe(true);
    for (const size of ['lots', '-1', '0', '1e9', '5 parsecs', '', '9999999999TB'])
      expect((await fixture.cli('quota', size)).code).toBe(2);
    const refused = await fixture.cli('quota', '1KB');
    expect(refused).toMatchObject({ code: 1, stderr: 'Nothing was changed. --yes skips the question.\n' });
    expect(refused.stdout).toContain('for good');
    expect(await shown()).toEqual(before);
    for (const [size, bytes] of [
      ['200GB', 200e9],
      ['1.5 TB', 1.5e12],
      ['2GiB', 2 ** 31],
      ['700000000', 7e8],
    ] as const) {
      expect((await fixture.cli('quota', size)).code).toBe(0);
      expect(await shown()).toMatchObject({ quotaBytes: bytes, isDefault: false });
    }
    expect((await fixture.cli('quota', '1KB', '--yes')).code).toBe(0);
    expect((await fixture.cli('quota', 'default')).stdout).toContain('the default for this disk');
  });
});
