/** Removed runs and checkpoints: for some days they can be restored, then they are deleted for good. */
import { type Checkpoint, LIVE_STATUSES, type Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { TRASH_DAYS, type Trash as TrashList } from '../../protocol/messages/store.ts';
import { type KeepPolicy, lastOf } from '../store/retention.ts';
import type { ProjectContext } from './context.ts';

/** Limits of an answer. */
const MOST_RUNS = 300;
const MOST_CHECKPOINTS = 1_000;

export interface Removed {
  /** Name of the run, or id of the checkpoint; then the checkpoints that went with it. */
  removed: string[];
  bytes: number;
}

export class Trash {
  readonly #context: ProjectContext;
  readonly #find: (query: string) => Promise<Checkpoint>;
  readonly #policyOf: (run: Run) => KeepPolicy;

  constructor(
    context: ProjectContext,
    find: (query: string) => Promise<Checkpoint>,
    policyOf: (run: Run) => KeepPolicy,
  ) {
    this.#context = context;
    this.#find = find;
    this.#policyOf = policyOf;
  }

  /** Moves a run or a checkpoint into the trash, or out of it. */
  async remove(target: string, undo: boolean): Promise<Removed> {
    const run = await orNull(this.#context.store.findRun(target));
    if (run) return undo ? this.#bringBackRun(run) : this.#removeRun(run);
    if (!undo) return this.#removeCheckpoint(await this.#find(target));
    const checkpoint = (await this.#inTrash(target)) ?? (await orNull(this.#find(target)));
    if (!checkpoint) throw notInTrash(target, 'is not in the trash: it was deleted for good, or was never there');
    return this.#bringBackCheckpoint(checkpoint);
  }

  async list(): Promise<Omit<TrashList, 'stashes'>> {
    const { store } = this.#context;
    const { runs, total } = await store.runs({ drafts: true, trashed: true, before: null, limit: 10_000 });
    const all = await store.trashedCheckpoints();
    const ofRun = Map.groupBy(all, ({ run }) => run);
    const single = all.filter(({ run }) => !runs.some(({ id }) => id === run)).reverse();
    const names = new Map<string, Run | undefined>();
    for (const id of new Set(single.map(({ run }) => run))) names.set(id, await store.run(id));
    return {
      runs: runs.slice(0, MOST_RUNS).map(({ id, number, name, branch, trashedAt }) => ({
        id,
        number,
        name,
        branch,
        trashedAt: trashedAt!,
        checkpoints: ofRun.get(id)?.length ?? 0,
        bytes: bytesOf(ofRun.get(id) ?? []),
      })),
      checkpoints: single.slice(0, MOST_CHECKPOINTS).map(({ id, run, step, bytes, trashedAt }) => ({
        id,
        run: names.get(run)?.name ?? run,
        number: names.get(run)?.number ?? 0,
        branch: names.get(run)?.branch ?? null,
        step,
        bytes,
        trashedAt: trashedAt!,
      })),
      counts: { runs: total, checkpoints: all.length },
      bytes: bytesOf(all),
    };
  }

  /** Finds a trashed checkpoint for `14@1200`: it is no longer among the run's checkpoints. */
  async #inTrash(query: string): Promise<Checkpoint | undefined> {
    const at = query.lastIndexOf('@');
    const run = at < 0 ? null : await orNull(this.#context.store.findRun(query.slice(0, at)));
    if (!run) return undefined;
    const wanted = query.slice(at + 1);
    const trashed = (await this.#context.store.checkpoints(run.id, true)).filter(({ trashedAt }) => trashedAt !== null);
    return trashed.findLast(({ step, tags }) => String(step) === wanted || tags.includes(wanted));
  }

  async #removeRun(run: Run): Promise<Removed> {
    const { store } = this.#context;
    if (LIVE_STATUSES.includes(run.status))
      throw new TrainstashError('wrongStatus', `${run.name} is ${run.status}; stop it first. Nothing was changed.`, {
        run: run.id,
        status: run.status,
        allowed: [],
      });
    const { runs } = await store.runs({ drafts: true, trashed: false, before: null, limit: 10_000 });
    const forks = runs.filter(({ parent }) => parent?.run === run.id).map(({ name }) => name);
    if (forks.length > 0)
      throw new TrainstashError(
        'protectedBy',
        `${forks.join(', ')} started from ${run.name}; remove ${forks.length === 1 ? 'that' : 'those'} first. Nothing was changed.`,
        { what: run.name, reasons: forks },
      );
    const at = Date.now();
    const checkpoints = await store.checkpoints(run.id);
    for (const { id } of checkpoints) this.#context.announce.checkpoint(await store.setTrash(id, at));
    await this.#put({ ...run, trashedAt: at, checkpoints: 0 });
    return { removed: [run.name, ...checkpoints.map(({ id }) => id)], bytes: bytesOf(checkpoints) };
  }

  /** Restores a run with the checkpoints that were removed together with it. */
  async #bringBackRun(run: Run): Promise<Removed> {
    const { store } = this.#context;
    if (run.trashedAt === null) throw notInTrash(run.name, 'is not in the trash');
    const gone = (await store.checkpoints(run.id, true)).filter(({ trashedAt }) => trashedAt === run.trashedAt);
    for (const { id } of gone) this.#context.announce.checkpoint(await store.setTrash(id, null));
    await this.#put({ ...run, trashedAt: null, checkpoints: gone.length });
    return { removed: [run.name, ...gone.map(({ id }) => id)], bytes: bytesOf(gone) };
  }

  async #removeCheckpoint(checkpoint: Checkpoint): Promise<Removed> {
    const { store } = this.#context;
    const run = (await store.run(checkpoint.run))!;
    const reasons = new Map(await store.reasonsToKeep(run.id, this.#policyOf(run))).get(checkpoint.id) ?? [];
    const strong = reasons.filter((reason) => /tagged|fork|newest/.test(reason));
    if (strong.length > 0 && LIVE_STATUSES.includes(run.status)) throw protectedBy(checkpoint.id, strong);
    if (reasons.some((reason) => /tagged|fork/.test(reason))) throw protectedBy(checkpoint.id, reasons);
    return this.#changed(run, await store.setTrash(checkpoint.id, Date.now()));
  }

  async #bringBackCheckpoint(checkpoint: Checkpoint): Promise<Removed> {
    const { store } = this.#context;
    const run = (await store.run(checkpoint.run))!;
    if (run.trashedAt !== null)
      throw notInTrash(
        `Checkpoint ${checkpoint.id}`,
        `was removed together with ${run.name}; \`trainstash rm ${run.number} --undo\` restores both`,
      );
    if (checkpoint.trashedAt === null) throw notInTrash(`Checkpoint ${checkpoint.id}`, 'is not in the trash');
    return this.#changed(run, await store.takeOutOfTrash(checkpoint.id));
  }

  async #changed(run: Run, checkpoint: Checkpoint): Promise<Removed> {
    const left = await this.#context.store.checkpoints(run.id);
    await this.#context.store.putTrashedRun({
      ...run,
      checkpoints: left.length,
      lastCheckpoint: lastOf(left, run.monitor),
    });
    this.#context.announce.checkpoint(checkpoint);
    return { removed: [checkpoint.id], bytes: checkpoint.bytes };
  }

  async #put(run: Run): Promise<void> {
    await this.#context.store.putTrashedRun(run);
    this.#context.announce.run(run);
  }
}

function bytesOf(checkpoints: readonly Checkpoint[]): number {
  return checkpoints.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof TrainstashError && error.code === 'notFound') return null;
    throw error;
  }
}

function notInTrash(what: string, why: string): TrainstashError {
  return new TrainstashError(
    'notFound',
    `${what} ${why}. Nothing was changed; \`trainstash ls --trash\` lists what can be restored (for ${TRASH_DAYS} days).`,
    { what: 'checkpoint', query: what },
  );
}

function protectedBy(id: string, reasons: string[]): TrainstashError {
  return new TrainstashError('protectedBy', `Checkpoint ${id} is needed: ${reasons.join(', ')}. Nothing was changed.`, {
    what: id,
    reasons,
  });
}
