import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { diffShow } from '../../protocol/messages/diff.ts';
import { runFork } from '../../protocol/messages/run.ts';
import { makeFixture, openProject, shellEnvironment, show, startSmall, untilStatus } from '../support/daemon.ts';

test('a run and its fork: params, curves with the parent’s part, code, and the checkpoint that both come from', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const first = await startSmall(client, fixture, { epochs: 2, slow: 20 });
  await untilStatus(client, fixture, first.id, 'completed');
  // The origin is whichever checkpoint the disk let through before the last.
  const origin = (await show(client, fixture, first.id)).checkpoints.find(({ step }) => step >= 4)!;
  expect(origin.step).toBeLessThan(first.totalSteps!);
  appendFileSync(join(fixture.root, 'small.ts'), '\n// changed\n');
  const fork = await client.request(runFork, {
    root: fixture.root,
    run: first.id,
    from: origin.id,
    set: { learningRate: 0.02 },
    environment: shellEnvironment(),
    accept: true,
  });
  await untilStatus(client, fixture, fork.id, 'completed');
  const ask = (...sides: string[]) => client.request(diffShow, { root: fixture.root, sides });
  const found = await ask('1', '2');
  expect(found.params).toMatchObject([
    { name: 'learningRate', values: [{ isDefault: true }, { value: 0.02, isDefault: false }] },
  ]);
  expect(found.code).toEqual({
    kept: [true, true],
    files: [
      {
        path: 'small.ts',
        status: 'changed',
        side: 1,
        added: 2,
        removed: 0,
        hunks: expect.stringMatching(/^@@ -\d+,3 \+\d+,5 @@[\s\S]*\n\+\n\+\/\/ changed$/),
      },
    ],
    more: 0,
  });
  expect(found.sameState).toBe(false);
  expect(found.lineage.ancestor).toEqual({ checkpoint: origin.id, run: first.id, step: origin.step });
  expect(found.lineage.steps).toEqual(found.sides.map(({ step }) => step - origin.step));
  const loss = found.metrics.find(({ name }) => name === 'loss')!;
  // The fork's curve starts with its parent's. The loss of the next step still belongs to the weights that both had before their updates.
  expect(loss.partsAt).toBe(origin.step + 2);
  expect(loss.sides[0]!.points).toBe(loss.sides[1]!.points);
  expect(found.environment).toEqual([]);
  expect(found.data).toEqual([]);

  const same = await ask(`1@${origin.step}`, origin.id);
  expect(same).toMatchObject({
    sameState: true,
    params: [],
    lineage: { ancestor: { step: origin.step }, steps: [0, 0] },
  });
  expect(same.metrics.every(({ partsAt }) => partsAt === null)).toBe(true);
  const printed = await fixture.cli('diff', '1', '2');
  expect(printed.stdout).toContain(`common origin: step ${origin.step}`);
  for (const line of printed.stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
  // With epochs the axis says so, --code shows the changes, and a name that is mapped to nothing does not match.
  const byEpoch = JSON.parse((await fixture.cli('diff', '1', '2', '--by', 'epoch', '--json')).stdout);
  expect(byEpoch.axis).toBe('epoch');
  expect(printed.stdout).not.toContain('// changed');
  expect((await fixture.cli('diff', '1', '2', '--code')).stdout).toContain('+// changed');
  const mapped = await fixture.cli('diff', '1', '2', '--map', '0.Conv2D=nowhere', '--json');
  const names = JSON.parse(mapped.stdout).weights[0];
  expect(JSON.stringify(names)).toContain('nowhere');
  expect((await fixture.cli('diff', '1', '2', '--map', 'nothing')).stderr).toContain('OLD=NEW');
  expect((await fixture.cli('diff', '1', '2', '--by', 'moon')).stderr).toMatch(/step|epoch|time/);
});

test('the best runs of two branches; what does not exist is named, and nothing is guessed', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { epochs: 1 });
  await untilStatus(client, fixture, run.id, 'completed');
  expect((await fixture.cli('diff', 'main..idea')).stderr).toContain('There are no runs of idea');
  expect((await fixture.cli('diff', '1')).stderr).toContain('diff needs two sides');
  expect((await fixture.cli('diff', '1', '99')).stderr).toContain('There is no checkpoint "99"');
  expect(JSON.parse((await fixture.cli('diff', 'main..main', '--json')).stdout)).toMatchObject({
    sameState: true,
    params: [],
  });
});
