/** Saves, restores, finds and marks checkpoints. */
import type { Checkpoint, Proof, Run } from '../../../protocol/domain.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import { bodyOf } from '../catalog/rows.ts';
import type { CheckpointBody } from '../checkpoints/body.ts';
import { type Doubt, sharesCause } from '../checkpoints/doubts.ts';
import { checkpointOfFile, type FileNow } from '../checkpoints/of-file.ts';
import { type ReadPort, serveReads } from '../checkpoints/read-port.ts';
import { holdsAllOf } from '../checkpoints/replacing.ts';
import { type CheckpointSource, digestOf, restoreCheckpoint, saveCheckpoint } from '../checkpoints/writer.ts';
import { bestOf, type KeepPolicy, newestGood } from '../maintenance/retention.ts';
import { makeReserve, withReserve } from '../maintenance/sweep.ts';
import { MIN_PREFIX, type Parts } from './parts.ts';

export function checkpointsApi(parts: Parts) {
  return {
    async saveCheckpoint(source: CheckpointSource, incomingBytes: number) {
      const room = await parts.makeRoom(incomingBytes);
      const checkpoint = await saveCheckpoint(parts.objects, parts.hasher, parts.metrics, source);
      parts.follow(() => parts.catalog.putCheckpoint(checkpoint));
      makeReserve(parts.path);
      return { checkpoint, ...room, quotaBytes: parts.quotaBytes };
    },
    digestOf: (directory: string) => digestOf(directory),
    serveReads: (port: ReadPort) => serveReads(parts.path, parts.objects, parts.coders, port),
    restoreCheckpoint: (id: string, directory: string) =>
      restoreCheckpoint(parts.path, parts.objects, parts, id, directory),
    /** Adds only rows to the catalog, without content: to fill a large one. */
    putCheckpointRows: (rows: readonly Checkpoint[]) =>
      parts.catalog.database.transaction(() => rows.forEach((row) => void parts.catalog.putCheckpoint(row))),
    checkpoint: (id: string) => parts.catalog.checkpoint(id),
    checkpoints: (run: string, trashed = false) => parts.catalog.checkpoints(run, { trashed }),
    checkpointPage: (run: string, trashed: boolean, after: number, limit: number) =>
      parts.catalog.checkpointPage(run, trashed, after, limit),
    /** Reads a checkpoint's facts; null if it is not stored. Throws `corrupted`. */
    checkpointFacts(id: string) {
      const row = parts.objects.saved(id);
      return row ? bodyOf(row) : null;
    },
    /** Reads the facts of a checkpoint that the catalog lists. Throws `notFound`: a listed one need not be stored. */
    requireFacts(id: string): CheckpointBody {
      const row = parts.objects.saved(id);
      if (row) return bodyOf(row);
      throw new TrainstashError(
        'notFound',
        `The checkpoint ${id} is listed but not stored. \`trainstash fsck\` shows the cause.`,
        { what: 'checkpoint', query: id },
      );
    },
    checkpointOfFile: (file: FileNow) => checkpointOfFile(parts, file),
    findCheckpoint: (query: string, run: Run | null) => findCheckpoint(parts, query, run),
    tag(id: string, tag: string, remove: boolean): Checkpoint {
      if (remove) parts.objects.clearMark(id, 'tag', tag);
      else parts.objects.setMark(id, 'tag', tag);
      return parts.refreshCheckpoint(id);
    },
    /**
     * Forgets a checkpoint if all its files are in another one, and the user has neither tagged nor resumed it. Returns
     * it with the time; null: it stays.
     */
    async replaceCheckpoint(id: string, by: string): Promise<Checkpoint | null> {
      const old = parts.catalog.checkpoint(id);
      if (!old || old.tags.length > 0 || parts.neededCheckpoints(old.run).has(id)) return null;
      if (!holdsAllOf(parts.objects, by, id)) return null;
      parts.forgetCheckpoint(id);
      await parts.upkeep.sweep();
      return { ...old, trashedAt: Date.now() };
    },
    /** Works on a full disk, too: freeing space must not need any. */
    setTrash: (id: string, at: number | null): Promise<Checkpoint> =>
      withReserve(parts.path, async () => parts.mark(id, 'trash', at === null ? null : String(at))),
    /** Takes a checkpoint out of the trash, and protects it: retention has put it there once, and would again. */
    takeOutOfTrash: (id: string): Promise<Checkpoint> =>
      withReserve(parts.path, async () => {
        parts.objects.exchangeMark(id, 'trash', 'kept', String(Date.now()));
        return parts.refreshCheckpoint(id);
      }),
    trashedCheckpoints: () => parts.catalog.trashedCheckpoints(),
    setProof: (id: string, proof: Proof) => parts.mark(id, 'proof', JSON.stringify(proof)),
    /** Lowers the grade of every checkpoint of the run that shares the cause. Returns those that changed. */
    doubt(id: string, doubt: Doubt): Checkpoint[] {
      const factsOf = (checkpoint: string) => {
        const row = parts.objects.saved(checkpoint);
        return row && { run: row.run, facts: bodyOf(row).checkpoint };
      };
      const found = factsOf(id);
      if (!found) return [];
      return parts.catalog
        .checkpoints(found.run, { trashed: true })
        .filter((other) => {
          const facts = factsOf(other.id)?.facts;
          return facts !== undefined && sharesCause(doubt.ingredient, found.facts, facts);
        })
        .map((other) => parts.mark(other.id, 'doubt', JSON.stringify(doubt)));
    },
    largestRuns: (limit: number) => parts.catalog.largestRuns(limit),
    reasonsToKeep: (run: string, policy: KeepPolicy) => [...parts.reasonsToKeep(run, policy)],
    /** Moves checkpoints that the policy does not keep to the trash. Returns them. */
    async applyRetention(run: string, policy: KeepPolicy): Promise<Checkpoint[]> {
      const now = String(Date.now());
      const trashed: Checkpoint[] = [];
      for (const [id, reasons] of parts.reasonsToKeep(run, policy)) {
        if (reasons.length > 0) continue;
        try {
          trashed.push(await withReserve(parts.path, async () => parts.mark(id, 'trash', now)));
        } catch (error) {
          // An unreadable checkpoint must not affect this training: it stays.
          if (!isError(error, 'corrupted') && !isError(error, 'notFound')) throw error;
        }
      }
      return trashed;
    },
  };
}

/** Finds a checkpoint by step, tag, `best`, `last`, or a prefix of its id; within a run, or by id alone. */
function findCheckpoint(parts: Parts, query: string, run: Run | null): Checkpoint {
  const checkpoints = run ? parts.catalog.checkpoints(run.id) : [];
  const missing = () =>
    new TrainstashError(
      'notFound',
      run ? noCheckpoint(run, query) : `There is no checkpoint "${query}".${hintOfRun(parts, query)}`,
      { what: 'checkpoint', query },
    );
  if (run) {
    let found: Checkpoint | undefined;
    if (query === 'last') found = newestGood(checkpoints, run.monitor);
    else if (query === 'best') found = run.monitor ? bestOf(checkpoints, run.monitor) : undefined;
    else
      found =
        checkpoints.findLast(({ tags }) => tags.includes(query)) ??
        (/^\d+$/.test(query) ? checkpoints.findLast(({ step }) => step === Number(query)) : undefined);
    if (found) return found;
  }
  const byId = (query.length >= MIN_PREFIX ? parts.catalog.checkpointsByPrefix(query) : []).filter(
    (checkpoint) => run === null || checkpoint.run === run.id,
  );
  const exact = byId.find(({ id }) => id === query) ?? (byId.length === 1 ? byId[0] : undefined);
  if (exact) return exact;
  if (byId.length > 1) {
    throw new TrainstashError('ambiguous', `"${query}" matches ${byId.length} checkpoints. Type more of the id.`, {
      what: 'checkpoint',
      query,
      matches: byId.map((checkpoint) => `${checkpoint.id} (step ${checkpoint.step})`),
    });
  }
  throw missing();
}

/** Adds a hint for a user who named a run where a checkpoint is wanted. */
function hintOfRun(parts: Parts, query: string): string {
  const run = /^\d{1,9}$/.test(query) ? parts.catalog.runByNumber(Number(query)) : undefined;
  return run ? ` ${run.name} is a run; its checkpoints are ${query}@STEP, ${query}@best and ${query}@last.` : '';
}

function noCheckpoint({ name, number, monitor }: Run, query: string): string {
  if (query === 'best' && !monitor)
    return `${name} has no metric for its best checkpoint. Name one in its job in trainstash.json, such as "keep": { "best": "min:val_loss" }. \`trainstash show ${number}\` lists its checkpoints.`;
  return `${name} has no checkpoint "${query}". \`trainstash show ${number}\` lists them; with \`--trash\` it includes those in the trash.`;
}
