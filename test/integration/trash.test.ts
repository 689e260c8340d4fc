/** Removed runs and checkpoints: listed, restored, and deleted only after a yes. */
import { expect, test } from 'vitest';
import { runRemove, runResume, runShow } from '../../protocol/messages/run.ts';
import { storeTrash } from '../../protocol/messages/store.ts';
import { lossLines } from '../../protocol/trash-words.ts';
import {
  type Fixture,
  makeFixture,
  openProject,
  shellEnvironment,
  show,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';

const JOB = { module: 'small.ts', checkpoint: { every: '2 steps', best: false }, keep: { last: 2 } };

/** Trains with steps so slow that no save is left out: one that is due while the last is being written is. */
async function trained(): Promise<{ fixture: Fixture; client: Awaited<ReturnType<typeof openProject>> }> {
  const fixture = makeFixture({ config: { jobs: { small: JOB } } });
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 100 });
  await untilStatus(client, fixture, run.id, 'completed');
  return { fixture, client };
}

test('checkpoints that retention trashed are listed with ids for rm --undo, and stay out of the trash once restored', async () => {
  const { fixture, client } = await trained();
  const { checkpoints, runs, counts } = await client.request(storeTrash, { root: fixture.root });
  expect(runs).toEqual([]);
  expect(checkpoints.length).toBeGreaterThan(1);
  expect(counts).toEqual({ runs: 0, checkpoints: checkpoints.length });
  const listed = await fixture.cli('ls', '--trash');
  for (const { id, step } of checkpoints)
    expect(listed.stdout).toMatch(new RegExp(`${id}\\s+step ${step} of small #1`));
  expect(listed.stdout).toContain('`trainstash rm ID --undo` restores one');
  expect((await fixture.cli('ls', '--trash', '--branch', 'other')).stdout).toContain('The trash is empty');
  const shown = (await fixture.cli('show', '1', '--trash')).stdout;
  const [before, after] = shown.split('IN THE TRASH');
  expect(before).not.toContain(checkpoints[0]!.id);
  for (const { id } of checkpoints) expect(after).toContain(id);

  const [first, second] = checkpoints;
  expect((await fixture.cli('rm', first!.id, '--undo')).stdout).toBe(`${first!.id} is restored.\n`);
  expect((await fixture.cli('rm', `1@${second!.step}`, '--undo')).stdout).toBe(`${second!.id} is restored.\n`);
  expect((await fixture.cli('gc', '--why', '1')).stdout).toContain('brought back from the trash');
  const again = await client.request(runResume, {
    root: fixture.root,
    run: '1',
    accept: true,
    from: String(first!.step),
    environment: shellEnvironment(),
  });
  await untilStatus(client, fixture, again.id, 'completed');
  const ids = (await show(client, fixture, again.id)).checkpoints.map(({ id }) => id);
  expect(ids).toContain(first!.id);
  expect(ids).toContain(second!.id);
});

test('emptying the trash says what will be lost and waits for a yes; then an undo says that it is too late', async () => {
  const { fixture, client } = await trained();
  const { checkpoints: kept } = await show(client, fixture, '1');
  const removed = await fixture.cli('rm', '1');
  expect(removed.stdout).toContain(`small #1 and ${kept.length} checkpoints (`);
  expect(removed.stdout).toMatch(/are in the trash for 7 days; `trainstash rm 1 --undo` restores them\.\n$/);
  const lost = lossLines(await client.request(storeTrash, { root: fixture.root }));
  expect(lost[0]).toMatch(/^1 run and \d+ checkpoints of it: small #1$/);

  const refused = await fixture.cli('gc', '--empty-trash');
  expect(refused.code).toBe(1);
  for (const line of lost) expect(refused.stdout.replaceAll(/\s+/g, ' ')).toContain(line);
  expect(refused.stderr).toBe('Nothing was deleted. --yes skips the question.\n');
  expect((await fixture.cli('gc', '--empty-trash', '--json')).code).toBe(1);
  expect((await fixture.cli('rm', '1', '--undo')).stdout).toBe(
    `small #1 and ${kept.length} checkpoints are restored.\n`,
  );
  expect((await show(client, fixture, '1')).checkpoints.map(({ id }) => id)).toEqual(kept.map(({ id }) => id));
  const twice = await fixture.cli('rm', '1', '--undo');
  expect(twice.stderr).toContain('small #1 is not in the trash');

  const single = kept[0]!.id;
  expect((await fixture.cli('rm', single)).stdout).toContain('is in the trash for 7 days');
  expect((await fixture.cli('rm', '1')).code).toBe(0);
  // It was removed before its run was, and cannot be restored without it.
  expect((await fixture.cli('rm', single, '--undo')).stderr).toContain('`trainstash rm 1 --undo` restores both');
  const emptied = await fixture.cli('gc', '--empty-trash', '--yes');
  expect(emptied.stdout).toMatch(/^\d+ checkpoints and \d+ chunks? deleted/);
  for (const target of ['1', single, `1@${kept[0]!.step}`]) {
    await expect(client.request(runRemove, { root: fixture.root, target, undo: true })).rejects.toMatchObject({
      code: 'notFound',
      message: expect.stringContaining('is not in the trash: it was deleted for good, or was never there'),
    });
  }
  expect((await fixture.cli('ls', '--trash')).stdout).toBe('The trash is empty.\n');
  // Nothing is lost, so nobody is asked.
  expect((await fixture.cli('gc', '--empty-trash')).stdout).toMatch(/^0 checkpoints and 0 chunks deleted/);
  await expect(client.request(runShow, { root: fixture.root, run: '1' })).rejects.toMatchObject({ code: 'notFound' });
});
