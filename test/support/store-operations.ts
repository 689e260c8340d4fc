/** All that a store can do, for tests of what becomes of it in each state that a store can be in. */
import { createHash } from 'node:crypto';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Store } from '../../daemon/store/client.ts';
import type { KeepPolicy } from '../../daemon/store/maintenance/retention.ts';
import { runContentRequest } from '../../daemon/tensors/client.ts';
import type { Checkpoint, Run, Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE } from '../../protocol/session.ts';
import { CONTENT_WORKERS, UNWATCHED } from './stored.ts';

export const FIRST = 'aaaaaaaaaaaa';
export const SECOND = 'bbbbbbbbbbbb';
const FILE_BYTES = 200_000;
const KEEP_ALL: KeepPolicy = { last: 1_000, every: null, monitor: null };

export interface Given {
  store: Store;
  run: Run;
  session: Session;
  /** Id of a stored file that follows its branch. */
  file: string;
  /** On another disk than the store. */
  out: string;
}

/** Operations, in an order in which no outcome depends on another; each is undone by itself or by the next. Together they call everything that a store can do. */
export const OPERATIONS = {
  'tell about itself': ({ store }) => store.info(),
  'list runs': ({ store }) => store.runs({ drafts: true, trashed: false, before: null, limit: 10 }),
  'count runs': ({ store }) => store.countRuns(),
  'list branches': ({ store }) => store.branches(),
  'list runs by status': async ({ store }) => {
    await store.runsWithStatus(['running']);
    await store.runsWithoutBranchId();
    await store.draftsEndedBefore(1);
    await store.runsOfSweep('no-such-sweep');
  },
  'show a run': ({ store, run }) => store.showRun(run.id, 10),
  'find a run': async ({ store, run }) => {
    await store.findRun('1');
    await store.run(run.id);
    await store.requireRun(run.id);
  },
  'list sessions': async ({ store, run, session }) => {
    await store.sessions(run.id);
    await store.session(session.id);
    await store.openSessions();
  },
  'find a checkpoint': ({ store, run }) => store.findCheckpoint('best-so-far', run),
  'list checkpoints': async ({ store, run }) => {
    await store.checkpoint(FIRST);
    await store.checkpoints(run.id);
    await store.checkpointPage(run.id, false, 0, 10);
    await store.trashedCheckpoints();
    await store.largestRuns(10);
  },
  'say why checkpoints are kept': ({ store, run }) => store.reasonsToKeep(run.id, KEEP_ALL),
  'read metrics': ({ store, run }) => store.queryMetrics(run.id, {}),
  'sum metrics up': async ({ store, run, session }) => {
    await store.summarizeMetrics(run.id);
    await store.compareOverlap(session.id);
    await store.lineage(run.id);
  },
  'read usage': ({ store }) => store.usage(),
  'count what is not packed': ({ store }) => store.unpackedBytes(),
  'read facts': async ({ store }) => {
    await store.requireFacts(FIRST);
    await store.checkpointOfFile({ name: 'state.safetensors', bytes: 1, ino: '1:1', mtimeMs: 1 });
    await store.checkpointFacts(FIRST);
  },
  restore: ({ store, out }) => store.restoreCheckpoint(SECOND, join(out, randomId())),
  export: ({ store, out }) => {
    const request = { do: 'exportOriginal' as const, checkpoint: FIRST, path: join(out, randomId()) };
    return runContentRequest(CONTENT_WORKERS, store, request, UNWATCHED);
  },
  check: ({ store }) => store.fsck(false),
  'check fully': ({ store }) => store.fsck(false, true),
  'fill in checksums': ({ store }) => store.fillChecksums(1_000),
  'take a digest': ({ store, session, out }) => store.digestOf(makeCheckpoint(session, out, randomId(), 3)),
  save: ({ store, run, session, out }) => save(store, run, session, out, randomId(), 3),
  'save a file': ({ store, out }) => saveFile(store, out),
  'restore a file': ({ store, file, out }) => store.restoreFile(file, join(out, randomId())),
  'give an id': ({ store }) => store.giveId(),
  tag: ({ store }) => store.tag(FIRST, 'another', false),
  untag: ({ store }) => store.tag(FIRST, 'another', true),
  'put a proof': ({ store }) =>
    store.setProof(FIRST, { kind: 'replay', verdict: 'equal', steps: 1, fingerprint: '', at: 1 }),
  doubt: ({ store }) => store.doubt(FIRST, { ingredient: 'random', text: 'seen', at: 1 }),
  'change a run': async ({ store, run }) => {
    await store.changeRun(run.id, { set: { note: 'new' }, recount: true });
    await store.changeRunIf(run.id, { note: 'new' }, { set: { note: '' } });
  },
  'record how far a run is': ({ store, run }) => store.recordProgress(run.id, { step: 7 }, run),
  'make a run': async ({ store, run }) => {
    const made = await store.createRun({ ...run, id: randomId(), name: '' });
    await store.changeRun(made.id, { set: { status: 'completed' } });
  },
  'put a run that has ended': async ({ store, run, session }) => {
    const ended: Run = { ...run, id: randomId(), number: 0, name: '', status: 'completed' };
    await store.putEnded([{ run: ended, session: { ...session, id: randomId(), run: ended.id } }]);
  },
  'read a run for another store': ({ store, run }) => store.exchangedRun(run.id, {}),
  'take a run in': async ({ store, run }) => {
    const { run: record } = await store.exchangedRun(run.id, {});
    const taken = await store.importRun({ run: { ...record, id: randomId() }, sessions: [], series: [] });
    await store.recountCheckpoints(taken.id);
  },
  'mark what came in': ({ store }) => store.markIncoming(FIRST, ['best-so-far'], null),
  'put a session': ({ store, session }) => store.putSession(session),
  'name branches': ({ store }) => store.nameBranches([['no-such-branch', 'new']]),
  'take events': ({ store, session }) => store.takeEvents(session.id, 'events'),
  rebuild: ({ store }) => store.fsck(true),
  'forget files': ({ store, file }) => store.keepOnlyFiles([file]),
  'set the quota': ({ store }) => store.setQuota(1e12),
  'read the quota': async ({ store }) => {
    await store.quota();
    await store.hasRoom(1);
  },
  'plan a collection': ({ store }) => store.plan(true),
  'pin a checkpoint': ({ store }) => store.pinCheckpoint(FIRST, true),
  'pin the checkpoints of a run': ({ store, run }) => store.pinCheckpointsOf(run, true),
  'mark trouble': ({ store }) => store.markTrouble(FIRST, 'nan'),
  'find a model': ({ store }) => store.checkpointWithTag('models/none@1'),
  'list models': ({ store }) => store.tagsWithPrefix('models/'),
  'apply retention': ({ store, run }) => store.applyRetention(run.id, KEEP_ALL),
  'replace a checkpoint': ({ store }) => store.replaceCheckpoint(SECOND, FIRST),
  delete: ({ store }) => store.setTrash(SECOND, Date.now()),
  'note that a run has less': ({ store, run }) => store.changeTrashedRun(run.id, { recount: true }),
  undelete: ({ store }) => store.takeOutOfTrash(SECOND),
  'delete and change one’s mind': async ({ store }) => {
    await store.setTrash(SECOND, Date.now());
    await store.setTrash(SECOND, null);
  },
  'delete a run for good': ({ store }) => store.purgeRun('no-such-run'),
  'collect garbage': ({ store }) => store.gc(true),
  'sweep what was left': ({ store }) => store.sweepStore(),
  pack: ({ store }) => store.pack(500, 0),
  'look for secrets': ({ store }) => store.scrub({ known: [], apply: false, without: [] }),
  'wipe what is free': ({ store }) => store.wipeFree(),
  'write all anew': ({ store }) => store.rewriteObjects(),
} satisfies Record<string, (given: Given) => Promise<unknown>>;
export async function save(
  store: Store,
  run: Run,
  session: Session,
  folder: string,
  id: string,
  step: number,
): Promise<Checkpoint> {
  const directory = makeCheckpoint(session, folder, id, step);
  return (await store.saveCheckpoint({ directory, run, session }, 0)).checkpoint;
}

function makeCheckpoint(session: Session, folder: string, id: string, step: number): string {
  const directory = join(folder, `made-${id}`);
  mkdirSync(directory, { recursive: true });
  const bytes = contentOf(id);
  writeFileSync(join(directory, 'model.bin'), bytes);
  const files = [{ name: 'model.bin', bytes: bytes.length }];
  writeFileSync(
    join(directory, CHECKPOINT_FILE),
    JSON.stringify({ ...blankCheckpointFile(id, session.id, step, step), files }),
  );
  return directory;
}

export async function saveFile(store: Store, folder: string): Promise<{ id: string } | null> {
  const path = join(folder, 'file');
  writeFileSync(path, 'follows its branch');
  const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
  const expected = { ino: `${dev}:${ino}`, bytes: Number(size), mtimeMs: Number(mtimeNs) / 1e6 };
  return store.saveFile({ root: folder, branch: 'main', path: 'file', expected });
}

/** Compresses to nothing less than it is. */
export function contentOf(id: string): Buffer {
  const blocks = Array.from({ length: FILE_BYTES / 64 }, (_, i) => createHash('sha512').update(`${id}${i}`).digest());
  return Buffer.concat(blocks);
}
