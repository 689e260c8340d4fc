/** Checkpoints that become deltas to their neighbours when the store is idle: their contents never change. */
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../base/sqlite.ts';
import { isDelta } from '../../daemon/store/objects/codec.ts';
import { encodeHeader } from '../../formats/safetensors.ts';
import { checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { Random } from '../../trainer/random.ts';
import { makeFixture, openProject, shellEnvironment, show, startSmall, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { FULL, sample } from '../support/sample.ts';
import { keepFiles, openStored, reopen, type Stored } from '../support/stored.ts';
import { DIST } from '../support/trainer.ts';

const ELEMENTS = 60_000;

describe('packing', () => {
  test('makes a training’s checkpoints smaller, and every one comes back as it was', async () => {
    const { stored, ids, files } = await trained(20);
    const before = await used(stored);
    await packAll(stored);
    expect(await used(stored)).toBeLessThan(before * 0.85);
    await expectWhole(stored, ids, files);
    expect((await stored.store.fsck(false)).problems).toEqual([]);
    await stored.store.close();
    const chunks = layouts(stored);
    expect(chunks.filter(({ codec }) => isDelta(codec)).length).toBeGreaterThan(20);
    // Reading any checkpoint, with all its delta bases, takes at most three times its size.
    for (const { size, read } of chunks) expect(read).toBeLessThanOrEqual(3 * size);
  });

  test('leaves what is new, and what a live run may still add to, as it is', async () => {
    const { stored, ids } = await trained(5);
    expect(await stored.store.pack(60_000, 3_600_000)).toMatchObject({ savedBytes: 0, more: false });
    await stored.store.changeRun(stored.run.id, { set: { status: 'running' } });
    expect(await stored.store.pack(60_000, -1000)).toMatchObject({ savedBytes: 0, more: false });
    await stored.store.changeRun(stored.run.id, { set: { status: 'completed' } });
    await stored.store.setTrash(ids[0]!, Date.now());
    expect((await stored.store.pack(60_000, -1000)).savedBytes).toBeGreaterThan(0);
    // All are packed: nothing is considered twice.
    expect(await stored.store.pack(60_000, -1000)).toMatchObject({ savedBytes: 0, more: false });
  });

  test('is done in slices, and goes on where it stopped', async () => {
    const { stored, ids, files } = await trained(8);
    let slices = 0;
    for (let more = true; more; slices++) ({ more } = await stored.store.pack(1, -1000));
    expect(slices).toBeGreaterThan(3);
    await expectWhole(stored, ids, files);
  });

  const deleted = [
    ['every second one', (i: number) => i % 2 === 0],
    ['those that stood by themselves', (i: number) => i === 6 || i === 16],
    ['the oldest', (i: number) => i < 12],
    ['all but one at an end', (i: number) => i !== 12],
    ['all', () => true],
  ] as const;

  test.for(sample(deleted, 2))('deleting %s hurts no other, and gives its space back', async ([, isDeleted]) => {
    const { stored, ids, files } = await trained(20);
    await packAll(stored);
    const before = await used(stored);
    for (const [i, id] of ids.entries()) if (isDeleted(i)) await stored.store.setTrash(id, 1);
    await stored.store.gc(true);
    const kept = ids.filter((_, i) => !isDeleted(i));
    await expectWhole(
      stored,
      kept,
      files.filter((_, i) => !isDeleted(i)),
    );
    const share = kept.length / ids.length;
    expect(await used(stored)).toBeLessThan(before * share + 3_000_000);
    expect((await stored.store.fsck(false)).problems).toEqual([]);
    await stored.store.close();
    const unreferenced = layouts(stored).filter(({ referenced }) => !referenced);
    expect(unreferenced).toEqual([]);
    for (const { size, read } of layouts(stored)) expect(read).toBeLessThanOrEqual(3 * size);
  });

  test('a checkpoint that is the same as a packed one needs no space, and keeps it alive', async () => {
    const { stored, ids, files } = await trained(6);
    await packAll(stored);
    const before = await used(stored);
    const again = await keep(stored, 100, files[2]!);
    expect((await used(stored)) - before).toBeLessThan(200_000);
    for (const id of ids) await stored.store.setTrash(id, 1);
    await stored.store.gc(true);
    await expectWhole(stored, [again], [files[2]!]);
  });

  test('a damaged chunk is left as it is, named, and costs no other checkpoint', async () => {
    const { stored, ids, files } = await trained(6);
    await stored.store.close();
    const [victim] = layouts(stored).filter(({ size }) => size === 4 * ELEMENTS);
    withObjects(stored, (database) => {
      const { data } = database.prepare('SELECT data FROM chunk WHERE id = ?').get(victim!.id)!;
      data[1000] ^= 1;
      database.prepare('UPDATE chunk SET data = ? WHERE id = ?').run(data, victim!.id);
    });
    const opened = await reopen(stored);
    await packAll(opened);
    await opened.store.setTrash(ids[5]!, 1);
    await opened.store.gc(true);
    const broken = (await opened.store.fsck(false)).problems.flatMap(({ checkpoint }) => checkpoint ?? []);
    expect(broken).toEqual([ids[0]]);
    await expectWhole(opened, ids.slice(1, 5), files.slice(1, 5));
    await opened.store.close();
    expect(layouts(opened).find(({ id }) => id === victim!.id)).toMatchObject({ codec: victim!.codec });
  });

  test('damage below a delta is noticed when the delta is restored, and nothing is written', async () => {
    const { stored, ids } = await trained(13);
    await packAll(stored);
    await stored.store.close();
    const chunks = layouts(stored);
    const bases = chunks.filter(({ id, size }) => size === 4 * ELEMENTS && chunks.some(({ base }) => base === id));
    const delta = chunks.find(({ base }) => base === bases[0]!.id)!;
    withObjects(stored, (database) => {
      const { data } = database.prepare('SELECT data FROM chunk WHERE id = ?').get(bases[0]!.id)!;
      data[data.length >> 1] ^= 1;
      database.prepare('UPDATE chunk SET data = ? WHERE id = ?').run(data, bases[0]!.id);
    });
    expect(isDelta(delta.codec)).toBe(true);
    const opened = await reopen(stored);
    const folder = temporaryFolder();
    const refused: string[] = [];
    for (const id of ids) {
      const restored = opened.store.restoreCheckpoint(id, join(folder, id));
      await restored.catch((error) => void (error.code === 'corrupted' && refused.push(id)));
    }
    // At least the checkpoints of the base and of the delta are refused, and not those of the other half.
    expect(refused.length).toBeGreaterThanOrEqual(2);
    expect(refused.length).toBeLessThan(ids.length);
    expect(readdirSync(folder).sort()).toEqual(ids.filter((id) => !refused.includes(id)).sort());
  });

  test('a chunk that is gone costs what were deltas to it; neither deleting nor packing stops at it', async () => {
    const { stored, ids } = await trained(13);
    await packAll(stored);
    await stored.store.close();
    // Damages the middle one, the base of all the others.
    const chunks = layouts(stored);
    const dependants = (id: number) => chunks.filter(({ base }) => base === id).length;
    const [gone] = chunks.filter(({ base }) => base === null).sort((a, b) => dependants(b.id) - dependants(a.id));
    withObjects(stored, (database) => {
      database.exec('PRAGMA foreign_keys=OFF');
      database.prepare('DELETE FROM chunk WHERE id = ?').run(gone!.id);
    });
    const opened = await reopen(stored);
    const file = randomFillSync(Buffer.alloc(200_000));
    const other = await keep(opened, 100, file);
    for (const i of [3, 5]) await opened.store.setTrash(ids[i]!, 1);
    await opened.store.gc(true);
    await packAll(opened);
    const { problems } = await opened.store.fsck(false);
    const broken = new Set(problems.flatMap(({ checkpoint }) => checkpoint ?? []));
    expect(broken.has(ids[6]!)).toBe(true);
    expect(broken.has(other)).toBe(false);
    await expectWhole(opened, [other], [file]);
  });

  test.for(sample([1e-4, 1e-2, 1]))(
    'whatever is deleted, again and again, no read grows too long (steps of %d)',
    async (rate) => {
      const { stored, ids, files } = await trained(FULL ? 20 : 12, rate);
      await packAll(stored);
      const random = Random.seeded(7);
      const left = ids.map((id, i) => ({ id, file: files[i]! }));
      for (let opened = stored; left.length > 0; opened = await reopen(stored)) {
        for (let i = 0; i < 3 && left.length > 0; i++) {
          const [doomed] = left.splice(Math.floor(random.float() * left.length), 1);
          await opened.store.setTrash(doomed!.id, 1);
        }
        await opened.store.gc(true);
        await expectWhole(
          opened,
          left.map(({ id }) => id),
          left.map(({ file }) => file),
        );
        await opened.store.close();
        for (const { size, read } of layouts(stored)) expect(read).toBeLessThanOrEqual(3 * size);
      }
    },
  );

  test('killed at any moment, packing or deleting, it loses nothing', async () => {
    const { stored, ids, files } = await trained(20);
    await stored.store.close();
    for (const milliseconds of sample([60, 150, 250, 400, 700, 1100], 2)) {
      const child = spawn(process.execPath, [PACKER, join(DIST, 'store-worker.js'), join(stored.folder, 'store')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(child, 'exit');
      await Promise.race([once(child.stdout, 'data'), ended]);
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      child.kill('SIGKILL');
      await ended;
      const opened = await reopen(stored);
      await expectWhole(opened, ids, files);
      expect((await opened.store.fsck(false)).problems).toEqual([]);
      await opened.store.close();
    }
  });
});

/** Params for 150 KB of weights, and as much for each slot. */
const WIDE = { units: 600, learningRate: 1e-4 };

test('a daemon with nothing to do makes checkpoints smaller, and a run goes on from one of them bit for bit', async () => {
  const fixture = makeFixture({ env: { TRAINSTASH_PACK_AFTER_MS: '0', TRAINSTASH_PACK_AGE_MS: '0' } });
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, WIDE);
  await untilStatus(client, fixture, run.id, 'completed');
  const log = join(fixture.folder, 'state/daemon.log');
  await until('the store is packed', () => readFileSync(log, 'utf8').includes('bytes smaller'));
  const { checkpoints } = await show(client, fixture, run.id);
  const middle = checkpoints[checkpoints.length >> 1]!;
  const { proof } = await client.request(checkpointVerify, {
    root: fixture.root,
    checkpoint: middle.id,
    environment: shellEnvironment(),
  });
  expect(proof.verdict).toBe('equal');
  expect((await fixture.cli('fsck')).code).toBe(0);
});

test('gc --pack makes them smaller at once, the newest too', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, WIDE);
  await untilStatus(client, fixture, run.id, 'completed');
  const first = await fixture.cli('gc', '--pack');
  expect(first.stdout).toMatch(/Checkpoints take [1-9][\d.]* [kM]i?B less than before\./);
  expect((await fixture.cli('gc', '--pack')).stdout).toContain('take 0 B less');
  expect((await fixture.cli('fsck')).code).toBe(0);
});

/** Program that opens a store, reports it, and packs and sweeps until it is killed or done. */
const PACKER = join(import.meta.dirname, '../support/packer.ts');

/** Makes checkpoints of an optimizer at work: weights, and two slots that follow its gradients. */
async function trained(count: number, rate = 1e-4): Promise<{ stored: Stored; ids: string[]; files: Buffer[] }> {
  const stored = await openStored(temporaryFolder());
  const noise = (i: number, step: number) => Math.sin(i * 12.9898 + step * 78.233) * 43758.5453;
  const gradient = (i: number, step: number) => noise(i, step) - Math.floor(noise(i, step)) - 0.5;
  const weights = Float32Array.from({ length: ELEMENTS }, (_, i) => gradient(i, -1) * 0.1);
  const first = new Float32Array(ELEMENTS);
  const second = new Float32Array(ELEMENTS);
  const ids: string[] = [];
  const files: Buffer[] = [];
  for (let step = 0; step < count; step++) {
    for (let i = 0; i < ELEMENTS; i++) {
      const slope = gradient(i, step);
      first[i] = 0.9 * first[i]! + 0.1 * slope;
      second[i] = 0.999 * second[i]! + 0.001 * slope * slope;
      weights[i]! -= (rate * first[i]!) / (Math.sqrt(second[i]!) + 1e-8);
    }
    const tensors = [weights, first, second];
    const layout = tensors.map((_, i) => ({ name: `t${i}`, dtype: 'F32', shape: [ELEMENTS], bytes: 4 * ELEMENTS }));
    files.push(Buffer.concat([encodeHeader(layout, { step: String(step) }), ...tensors.map(asBytes)]));
    ids.push(await keep(stored, step, files.at(-1)!));
  }
  await stored.store.changeRun(stored.run.id, { set: { status: 'completed' } });
  return { stored, ids, files };
}

function asBytes(values: Float32Array): Uint8Array {
  return new Uint8Array(Uint8Array.from(Buffer.from(values.buffer)));
}

async function keep(stored: Stored, step: number, file: Buffer): Promise<string> {
  const path = join(stored.folder, STATE_FILE);
  writeFileSync(path, file);
  return keepFiles(stored, step, path);
}

async function packAll(stored: Stored): Promise<void> {
  for (let more = true; more; ) ({ more } = await stored.store.pack(10_000, -1000));
}

async function expectWhole(stored: Stored, ids: readonly string[], files: readonly Buffer[]): Promise<void> {
  for (const [i, id] of ids.entries()) {
    const directory = join(stored.folder, `back-${id}`);
    await stored.store.restoreCheckpoint(id, directory);
    expect(readFileSync(join(directory, STATE_FILE)).equals(files[i]!), `checkpoint ${i}`).toBe(true);
    rmSync(directory, { recursive: true });
  }
}

async function used({ store }: Stored): Promise<number> {
  const { objectsBytes, freeBytes } = await store.usage();
  return objectsBytes - freeBytes;
}

function withObjects<T>({ folder }: Stored, work: (database: ReturnType<typeof openDatabase>) => T): T {
  const path = join(folder, 'store', 'objects.db');
  expect(statSync(path).size).toBeGreaterThan(0);
  const database = openDatabase(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** Returns every chunk, with the bytes that are read for it and whether a saved row refers to it. */
function layouts(stored: Stored) {
  return withObjects(stored, (database) => {
    const rows = database.prepare('SELECT id, size, codec, base, stored FROM chunk').all();
    const referenced = new Set(
      database
        .prepare('SELECT chunk FROM saved_chunk')
        .all()
        .map(({ chunk }) => chunk),
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    const readOf = (id: number | null): number => (id === null ? 0 : byId.get(id)!.stored + readOf(byId.get(id)!.base));
    return rows.map(({ id, size, codec, base }) => ({
      ...{ id, size, codec, base, read: readOf(id) },
      referenced: referenced.has(id),
    }));
  });
}
