/**
 * Follows one live session: stores its events and checkpoints, and learns how it ends. Every decision can be made again
 * after a crash of the daemon, from the session directory alone.
 */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson } from '../../../base/files.ts';
import type { Checkpoint, Run, Session } from '../../../protocol/domain.ts';
import { isError } from '../../../protocol/errors.ts';
import {
  CHECKPOINT_FILE,
  type CheckpointFile,
  checkpointFileSchema,
  type ExitRecord,
} from '../../../protocol/session.ts';
import { STALLED_MS } from '../../../protocol/status.ts';
import { SET_ASIDE, type SessionDirectory } from '../../../session/directory.ts';
import { isSetAside } from '../../../session/sweep.ts';
import { isAlive, type SessionWatch, watchSession } from '../../../session/watch.ts';
import type { EventSource } from '../../store/catalog/catalog.ts';
import type { TakenEvents } from '../../store/catalog/events.ts';
import { SourceChanged, type Store } from '../../store/client.ts';

/** Longest time between the launch and the runner's lock. */
const LAUNCH_GRACE_MS = 15_000;
/**
 * Delay before the next try when the disk is full or the store fails. Meanwhile the trainer keeps its newest
 * checkpoints in the inbox.
 */
const RETRY_MS = 5_000;
/** Time without an event after which a notice is due while the runner lives. */

/** Most checkpoints that are reported together: what is shown of a run must not wait for all of a thousand. */
const MAX_TOGETHER = 16;

export interface Stored {
  checkpoint: Checkpoint;
  facts: CheckpointFile;
  /** True if the store is larger than its quota, whatever was pruned. */
  over: boolean;
  pruned: Checkpoint[];
}

export interface FollowerEvents {
  events(taken: TakenEvents): Promise<void>;
  /** Returns true if the checkpoint must not be kept. */
  refuses(facts: CheckpointFile): Promise<boolean>;
  /** Reports checkpoints that were stored: several at once where a script writes them faster than they are stored. */
  saved(stored: readonly Stored[]): Promise<void>;
  /** Reports that the newest checkpoint could not be stored; it stays where it is. */
  saveFailed(error: Error): Promise<void>;
  stalled(): Promise<void>;
  /** Reports the end, after the last event and checkpoint have been stored. `null`: no exit record. */
  ended(exit: ExitRecord | null): Promise<void>;
}

/** Life of a session that runs elsewhere, where no lock of it can be seen. */
export interface Away {
  isAlive(): boolean;
  kill(): Promise<void>;
}

export interface FollowerSetup {
  store: Store;
  directory: SessionDirectory;
  session: Session;
  /** Event files of the session, the runner's first: its events come first. */
  sources: readonly EventSource[];
  /** Absent: the session's lock tells whether it lives. */
  away?: Away | undefined;
  /** Collects what a command left whose runner died without an exit record; absent: there is nothing to collect. */
  leftovers?(wasSeen: boolean): Promise<void>;
  /** Returns the run as it is now, for the checkpoint's identity. */
  run(): Run;
  handle: FollowerEvents;
  log(text: string): void;
}

export class Follower {
  readonly session: Session;
  readonly directory: SessionDirectory;
  /** True while its process waits off its GPU: no step can come. */
  isHeld = false;
  readonly #setup: FollowerSetup;
  readonly #watch: SessionWatch;
  readonly #launchedAt = Date.now();
  /** State of the process that this daemon started itself; null when it did not. */
  #childExited: boolean | null = null;
  #lastEventAt = Date.now();
  #stallReported = false;
  #retryAt = 0;
  #over = false;
  #seenAlive = false;
  #lookedForLeftovers = false;
  #resolveFinished: () => void = () => {};
  /** Settles when the session has ended and everything from it has been stored. */
  readonly finished: Promise<void>;

  constructor(setup: FollowerSetup) {
    this.#setup = setup;
    this.session = setup.session;
    this.directory = setup.directory;
    this.finished = new Promise((resolve) => {
      this.#resolveFinished = resolve;
    });
    this.#watch = watchSession(setup.directory, () => this.#look());
  }

  /**
   * Follows a process that this daemon started: the session is over when the process has exited, however long its start
   * takes.
   */
  ownChild(child: ChildProcess): void {
    this.#childExited = false;
    const exited = () => {
      this.#childExited = true;
      void this.look();
    };
    child.once('exit', exited);
    // The process could not be started at all.
    child.once('error', exited);
  }

  look(): Promise<void> {
    return this.#watch.look();
  }

  dispose(): void {
    this.#over = true;
    this.#watch.dispose();
  }

  /** Failures are retried at the next look: nothing is removed that was not stored. */
  async #look(): Promise<void> {
    try {
      await this.#lookOnce();
    } catch (error) {
      if (!this.#over) this.#setup.log(`session ${this.directory.id}: ${(error as Error).stack ?? error}`);
    }
  }

  async #lookOnce(): Promise<void> {
    if (this.#over) return;
    // Liveness is read first: everything that a dead runner wrote is then complete.
    const alive = this.#setup.away?.isAlive() ?? isAlive(this.directory);
    const exit = this.directory.exit();
    await this.#storeEvents();
    await this.#storeInbox();
    this.#seenAlive ||= alive;
    if (this.#over || alive) return this.#checkStall();
    const starting = exit === null && this.#isStarting();
    if (starting || this.#retryAt > Date.now()) return;
    if (exit === null && this.#setup.leftovers && !this.#lookedForLeftovers) {
      this.#lookedForLeftovers = true;
      await this.#setup.leftovers(this.#seenAlive);
      return this.#lookOnce();
    }
    await this.#setup.handle.ended(this.directory.exit());
    this.dispose();
    this.#resolveFinished();
  }

  /** Tells whether the lock is free because the runner does not hold it yet, not because it has released it. */
  #isStarting(): boolean {
    if (this.#childExited !== null) return !this.#childExited;
    return this.directory.process() === null && Date.now() - this.#launchedAt < LAUNCH_GRACE_MS;
  }

  async #storeEvents(): Promise<void> {
    for (const source of this.#setup.sources) await this.#storeEventsOf(source);
  }

  async #storeEventsOf(source: EventSource): Promise<void> {
    for (let more = true; more && !this.#over; ) {
      const taken = await this.#setup.store.takeEvents(this.session.id, source);
      more = taken.more;
      if (
        taken.started === null &&
        taken.plan === null &&
        taken.last === null &&
        taken.notices.length === 0 &&
        taken.answered === null &&
        taken.malformed === 0
      )
        continue;
      this.#lastEventAt = Date.now();
      this.#stallReported = false;
      await this.#setup.handle.events(taken);
    }
  }

  async #storeInbox(): Promise<void> {
    if (Date.now() < this.#retryAt) return;
    const seen = new Set<string>();
    const stored: Stored[] = [];
    const report = async () => {
      if (stored.length > 0) await this.#setup.handle.saved(stored.splice(0));
    };
    for (let path = this.#claim(seen); path !== null && !this.#over; path = this.#claim(seen)) {
      seen.add(path);
      try {
        stored.push(...(await this.#save(path)));
        if (stored.length >= MAX_TOGETHER) await report();
        this.#retryAt = 0;
      } catch (error) {
        if (this.#over) return;
        if (error instanceof SourceChanged && factsIn(path)?.place != null) {
          // The script has written the file again: the runner hands it over once more.
          this.#setup.log(`${path} was written again before it was stored`);
          rmSync(path, { recursive: true, force: true });
          continue;
        }
        await report();
        await this.#setup.handle.saveFailed(error as Error);
        // Only a damaged checkpoint is set aside; any other failure may not happen the next time.
        if (isError(error, 'corrupted')) this.#setAside(path);
        else if (!(error instanceof SourceChanged)) {
          this.#retryAt = Date.now() + RETRY_MS;
          return;
        }
      }
    }
    await report();
  }

  async #save(path: string): Promise<Stored[]> {
    const { store, run, handle } = this.#setup;
    const facts = factsIn(path);
    if (facts && (await handle.refuses(facts))) {
      rmSync(path, { recursive: true, force: true });
      return [];
    }
    const source = { directory: path, run: run(), session: this.session };
    const { checkpoint, over, pruned } = await store.saveCheckpoint(source, directoryBytes(path));
    rmSync(path, { recursive: true, force: true });
    // A stored checkpoint had readable facts.
    return [{ checkpoint, facts: facts!, over, pruned }];
  }

  /**
   * Claims one checkpoint, those that an earlier daemon claimed first: the trainer can prune what is still in its
   * inbox.
   */
  #claim(seen: ReadonlySet<string>): string | null {
    const { directory } = this;
    const claimed = directory
      .claimed()
      .filter((name) => !isSetAside(name))
      .map((name) => join(directory.file('taking'), name))
      .find((path) => !seen.has(path));
    if (claimed) return claimed;
    for (const name of directory.inbox()) {
      const path = directory.claim(name);
      if (path) return path;
    }
    return null;
  }

  #setAside(path: string): void {
    const { directory } = this;
    try {
      const name = path.split(/[/\\]/).pop()!;
      renameSync(path, join(directory.file('taking'), `${SET_ASIDE}${name}`));
    } catch {
      // It stays claimed, and the next daemon tries again.
    }
  }

  async #checkStall(): Promise<void> {
    if (this.isHeld) this.#lastEventAt = Date.now();
    if (this.#over || this.#stallReported || Date.now() - this.#lastEventAt < STALLED_MS) return;
    this.#stallReported = true;
    await this.#setup.handle.stalled();
  }
}

function directoryBytes(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

function factsIn(path: string): CheckpointFile | null {
  const parsed = v.safeParse(checkpointFileSchema, readJson(join(path, CHECKPOINT_FILE)));
  return parsed.success ? parsed.output : null;
}
