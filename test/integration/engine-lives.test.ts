/** Lives of a run on an engine, one after the other in one place: the store has all that each has saved. */
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LocalReach } from '../../daemon/engines/reaches/local.ts';
import type { ProjectContext } from '../../daemon/runs/context.ts';
import { Lives } from '../../daemon/runs/engines/lives.ts';
import type { EngineRecord } from '../../daemon/runs/engines/records.ts';
import type { Launcher } from '../../daemon/runs/launch/launcher.ts';
import { randomId } from '../../protocol/ids.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, open } from '../support/random-checkpoints.ts';
import { makeLaunch } from '../support/trainer.ts';

test('a checkpoint that a life saved after it was given up is in the store once the next life has begun', async () => {
  const folder = temporaryFolder();
  const { store, path, run, session } = await open(join(folder, 'store'));
  const place = join(folder, 'place');
  const launchOf = (id: string, life: number) =>
    makeLaunch({ run: run.id, session: id, life, root: folder, cwd: folder });
  // What is here of the first life, as it was when its engine gave it up.
  SessionDirectory.create(join(path, 'sessions'), launchOf(session.id, 1));
  await store.putSession({ ...session, endedAt: 1 });
  const there = SessionDirectory.create(join(place, 'sessions'), launchOf(session.id, 1));
  mkdirSync(there.file('inbox'), { recursive: true });
  renameSync(makeCheckpoint(folder, session.id, 646), join(there.file('inbox'), '646'));
  const second = SessionDirectory.create(join(place, 'sessions'), launchOf(randomId(), 2));
  const announce = { checkpoint: () => {}, run: () => {} };
  const context = { store, place: { store: path, root: folder }, announce, log: () => {} } as unknown as ProjectContext;
  const followed: string[] = [];
  const launcher = {
    adopt: (_run: unknown, { id }: { id: string }) => followed.push(id),
    changeIf: (id: string, ...rest: [object, object]) => store.changeRunIf(id, ...rest),
  } as unknown as Launcher;
  const record = { place, seen: [session.id] } as unknown as EngineRecord;
  const begun = await new Lives(context, launcher).begin(new LocalReach('cluster'), record, run, async () => {});
  expect([begun, followed]).toEqual([second.id, [second.id]]);
  expect((await store.checkpoints(run.id)).map(({ step, session: of }) => [step, of])).toEqual([[646, session.id]]);
  expect(await store.requireRun(run.id)).toMatchObject({
    checkpoints: 1,
    lastCheckpoint: { step: 646 },
    status: 'starting',
  });
});
