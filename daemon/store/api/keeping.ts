/** Pins, names of models, the quota, and the plan of the next deletion. */
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import type { GcPlan, Quota } from '../../../protocol/messages/keep.ts';
import { TRASH_DAYS } from '../../../protocol/messages/store.ts';
import { withReserve } from '../maintenance/sweep.ts';
import { defaultQuotaBytes } from '../ownership.ts';
import type { Parts } from './parts.ts';

const DAY_MS = 86_400_000;
/** Limits of an answer. */
const MOST_RUNS = 300;
const MOST_CHECKPOINTS = 1_000;
const STATED = 'quotaStated';

export function keepingApi(parts: Parts) {
  return {
    pinCheckpoint: (id: string, pinned: boolean): Promise<Checkpoint> =>
      withReserve(parts.path, async () => parts.mark(id, 'pin', pinned ? 'checkpoint' : null)),
    /**
     * Pins what a run has, too: its own record is in the catalog, which a rebuild makes anew from the checkpoints. Returns the
     * checkpoints that changed.
     */
    pinCheckpointsOf: (run: Run, pinned: boolean): Promise<Checkpoint[]> =>
      withReserve(parts.path, async () => {
        const changed = parts.catalog.checkpoints(run.id).filter(({ pinned: by }) => (pinned ? !by : by === 'run'));
        return changed.map(({ id }) => parts.mark(id, 'pin', pinned ? 'run' : null));
      }),
    /** Records that a checkpoint's state leads to trouble: it no longer counts as a good one. */
    markTrouble: (id: string, trouble: 'nan' | 'spike'): Promise<Checkpoint> =>
      withReserve(parts.path, async () => parts.mark(id, 'trouble', trouble)),
    /** Finds the checkpoint with this tag, whatever its run. */
    checkpointWithTag(tag: string): Checkpoint | null {
      const id = parts.objects.savedWithMark('tag', tag);
      return (id !== undefined && parts.catalog.checkpoint(id)) || null;
    },
    tagsWithPrefix: (prefix: string): string[] => parts.objects.marksWithPrefix('tag', prefix),
    plan: (emptyTrash: boolean): Promise<GcPlan> => plan(parts, emptyTrash),
    async quota(asked?: number | null): Promise<Quota> {
      const quotaBytes = asked === undefined ? parts.quotaBytes : (asked ?? defaultQuotaBytes(parts.path));
      const takenBytes = await parts.takenBytes();
      const { checkpoints, bytes } = parts.nextToGo(takenBytes - quotaBytes);
      const isDefault =
        (asked === undefined ? parts.objects.meta(STATED) : asked === null ? undefined : '1') === undefined;
      return { quotaBytes, takenBytes, isDefault, atNextCheckpoint: { checkpoints, bytes } };
    },
    /** Sets the quota; null: back to the default. Works on a full disk, too. */
    setQuota: (bytes: number | null): Promise<void> =>
      withReserve(parts.path, async () => {
        parts.objects.setMeta('quota', String(bytes ?? defaultQuotaBytes(parts.path)));
        if (bytes === null) parts.objects.clearMeta(STATED);
        else parts.objects.setMeta(STATED, '1');
      }),
  };
}

async function plan(parts: Parts, emptyTrash: boolean): Promise<GcPlan> {
  const limit = emptyTrash ? Number.POSITIVE_INFINITY : Date.now() - TRASH_DAYS * DAY_MS;
  const trashed = parts.catalog.trashedCheckpoints();
  const runs = parts.catalog.runsTrashedBefore(Math.min(limit, 1e300));
  const ofRuns = new Set(
    runs.flatMap((run) => parts.catalog.checkpoints(run.id, { trashed: true }).map(({ id }) => id)),
  );
  const isExpired = ({ id, trashedAt }: Checkpoint) => trashedAt! < limit || ofRuns.has(id);
  const expired = trashed.filter(isExpired);
  const later = trashed.filter((checkpoint) => !isExpired(checkpoint));
  const names = new Map<string, string>();
  const nameOf = (run: string) => {
    if (!names.has(run)) names.set(run, parts.catalog.run(run)?.name ?? run);
    return names.get(run)!;
  };
  const going = new Set([...ofRuns, ...expired.map(({ id }) => id)]);
  const takenBytes = await parts.takenBytes();
  const { quotaBytes } = parts;
  const atQuota = parts.nextToGo(Number.POSITIVE_INFINITY);
  return {
    runs: runs
      .slice(0, MOST_RUNS)
      .map(({ id, number, name, trashedAt }) => ({ id, number, name, trashedAt: trashedAt! })),
    checkpoints: expired
      .slice(0, MOST_CHECKPOINTS)
      .map(({ id, run, step, bytes, trashedAt }) => ({ id, run: nameOf(run), step, bytes, trashedAt: trashedAt! })),
    counts: { runs: runs.length, checkpoints: going.size },
    freedBytes: parts.objects.bytesWithout([...going]),
    later: {
      checkpoints: later.length,
      firstExpiresAt:
        later.length > 0 ? Math.min(...later.map(({ trashedAt }) => trashedAt!)) + TRASH_DAYS * DAY_MS : null,
    },
    atQuota: { usedBytes: takenBytes, quotaBytes, ...atQuota },
  };
}
