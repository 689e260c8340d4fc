/** Sends what is new about one run, and lets leave the remote what the run's policy does not keep there. */
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import type { KeepThere, PushPolicy } from '../../../protocol/pushing.ts';
import { collect } from '../collect.ts';
import { keysOf } from '../drivers/driver.ts';
import { readManifest } from '../fetched.ts';
import { CHECKPOINTS, MARKS, parseManifestKey } from '../layout.ts';
import { checkpointIn } from '../manifest.ts';
import { type Marks, marksInOrder, readMarks } from '../marks.ts';
import { type Local, push, type Watcher } from '../push.ts';
import { type Remote, unlessDamaged } from '../remote.ts';
import { chosenToLeave, chosenToSend } from './chosen.ts';

/** Time between two collections of what retention has left without a manifest. */
const COLLECT_EVERY_MS = 86_400_000;
/** Reasons of the local retention that hold on the remote as well. */
const HELD = new Set(['pin', 'tag', 'fork', 'resumed', 'request', 'restored']);

/** Checkpoints that are not here, as their manifests describe them, and the time of the newest collection. */
interface Memory {
  described: Map<string, Checkpoint>;
  collectedAt: number;
}
const memories = new WeakMap<Remote, Memory>();

export async function sendRun(
  remote: Remote,
  local: Local,
  run: Run,
  { which, keep }: PushPolicy,
  watcher: Watcher,
): Promise<void> {
  const checkpoints = await local.store.checkpoints(run.id);
  const chosen = chosenToSend(checkpoints, which, run.monitor);
  if (!keep) {
    await push(remote, local, chosen, watcher);
    return;
  }
  // What would leave at once is not sent, or each push would send it again.
  const before = await leavingWith(remote, local, run, keep, chosen, watcher.signal);
  const useless = new Set(before.leaving.filter(({ id }) => !before.keyOf.has(id)).map(({ id }) => id));
  const due = chosen.filter(({ id }) => !useless.has(id));
  await push(remote, local, due, watcher);
  await retain(remote, local, run, keep, watcher.signal);
}

interface Leaving {
  leaving: Checkpoint[];
  /** Keys of the manifests that are there, by checkpoint. */
  keyOf: ReadonlyMap<string, string>;
}

/** Finds what the policy does not keep there, once `more` is there as well. */
async function leavingWith(
  remote: Remote,
  { store }: Local,
  run: Run,
  keep: KeepThere,
  more: readonly Checkpoint[],
  signal: AbortSignal,
): Promise<Leaving> {
  const memory = memoryOf(remote);
  const keys = (await keysOf(remote.driver, `${CHECKPOINTS}${run.id}/`, signal)).map(({ key }) => key);
  const keyOf = new Map(keys.flatMap((key) => [[parseManifestKey(key)?.id ?? '', key]] as const));
  keyOf.delete('');
  const absent = more.filter(({ id }) => !keyOf.has(id));
  if (keyOf.size + absent.length <= keep.last) return { leaving: [], keyOf };
  const here = new Map((await store.checkpoints(run.id, true)).map((one) => [one.id, one]));
  const all: Checkpoint[] = [...absent];
  for (const [id, key] of keyOf) {
    const described = here.get(id) ?? memory.described.get(id) ?? (await describe(remote, key, signal));
    if (!described) continue;
    if (!here.has(id)) memory.described.set(id, described);
    all.push({ ...described, trashedAt: null });
  }
  const policy = { last: keep.last, every: null, monitor: keep.best ? run.monitor : null };
  const reasons = new Map(await store.reasonsToKeep(run.id, policy));
  const needed = new Set([...reasons].filter(([, own]) => own.some(({ kind }) => HELD.has(kind))).map(([id]) => id));
  for (const { resumedFrom } of await store.sessions(run.id)) if (resumedFrom) needed.add(resumedFrom.checkpoint);
  return { leaving: chosenToLeave(all, keep, run.monitor, needed), keyOf };
}

/**
 * Deletes the manifests of checkpoints that the policy does not keep there; a collection frees their objects. What is kept for another
 * reason than the numbers of the policy stays.
 */
export async function retain(
  remote: Remote,
  local: Local,
  run: Run,
  keep: KeepThere,
  signal: AbortSignal,
): Promise<string[]> {
  const { driver } = remote;
  const { leaving, keyOf } = await leavingWith(remote, local, run, keep, [], signal);
  if (leaving.length === 0) return [];
  const marks = await marksOf(remote, run.id, signal);
  // Whoever has tagged one of them would lose it.
  if (!marks) return [];
  const memory = memoryOf(remote);
  const gone: string[] = [];
  for (const { id } of leaving) {
    if ((marks.get(id)?.tags.length ?? 0) > 0) continue;
    await driver.delete(keyOf.get(id)!, signal);
    memory.described.delete(id);
    remote.there.gone(id);
    gone.push(id);
  }
  await driver.settle();
  remote.there.save();
  if (gone.length > 0 && performance.now() - memory.collectedAt > COLLECT_EVERY_MS) {
    memory.collectedAt = performance.now();
    // A manifest that is damaged may need any object, so nothing is freed. The checkpoints were sent nevertheless.
    await unlessDamaged(() => collect(remote, false, { signal, progress: () => {} }));
  }
  return gone;
}

function memoryOf(remote: Remote): Memory {
  const memory = memories.get(remote) ?? { described: new Map(), collectedAt: Number.NEGATIVE_INFINITY };
  memories.set(remote, memory);
  return memory;
}

/** Describes a checkpoint as its manifest does; null: that is gone, or damaged. */
async function describe(remote: Remote, key: string, signal: AbortSignal): Promise<Checkpoint | null> {
  const manifest = await unlessDamaged(() => readManifest(remote, key, signal));
  return manifest && checkpointIn(manifest);
}

/** Reads the marks of a run; null: some cannot be read. */
async function marksOf(remote: Remote, run: string, signal: AbortSignal): Promise<Marks | null> {
  const newest: Marks = new Map();
  for (const key of marksInOrder((await keysOf(remote.driver, `${MARKS}${run}/`, signal)).map((one) => one.key))) {
    const marks = await readMarks(remote, key, signal);
    if (!marks) return null;
    for (const [id, marked] of marks) newest.set(id, marked);
  }
  return newest;
}
