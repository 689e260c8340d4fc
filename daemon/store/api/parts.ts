/** Parts of an open store, and operations that several of its functions share. */
import { rmSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { inside } from '../../../base/inside.ts';
import type { Checkpoint } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Metrics } from '../catalog/metrics.ts';
import { checkpointOf } from '../checkpoints/body.ts';
import type { Writing } from '../checkpoints/writing.ts';
import { bytesOutside, type Outside } from '../maintenance/outside.ts';
import { DEFAULT_KEEP, type KeepPolicy, type KeepReason, keptBecause } from '../maintenance/retention.ts';
import type { Upkeep } from '../maintenance/schedule.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Hasher } from '../objects/hasher.ts';
import type { MarkKind, Objects } from '../objects/objects.ts';
import { defaultQuotaBytes } from '../ownership.ts';

/** Shortest prefix of an id to search for: a step or number that does not exist must not find something else. */
export const MIN_PREFIX = 4;

const COUNT_AGAIN_MS = 60_000;
/** Number of runs that an estimate looks at. */
const MOST_RUNS = 1_000;

export interface Opened {
  /** Directory of the store. */
  path: string;
  objects: Objects;
  catalog: Catalog;
  metrics: Metrics;
  hasher: Hasher;
  coders: Coders;
  writing: Writing;
  upkeep: Upkeep;
}

export class Parts {
  readonly path: string;
  readonly objects: Objects;
  readonly hasher: Hasher;
  readonly coders: Coders;
  readonly writing: Writing;
  readonly upkeep: Upkeep;
  /** Replaced when the catalog is rebuilt. */
  catalog: Catalog;
  metrics: Metrics;
  #counted: { outside: Outside; until: number } | null = null;

  constructor({ path, objects, catalog, metrics, hasher, coders, writing, upkeep }: Opened) {
    this.path = path;
    this.objects = objects;
    this.catalog = catalog;
    this.metrics = metrics;
    this.hasher = hasher;
    this.coders = coders;
    this.writing = writing;
    this.upkeep = upkeep;
  }

  /** Updates the catalog after a change of objects.db that has just been committed. */
  follow(change: () => void): void {
    this.catalog.database.transaction(() => {
      change();
      this.catalog.setMeta('followed', String(this.objects.changes()));
    });
  }

  /** Updates the catalog's row of a checkpoint from objects.db. */
  refreshCheckpoint(id: string): Checkpoint {
    const row = this.objects.saved(id);
    if (!row) throw new TrainstashError('notFound', `There is no checkpoint ${id}.`, { what: 'checkpoint', query: id });
    const checkpoint = checkpointOf(row, this.objects.marks(row.seq));
    this.follow(() => this.catalog.putCheckpoint(checkpoint));
    return checkpoint;
  }

  mark(id: string, kind: MarkKind, value: string | null): Checkpoint {
    if (value === null) this.objects.clearMark(id, kind);
    else this.objects.setMark(id, kind, value);
    return this.refreshCheckpoint(id);
  }

  forgetCheckpoint(id: string): void {
    this.objects.forget(id);
    this.follow(() => this.catalog.removeCheckpoint(id));
  }

  /** Maps checkpoints that others were resumed or forked from to the reason. */
  neededCheckpoints(run: string): Map<string, KeepReason> {
    const needed = new Map<string, KeepReason>();
    for (const session of this.catalog.sessions(run)) {
      if (session.resumedFrom)
        needed.set(session.resumedFrom.checkpoint, { kind: 'resumed', text: 'the run was resumed from it' });
    }
    for (const { parent } of this.catalog.forksOf(run))
      needed.set(parent!.checkpoint, { kind: 'fork', text: 'a fork starts from it' });
    // Also the newest ones of a pinned run, which were taken after the pin.
    if (this.catalog.run(run)?.pinned)
      for (const { id } of this.catalog.checkpoints(run)) needed.set(id, { kind: 'pin', text: 'its run is pinned' });
    return needed;
  }

  reasonsToKeep(run: string, policy: KeepPolicy) {
    return keptBecause(this.catalog.checkpoints(run), policy, this.neededCheckpoints(run));
  }

  usedBytes(): number {
    const number = (name: string) => Number(Object.values(this.objects.database.prepare(`PRAGMA ${name}`).get()!)[0]);
    return (number('page_count') - number('freelist_count')) * number('page_size');
  }

  get quotaBytes(): number {
    const quota = Number(this.objects.meta('quota') ?? 'none');
    // A value that is not a number sets no limit, and must not cause deletions.
    return quota > 0 ? quota : defaultQuotaBytes(this.path);
  }

  /**
   * Returns the bytes that count towards the quota: not the user's own (stashes, files of scripts), and nothing that is
   * about to be stored.
   */
  async takenBytes(): Promise<number> {
    const { sessions, other, left } = await this.#outside();
    // However much that is, half of the quota is for checkpoints: deleting them would free none of it.
    return this.usedBytes() + Math.min(sessions + other + left, this.quotaBytes / 2);
  }

  /** Counts the bytes outside the databases. A count stays valid the longer, the longer it took. */
  async #outside(): Promise<Outside> {
    const known = this.#counted;
    if (known && performance.now() < known.until) return known.outside;
    const started = performance.now();
    const outside = await bytesOutside(this.path, () => breathe());
    const now = performance.now();
    this.#counted = { outside, until: now + Math.max(COUNT_AGAIN_MS, 100 * (now - started)) };
    return outside;
  }

  /**
   * Frees space below the quota: deletes expired and then all trash, then all but each run's newest and protected
   * checkpoints.
   */
  async makeRoom(incomingBytes: number): Promise<{ over: boolean; pruned: Checkpoint[] }> {
    const quota = this.quotaBytes;
    const outside = (await this.takenBytes()) - this.usedBytes();
    const fits = () => this.usedBytes() + outside + incomingBytes <= quota;
    const pruned: Checkpoint[] = [];
    for (const checkpoint of this.catalog.trashedCheckpoints()) {
      if (fits()) return { over: false, pruned };
      this.forgetCheckpoint(checkpoint.id);
      await this.upkeep.sweep();
    }
    if (fits()) return { over: false, pruned };
    for (const row of this.catalog.database
      .prepare('SELECT DISTINCT run FROM checkpoint WHERE trashed IS NULL')
      .all()) {
      const run = String(row.run);
      for (const [id, reasons] of this.reasonsToKeep(run, { ...DEFAULT_KEEP, last: 1 })) {
        if (reasons.length > 0) continue;
        pruned.push(this.catalog.checkpoint(id)!);
        this.forgetCheckpoint(id);
      }
      await this.upkeep.sweep();
      if (fits()) return { over: false, pruned };
    }
    return { over: !fits(), pruned };
  }

  /** Finds what `makeRoom` would delete to free that many bytes, without deleting it; sizes are before deduplication. */
  nextToGo(bytes: number): { checkpoints: number; bytes: number } {
    const found = { checkpoints: 0, bytes: 0 };
    if (bytes <= 0) return found;
    const take = (checkpoint: Checkpoint) => {
      found.checkpoints++;
      found.bytes += checkpoint.bytes;
      return found.bytes >= bytes;
    };
    if (this.catalog.trashedCheckpoints().some(take)) return found;
    for (const run of this.catalog.largestRuns(MOST_RUNS)) {
      const all = new Map(this.catalog.checkpoints(run).map((checkpoint) => [checkpoint.id, checkpoint]));
      const loose = [...this.reasonsToKeep(run, { ...DEFAULT_KEEP, last: 1 })].filter(
        ([, reasons]) => reasons.length === 0,
      );
      if (loose.map(([id]) => all.get(id)!).some(take)) return found;
    }
    return found;
  }

  /** Forgets a run with everything it has: checkpoints, metrics, session directories. */
  async purgeRun(id: string): Promise<void> {
    for (const checkpoint of this.catalog.checkpoints(id, { trashed: true })) this.forgetCheckpoint(checkpoint.id);
    for (const session of this.catalog.sessions(id)) this.#remove(`sessions/${session.id}`);
    this.#remove(`files/${id}`);
    this.catalog.removeRun(id);
    this.metrics.forgetIds();
    await this.upkeep.sweep();
  }

  #remove(name: string): void {
    rmSync(inside(this.path, name), { recursive: true, force: true });
  }
}
