/** Metrics in a store: from earlier versions, of a lost catalog, and of steps that were done twice. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDatabase } from '../../base/sqlite.ts';
import { newSession } from '../../daemon/runs/records.ts';
import type { Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { toWireNumber, type WireNumber } from '../../protocol/numbers.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE } from '../../protocol/session.ts';
import { temporaryFolder } from '../support/folder.ts';
import { openStored, reopen, type Stored } from '../support/stored.ts';

let seq = 0;
let time = 1;

/** Reports metrics as a trainer would; `values` may be what only older versions wrote. */
async function tell({ folder, store }: Stored, session: string, told: [step: number, values: object][]) {
  const directory = join(folder, 'store/sessions', session);
  mkdirSync(directory, { recursive: true });
  const lines = told.map(([step, values]) =>
    JSON.stringify({ seq: ++seq, t: ++time, type: 'metrics', step, epoch: 0, values }),
  );
  appendFileSync(join(directory, 'events.ndjson'), `${lines.join('\n')}\n`);
  return store.takeEvents(session, 'events');
}

const losses = (session: Stored['session'], stored: Stored, values: [number, number][]) =>
  tell(
    stored,
    session.id,
    values.map(([step, loss]) => [step, { loss: toWireNumber(loss) }]),
  );

async function keep({ folder, store, run }: Stored, session: Session, step: number, parent: string | null) {
  const id = randomId();
  const directory = join(folder, id);
  mkdirSync(directory);
  writeFileSync(join(directory, 'model.pt'), id);
  const facts = blankCheckpointFile(id, session.id, step, ++time);
  const files = [{ name: 'model.pt', bytes: id.length }];
  writeFileSync(join(directory, CHECKPOINT_FILE), JSON.stringify({ ...facts, parent, files }));
  await store.saveCheckpoint({ directory, run, session }, 0);
  return id;
}

async function curve({ store, run }: Stored, name = 'loss'): Promise<[number, WireNumber][]> {
  const [series] = await store.queryMetrics(run.id, { names: [name] });
  return series!.steps.map((step, i) => [step, series!.values[i]!]);
}

test('an event whose metric is null is of NaN; a bare NaN is no JSON, and is skipped', async () => {
  const stored = await openStored(temporaryFolder());
  const taken = await tell(stored, stored.session.id, [
    [1, { loss: null, acc: '-0' }],
    [2, { loss: '-Infinity' }],
  ]);
  expect(taken).toMatchObject({ malformed: 0, points: 3 });
  const events = join(stored.folder, 'store/sessions', stored.session.id, 'events.ndjson');
  appendFileSync(events, '{"seq":999,"t":1,"type":"metrics","step":3,"epoch":0,"values":{"loss":NaN}}\n');
  expect(await stored.store.takeEvents(stored.session.id, 'events')).toMatchObject({ malformed: 1, points: 0 });
  expect(await curve(stored)).toEqual([
    [1, 'NaN'],
    [2, '-Infinity'],
  ]);
  expect(await curve(stored, 'acc')).toEqual([[1, '-0']]);
});

test('rows of a catalog that an earlier version wrote have NaN where it wrote null', async () => {
  const stored = await openStored(temporaryFolder());
  const id = await keep(stored, stored.session, 5, null);
  await stored.store.close();
  const catalog = openDatabase(join(stored.folder, 'store/catalog.db'));
  const old = { last: null, lastStep: 5, min: null, minStep: 5, max: 3, maxStep: 2, count: 4 };
  const good = { last: 1, lastStep: 5, min: 1, minStep: 5, max: 3, maxStep: 2, count: 4 };
  const metrics = JSON.stringify({ loss: old, acc: good });
  catalog.prepare("UPDATE run SET body = json_set(body, '$.metrics', json(?))").run(metrics);
  catalog.exec(`UPDATE checkpoint SET body = json_set(body, '$.metrics', json('{"loss":null,"acc":1}'))`);
  catalog.close();
  const again = await reopen(stored);
  const run = (await again.store.run(stored.run.id))!;
  expect(run.metrics).toEqual({ loss: { ...old, last: 'NaN', notFinite: 1 }, acc: { ...good, notFinite: 0 } });
  expect((await again.store.findRun(run.name)).metrics).toEqual(run.metrics);
  expect((await again.store.checkpoint(id))!.metrics).toEqual({ loss: 'NaN', acc: 1 });
});

test('a catalog that is rebuilt from checkpoints alone has every point once, evaluations of earlier steps as well', async () => {
  const stored = await openStored(temporaryFolder());
  const { session } = stored;
  await losses(session, stored, [
    [1, 1],
    [2, 2],
    [3, Number.NaN],
    [4, 4],
  ]);
  const first = await keep(stored, session, 4, null);
  await losses(session, stored, [
    [5, 5],
    [6, 6],
    [2, 22],
    [1, 11],
  ]);
  const second = await keep(stored, session, 6, first);
  await losses(session, stored, [
    [7, 7],
    [3, 33],
  ]);
  await keep(stored, session, 7, second);
  const before = await curve(stored);
  expect(before).toEqual([
    [1, 11],
    [2, 22],
    [3, 33],
    [4, 4],
    [5, 5],
    [6, 6],
    [7, 7],
  ]);
  await stored.store.close();
  for (const name of ['catalog.db', 'catalog.db-wal', 'catalog.db-shm', `sessions/${session.id}`])
    rmSync(join(stored.folder, 'store', name), { recursive: true, force: true });
  expect(await curve(await reopen(stored))).toEqual(before);
});

test('steps that are told several times each are compared one after the other, and what is not told yet is not different', async () => {
  const stored = await openStored(temporaryFolder());
  const { session, store, run } = stored;
  await losses(session, stored, [
    [1, 1],
    [2, 2],
    [2, 2.5],
    [3, 3],
    [3, 3.5],
  ]);
  const origin = await keep(stored, session, 1, null);
  const resumed = newSession({ ...run, sessions: 1 }, 'train', { checkpoint: origin, step: 1 });
  await store.putSession(resumed);
  await losses(resumed, stored, [
    [2, 2],
    [2, 2.5],
    [3, 3],
    [1, 9],
  ]);
  expect(await store.compareOverlap(resumed.id)).toMatchObject({ steps: 2, equal: 2, firstDifferent: null });
  await losses(resumed, stored, [[3, -3.5]]);
  expect(await store.compareOverlap(resumed.id)).toMatchObject({
    equal: 1,
    firstDifferent: { step: 3, recorded: 3.5, replayed: -3.5 },
  });
  // Of the previous session only steps that were not repeated remain; repeated evaluations are new.
  expect(await curve(stored)).toEqual([
    [1, 9],
    [2, 2],
    [2, 2.5],
    [3, -3.5],
  ]);
});
