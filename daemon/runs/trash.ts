/** Removed runs and checkpoints: for some days they can be restored, then they are deleted for good. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { TRASH_DAYS, type Trash as TrashList } from '../../protocol/messages/store.ts';
import { isModelName } from '../../protocol/model-names.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import type { RunFields } from '../store/catalog/run-change.ts';
import type { KeepPolicy, KeepReason } from '../store/maintenance/retention.ts';
import type { ProjectContext } from './context.ts';

/** Reasons that protect a checkpoint from removal by its owner. A live run also needs its newest one. */
const NEEDED: ReadonlySet<KeepReason['kind']> = new Set<KeepReason['kind']>(['tag', 'fork']);
const NEEDED_BY_LIVE: ReadonlySet<KeepReason['kind']> = new Set<KeepReason['kind']>(['tag', 'fork', 'newest']);

/** Limits of an answer. */
const MOST_RUNS = 300;
const MOST_CHECKPOINTS = 1_000;

export interface Removed {
  /** Name of the run, or id of the checkpoint; then the checkpoints that went with it. */
  removed: string[];
  bytes: number;
}

/** Run or checkpoint that a request names. */
type Target = { run: Run } | { checkpoint: Checkpoint };

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

  /** Moves runs and checkpoints into the trash, or out of it: all of them, or none if one of them may not move. */
  async remove(queries: readonly string[], undo: boolean): Promise<Removed[]> {
    const targets: Target[] = [];
    for (const query of queries) targets.push(await (undo ? this.#targetInTrash(query) : this.#target(query)));
    const { runs, checkpoints } = distinct(targets);
    if (undo) {
      const back = new Set(runs.map(({ id }) => id));
      const single = checkpoints.filter(({ run }) => !back.has(run));
      for (const run of runs) requireTrashedRun(run);
      for (const checkpoint of single) await this.#requireTrashed(checkpoint);
      return inTurn([
        ...runs.map((run) => () => this.#bringBackRun(run)),
        ...single.map((one) => () => this.#bringBack(one)),
      ]);
    }
    const going = new Set(runs.map(({ id }) => id));
    const single = checkpoints.filter(({ run }) => !going.has(run));
    for (const run of runs) await this.#requireRemovableRun(run, going);
    for (const checkpoint of single) await this.#requireRemovable(checkpoint);
    return inTurn([
      ...runs.map((run) => () => this.#removeRun(run)),
      ...single.map((one) => () => this.#removeOne(one)),
    ]);
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

  async #target(query: string): Promise<Target> {
    const run = await orNull(this.#context.store.findRun(query));
    return run ? { run } : { checkpoint: await this.#find(query) };
  }

  async #targetInTrash(query: string): Promise<Target> {
    const run = await orNull(this.#context.store.findRun(query));
    if (run) return { run };
    const checkpoint = (await this.#inTrash(query)) ?? (await orNull(this.#find(query)));
    if (checkpoint) return { checkpoint };
    throw notInTrash(query, 'is not in the trash: it was deleted for good, or was never there');
  }

  /** `going`: runs that are removed by the same request. */
  async #requireRemovableRun(run: Run, going: ReadonlySet<string>): Promise<void> {
    const { store } = this.#context;
    if (LIVE_STATUSES.includes(run.status))
      throw new TrainstashError('wrongStatus', `${run.name} is ${run.status}; stop it first. Nothing was changed.`, {
        run: run.id,
        status: run.status,
        allowed: [],
      });
    const { runs } = await store.runs({ drafts: true, trashed: false, before: null, limit: 10_000 });
    const forks = runs.filter(({ id, parent }) => parent?.run === run.id && !going.has(id)).map(({ name }) => name);
    if (forks.length > 0)
      throw new TrainstashError(
        'protectedBy',
        `${forks.join(', ')} started from ${run.name}; remove ${forks.length === 1 ? 'that' : 'those'} first. Nothing was changed.`,
        { what: run.name, reasons: forks },
      );
    if (run.pinned) throw pinned(run.name, String(run.number));
    const held = (await store.checkpoints(run.id)).find((checkpoint) => checkpoint.pinned ?? isModel(checkpoint));
    if (!held) return;
    const model = held.tags.find(isModelName);
    if (held.pinned) throw pinned(`Checkpoint ${held.id} of ${run.name}`, held.id);
    throw new TrainstashError(
      'protectedBy',
      `${run.name} has the model ${model} (step ${held.step}). Nothing was changed; \`trainstash tag ${held.id} ${model} --remove\` gives the name up.`,
      { what: run.name, reasons: [`it has the model ${model}`] },
    );
  }

  async #removeRun(run: Run): Promise<Removed> {
    const { store } = this.#context;
    const at = Date.now();
    const checkpoints = await store.checkpoints(run.id);
    for (const { id } of checkpoints) this.#context.announce.checkpoint(await store.setTrash(id, at));
    await this.#change(run, { trashedAt: at });
    return { removed: [run.name, ...checkpoints.map(({ id }) => id)], bytes: bytesOf(checkpoints) };
  }

  /** Restores a run with the checkpoints that were removed together with it. */
  async #bringBackRun(run: Run): Promise<Removed> {
    const { store } = this.#context;
    const gone = (await store.checkpoints(run.id, true)).filter(({ trashedAt }) => trashedAt === run.trashedAt);
    for (const { id } of gone) this.#context.announce.checkpoint(await store.setTrash(id, null));
    await this.#change(run, { trashedAt: null });
    return { removed: [run.name, ...gone.map(({ id }) => id)], bytes: bytesOf(gone) };
  }

  async #requireRemovable(checkpoint: Checkpoint): Promise<void> {
    const { store } = this.#context;
    const run = (await store.run(checkpoint.run))!;
    if (run.pinned) throw pinned(run.name, String(run.number));
    if (checkpoint.pinned) throw pinned(`Checkpoint ${checkpoint.id}`, checkpoint.id);
    const reasons = new Map(await store.reasonsToKeep(run.id, this.#policyOf(run))).get(checkpoint.id) ?? [];
    const kinds = LIVE_STATUSES.includes(run.status) ? NEEDED_BY_LIVE : NEEDED;
    if (reasons.some(({ kind }) => kinds.has(kind)))
      throw protectedBy(
        checkpoint.id,
        reasons.filter(({ kind }) => NEEDED_BY_LIVE.has(kind)).map(({ text }) => text),
      );
  }

  async #removeOne({ id, run }: Checkpoint): Promise<Removed> {
    const { store } = this.#context;
    return this.#changed((await store.run(run))!, await store.setTrash(id, Date.now()));
  }

  async #requireTrashed(checkpoint: Checkpoint): Promise<void> {
    const run = (await this.#context.store.run(checkpoint.run))!;
    if (run.trashedAt !== null)
      throw notInTrash(
        `Checkpoint ${checkpoint.id}`,
        `was removed together with ${run.name}; \`trainstash rm ${run.number} --undo\` restores both`,
      );
    if (checkpoint.trashedAt === null) throw notInTrash(`Checkpoint ${checkpoint.id}`, 'is not in the trash');
  }

  async #bringBack({ id, run }: Checkpoint): Promise<Removed> {
    const { store } = this.#context;
    return this.#changed((await store.run(run))!, await store.takeOutOfTrash(id));
  }

  async #changed(run: Run, checkpoint: Checkpoint): Promise<Removed> {
    await this.#context.store.changeTrashedRun(run.id, { recount: true });
    this.#context.announce.checkpoint(checkpoint);
    return { removed: [checkpoint.id], bytes: checkpoint.bytes };
  }

  async #change({ id }: Run, set: RunFields): Promise<void> {
    this.#context.announce.run(await this.#context.store.changeTrashedRun(id, { set, recount: true }));
  }
}

/** Sorts targets by kind, and drops those that are named twice. */
function distinct(targets: readonly Target[]): { runs: Run[]; checkpoints: Checkpoint[] } {
  const runs = targets.flatMap((target) => ('run' in target ? [target.run] : []));
  const checkpoints = targets.flatMap((target) => ('checkpoint' in target ? [target.checkpoint] : []));
  const byId = <T extends { id: string }>(all: readonly T[]) => [...new Map(all.map((one) => [one.id, one])).values()];
  return { runs: byId(runs), checkpoints: byId(checkpoints) };
}

async function inTurn<T>(work: readonly (() => Promise<T>)[]): Promise<T[]> {
  const done: T[] = [];
  for (const one of work) done.push(await one());
  return done;
}

function requireTrashedRun({ name, trashedAt }: Run): void {
  if (trashedAt === null) throw notInTrash(name, 'is not in the trash');
}

function isModel({ tags }: Checkpoint): boolean {
  return tags.some(isModelName);
}

function pinned(what: string, target: string): TrainstashError {
  return new TrainstashError(
    'protectedBy',
    `${what} is pinned. Nothing was changed; \`trainstash unpin ${target}\` takes the pin away.`,
    { what, reasons: ['it is pinned'] },
  );
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
