/** Records of runs that several owners change at the same time: nothing that one of them has written is lost. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HeldRun } from '../../daemon/runs/live/held-run.ts';
import { newSession } from '../../daemon/runs/records.ts';
import type { RunFields } from '../../daemon/store/catalog/run-change.ts';
import type { Notice, Run } from '../../protocol/domain.ts';
import type { EngineState } from '../../protocol/engines.ts';
import { randomId } from '../../protocol/ids.ts';
import { temporaryFolder } from '../support/folder.ts';
import { random as randomFrom } from '../support/random.ts';
import { keepFiles, openStored, type Stored } from '../support/stored.ts';

const INTERLEAVINGS = 60;
const OPERATIONS = 30;
const ENGINE: EngineState = {
  ...{ name: 'cluster', type: 'slurm', job: '1', phase: 'running' },
  ...{ reason: '', nodes: 'n1', life: 1, unknownSince: null },
};

function notice(text: string, code = 'test'): Notice {
  return { code, level: 'info', text, step: null, at: Date.now() };
}

/** Owners of a record, each with fields of its own. Operations of one come in their order; those of several at any time. */
class Owners {
  readonly #stored: Stored;
  readonly #held: HeldRun;
  /** Newest values, as their owners have set them, and notices. */
  readonly wanted: RunFields = {};
  readonly notices: string[] = [];
  saved = 0;

  constructor(stored: Stored) {
    this.#stored = stored;
    this.#held = new HeldRun(stored.store, stored.run);
  }

  get held(): Run {
    return this.#held.run;
  }

  /** Follows a session: changes what it knows, and writes it now or later. */
  follow(i: number, writes: boolean): Promise<unknown> {
    this.#held.set(this.#want({ step: i, epoch: i, reason: `at ${i}` }));
    return writes ? this.#held.write() : Promise.resolve();
  }

  say(i: number): void {
    this.#held.addNotice(notice(this.#said(`held ${i}`)));
  }

  write(): Promise<unknown> {
    return this.#held.write();
  }

  async save(i: number): Promise<void> {
    const path = join(this.#stored.folder, `state-${this.#stored.run.id}-${i}.bin`);
    writeFileSync(path, `state ${i}`);
    this.saved++;
    await keepFiles(this.#stored, i, path);
    await this.#held.write({ recount: true });
  }

  /** Changes the record as what only knows the run's id does: an engine's watch, a person, a sweep. */
  change(i: number, kind: number): Promise<unknown> {
    const { store, run } = this.#stored;
    if (kind === 0) return store.changeRun(run.id, { set: this.#want({ engine: { ...ENGINE, reason: `${i}` } }) });
    if (kind === 1) return store.changeRun(run.id, { set: this.#want({ name: `run ${i}`, note: `note ${i}` }) });
    if (kind === 2) return store.changeRun(run.id, { set: this.#want({ pinned: i % 2 ? true : undefined }) });
    return store.changeRun(run.id, { addNotices: [notice(this.#said(`told ${i}`))] });
  }

  /** Changes the status as one that has read the record long ago: it must not happen. */
  async changeLate(): Promise<unknown> {
    const set: RunFields = { status: 'lost', reason: 'long ago' };
    return this.#stored.store.changeRunIf(this.#stored.run.id, { session: 'of another life' }, { set });
  }

  #want<T extends RunFields>(fields: T): T {
    Object.assign(this.wanted, fields);
    return fields;
  }

  #said(text: string): string {
    this.notices.push(text);
    return text;
  }
}

test('changes of several owners are all there, in any order of their operations and answers', async () => {
  const opened = await openStored(temporaryFolder());
  for (let seed = 0; seed < INTERLEAVINGS; seed++) {
    const run = await opened.store.createRun({ ...opened.run, id: randomId() });
    const session = newSession(run, 'train', null);
    await opened.store.putSession(session);
    const stored = { ...opened, run, session };
    const owners = new Owners(stored);
    const random = randomFrom(seed);
    const pick = (count: number) => Math.floor(random() * count);
    const under: Promise<unknown>[] = [];
    for (let i = 1; i <= OPERATIONS; i++) {
      const kind = pick(9);
      if (kind < 3) under.push(owners.follow(i, kind > 0));
      else if (kind === 3 && owners.notices.length < 18) owners.say(i);
      else if (kind === 4) under.push(owners.save(i));
      else if (kind === 5) under.push(owners.changeLate());
      else under.push(owners.change(i, pick(owners.notices.length < 18 ? 4 : 3)));
      // Sometimes an answer comes before the next operation, and sometimes several are under way.
      if (pick(3) === 0) await under.at(-1);
    }
    await Promise.all(under);
    await owners.write();
    const now = await stored.store.requireRun(run.id);
    const { pinned, ...wanted } = owners.wanted;
    expect(now, `interleaving ${seed}`).toMatchObject({ ...wanted, checkpoints: owners.saved });
    expect(now.pinned, `interleaving ${seed}`).toBe(pinned);
    expect(now.notices.map(({ text }) => text).sort(), `interleaving ${seed}`).toEqual([...owners.notices].sort());
    expect(now.lastCheckpoint === null, `interleaving ${seed}`).toBe(owners.saved === 0);
    // What follows its session knows what the others have written.
    expect(JSON.parse(JSON.stringify(owners.held)), `interleaving ${seed}`).toEqual(now);
  }
}, 120_000);

test('a write that failed is made again with the next one, with its notices', async () => {
  const { store, run } = await openStored(temporaryFolder());
  let isFull = true;
  const held = new HeldRun(
    {
      changeRun: async (...args) => (isFull ? Promise.reject(new Error('full')) : store.changeRun(...args)),
      recordProgress: async () => Promise.reject(new Error('full')),
    },
    run,
  );
  held.set({ step: 7 });
  held.addNotice(notice('said once'));
  await expect(held.write()).rejects.toThrow('full');
  isFull = false;
  held.set({ epoch: 1 });
  await held.write();
  expect(await store.requireRun(run.id)).toMatchObject({ step: 7, epoch: 1, notices: [{ text: 'said once' }] });
});

test('the record of a live run whose row is gone is there again after its next write', async () => {
  const { store, run } = await openStored(temporaryFolder());
  const held = new HeldRun(store, run);
  await store.purgeRun(run.id);
  held.set({ step: 7 });
  held.addNotice(notice('said once'));
  await held.write();
  expect(await store.requireRun(run.id)).toMatchObject({ name: run.name, step: 7, notices: [{ text: 'said once' }] });
});

test('a record that has other values than its owner has read is not changed', async () => {
  const { store, run } = await openStored(temporaryFolder());
  await store.changeRun(run.id, { set: { status: 'running' } });
  expect(await store.changeRunIf(run.id, { status: run.status }, { set: { status: 'lost' } })).toBeNull();
  expect(await store.changeRunIf(run.id, { status: 'running' }, { set: { status: 'paused' } })).toMatchObject({
    status: 'paused',
  });
  expect((await store.requireRun(run.id)).status).toBe('paused');
});

test('notices are replaced by those of their codes since a time, and the newest twenty stay', async () => {
  const { store, run } = await openStored(temporaryFolder());
  await store.changeRun(run.id, {
    addNotices: [{ ...notice('old', 'a'), at: 1 }, notice('new', 'a'), notice('b', 'b')],
  });
  const dropNotices = { codes: ['a'], since: 2 };
  const changed = await store.changeRun(run.id, { dropNotices, addNotices: [notice('newer', 'a')] });
  expect(changed.notices.map(({ text }) => text)).toEqual(['old', 'b', 'newer']);
  const many = Array.from({ length: 25 }, (_, i) => notice(String(i)));
  expect((await store.changeRun(run.id, { addNotices: many })).notices.map(({ text }) => text)).toEqual(
    many.slice(5).map(({ text }) => text),
  );
});
