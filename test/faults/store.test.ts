/** Checkpoints that a store takes in and gives back: each byte once, trash, a quota; what does not fit its description is refused. */
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHECKPOINT_FILE, STATE_FILE } from '../../protocol/session.ts';
import { Random } from '../../trainer/random.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, open, save } from '../support/random-checkpoints.ts';

test('equal tensors are stored once, in whatever checkpoint', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const first = await save(opened, makeCheckpoint(folder, opened.session.id, 1, 7, 8));
  const second = await save(opened, makeCheckpoint(folder, opened.session.id, 2, 7, 8));
  expect(first.storedBytes).toBeGreaterThan(8e6);
  expect(second.storedBytes).toBeLessThan(1e5);
  expect(second.stateDigest).toBe(first.stateDigest);
});

test('a state that is cut between processes is its shards as well, whatever their index says', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const digest = async (shard: string, index: string, step: number) => {
    const contents = { 'state.pt': 'whole', 'shards/.metadata': index, 'shards/__1_0.distcp': shard };
    const files = Object.entries(contents).map(([name, { length }]) => ({ name, bytes: length }));
    const directory = makeCheckpoint(folder, opened.session.id, step, 7, 1, { files });
    mkdirSync(join(directory, 'shards'));
    for (const [name, content] of Object.entries(contents)) writeFileSync(join(directory, name), content);
    const saved = await save(opened, directory);
    await opened.store.restoreCheckpoint(saved.id, join(folder, `back-${step}`));
    expect(readFileSync(join(folder, `back-${step}`, 'shards/__1_0.distcp'), 'utf8')).toBe(shard);
    return saved.stateDigest;
  };
  const first = await digest('a', 'id 1', 1);
  expect(await digest('a', 'id 2', 2)).toBe(first);
  expect(await digest('b', 'id 1', 3)).not.toBe(first);
});

test('what is restored is what was saved, byte for byte, and saving twice is saving once', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const directory = makeCheckpoint(folder, opened.session.id, 1, 1, 9);
  const saved = await save(opened, directory);
  expect(await save(opened, directory)).toEqual(saved);
  await opened.store.restoreCheckpoint(saved.id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', STATE_FILE)).equals(readFileSync(join(directory, STATE_FILE)))).toBe(true);
});

test('a file of unknown structure is cut by content: an insertion costs little', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const random = Random.seeded(3);
  const bytes = Buffer.from(Uint32Array.from({ length: 3 << 20 }, () => random.uint32()).buffer);
  const saveBytes = async (content: Buffer, step: number) => {
    const directory = makeCheckpoint(folder, opened.session.id, step);
    writeFileSync(join(directory, 'blob.bin'), content);
    const facts = JSON.parse(readFileSync(join(directory, CHECKPOINT_FILE), 'utf8'));
    writeFileSync(
      join(directory, CHECKPOINT_FILE),
      JSON.stringify({ ...facts, files: [{ name: 'blob.bin', bytes: content.length }] }),
    );
    return save(opened, directory);
  };
  await saveBytes(bytes, 1);
  const moved = await saveBytes(
    Buffer.concat([bytes.subarray(0, 5_000_000), Buffer.from('inserted'), bytes.subarray(5_000_000)]),
    2,
  );
  expect(moved.storedBytes).toBeLessThan(bytes.length / 2);
});

test('trash gives nothing back until it is emptied, then the file shrinks; undo brings it back before', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const { store } = opened;
  const ids: string[] = [];
  for (let step = 1; step <= 4; step++)
    ids.push((await save(opened, makeCheckpoint(folder, opened.session.id, step, step, 8))).id);
  const full = (await store.usage()).objectsBytes;
  await store.setTrash(ids[0]!, Date.now());
  await store.setTrash(ids[1]!, Date.now());
  expect(await store.gc(false)).toMatchObject({ removedCheckpoints: 0, removedChunks: 0 });
  expect((await store.setTrash(ids[1]!, null)).trashedAt).toBeNull();
  const emptied = await store.gc(true);
  expect(emptied).toMatchObject({ removedCheckpoints: 1 });
  expect(emptied.returnedBytes).toBeGreaterThan(7e6);
  expect((await store.usage()).objectsBytes).toBeLessThan(full - 7e6);
  expect((await store.checkpoints(opened.run.id)).map(({ id }) => id)).toEqual(ids.slice(1));
  expect((await store.fsck(false)).problems).toEqual([]);
});

test('a quota never fails a save: trash goes first, then older automatic checkpoints, and it is said', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'), 20 << 20);
  const { store, run, session } = opened;
  let said = 0;
  for (let step = 1; step <= 6; step++) {
    const directory = makeCheckpoint(folder, session.id, step, step, 6);
    const { pruned } = await store.saveCheckpoint({ directory, run, session }, 6 << 20);
    said += pruned.length;
    if (step === 1) await store.setTrash((await store.checkpoints(run.id))[0]!.id, Date.now());
  }
  const kept = (await store.checkpoints(run.id)).map(({ step }) => step);
  expect(kept.at(-1)).toBe(6);
  expect(said).toBeGreaterThan(0);
  const usage = await store.usage();
  expect(usage.objectsBytes - usage.freeBytes).toBeLessThan(21 << 20);
});

test('a checkpoint whose file changes or does not fit its description is not taken in', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const directory = makeCheckpoint(folder, opened.session.id, 1);
  truncateSync(join(directory, STATE_FILE), 1000);
  await expect(save(opened, directory)).rejects.toMatchObject({ code: 'corrupted' });
  writeFileSync(join(directory, CHECKPOINT_FILE), '{"format":1}');
  await expect(save(opened, directory)).rejects.toMatchObject({ code: 'corrupted' });
  expect(await opened.store.checkpoints(opened.run.id)).toEqual([]);
});

test('event lines that are malformed, oversized or random are skipped; the rest is taken in once', async () => {
  const opened = await open(join(temporaryFolder(), 'store'));
  const directory = join(opened.path, 'sessions', opened.session.id);
  mkdirSync(directory, { recursive: true });
  const good = (seq: number) =>
    JSON.stringify({ seq, t: seq, type: 'metrics', step: seq, epoch: 0, values: { loss: seq === 2 ? 'NaN' : seq } });
  const random = Random.seeded(11);
  const noise = Array.from({ length: 200 }, () =>
    Buffer.from(Array.from({ length: 40 }, () => Math.floor(random.float() * 256)).filter((byte) => byte !== 10)),
  );
  const lines = [
    good(1),
    '{"seq":',
    '[]',
    'null',
    '{"type":"metrics"}',
    JSON.stringify({ seq: 9, t: 1, type: 'metrics', step: 'x', epoch: 0, values: {} }),
    good(2),
    good(2),
    good(1),
    `"${'x'.repeat(5 << 20)}"`,
    good(3),
  ];
  const file = openSync(join(directory, 'events.ndjson'), 'w');
  for (const line of lines) writeSync(file, `${line}\n`);
  for (const line of noise) writeSync(file, Buffer.concat([line, Buffer.from('\n')]));
  writeSync(file, `${good(4)}\n{"seq":5,"t":5,"type":"met`);
  closeSync(file);
  let malformed = 0;
  for (let more = true; more; ) {
    const taken = await opened.store.takeEvents(opened.session.id, 'events');
    malformed += taken.malformed;
    more = taken.more;
  }
  const [series] = await opened.store.queryMetrics(opened.run.id, { names: ['loss'] });
  expect(series!.steps).toEqual([1, 2, 3, 4]);
  expect(series!.values[1]).toBe('NaN');
  expect(malformed).toBeGreaterThan(200);
  expect((await opened.store.takeEvents(opened.session.id, 'events')).points).toBe(0);
});
