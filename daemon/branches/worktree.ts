/**
 * One worktree and the files in it that follow its branch. Whenever the branch whose files are in place is not HEAD's, a
 * switch is due: an event, a start, a poll and `sync` are the same call, one after the other. What is left half done by a
 * crash is seen from the two durable facts (in place, shelf) and finished by the next call.
 */
import type { Run } from '../../protocol/domain.ts';
import type { SyncResult } from '../../protocol/messages.ts';
import { earlierNames, localBranches, tipOf } from '../code/history.ts';
import { type Head, worktreeName } from '../code/project.ts';
import { decide } from './decide.ts';
import { HeadWatcher } from './head.ts';
import { type InPlace, readConsent, WorktreeRecord, writeConsent } from './in-place.ts';
import { Intake } from './intake.ts';
import type { FileStore } from './moving.ts';
import { type BranchPolicy, matching, Ownership, type RunsHere } from './ownership.ts';
import { type RawPath, shown } from './paths.ts';
import { Shelving } from './shelving.ts';
import { type BranchNotice, counted, listed, type Tell } from './words.ts';
import { findFile } from './working-set.ts';

/** git may move HEAD several times in a row; a switch that was seen by event waits for this long without a move. */
const SETTLE_MS = 150;
const MAX_ROUNDS = 20;

export interface WorktreeSetup {
  root: string;
  storePath: string;
  store: FileStore;
  runs: RunsHere;
  /** What a trainstash.json says of branches; null: there is none, or it cannot be read. */
  policy(text: string | null): BranchPolicy;
  headMoved(head: Head): void;
  /** What a due switch waits for is another than before. */
  waitsChanged(): void;
  /** Something a person wants to know. */
  tell: Tell;
  log(text: string): void;
}

export class Worktree {
  readonly #setup: WorktreeSetup;
  readonly #record: WorktreeRecord;
  readonly #ownership: Ownership;
  readonly #intake: Intake;
  readonly #shelving: Shelving;
  #head: HeadWatcher | null = null;
  #tail: Promise<unknown> = Promise.resolve();
  /** HEAD moved while nobody looked: true until the first look has been settled. */
  #unattended = true;
  #told = '';
  /** Runs that a switch has waited for. */
  readonly #waitedFor = new Set<string>();
  #waitsFor: string | null = null;
  /** Paths of the branch in place that are waited for. */
  readonly #claimed = new Set<RawPath>();
  #retry: NodeJS.Timeout | null = null;
  #settling: NodeJS.Timeout | null = null;
  #disposed = false;

  /** `name`: what git calls it; its folder may be moved. */
  private constructor(setup: WorktreeSetup, name: string) {
    this.#setup = setup;
    this.#record = new WorktreeRecord(setup.storePath, name);
    this.#ownership = new Ownership({ ...setup, record: this.#record, headMovedAt: () => this.#head!.movedAt() });
    this.#intake = new Intake({
      root: setup.root,
      store: setup.store,
      record: this.#record,
      find: () => this.#ownership.find(),
      links: (branch) => this.#ownership.linksOf({ branch, tip: null }),
      branch: () => this.#settledBranch(),
      vanished: (files) => this.#shelving.keepVanished(files),
      log: setup.log,
    });
    this.#shelving = new Shelving({
      ...setup,
      name,
      record: this.#record,
      intake: this.#intake,
      head: () => this.head,
      links: (branch) => this.#ownership.linksOf(branch),
    });
  }

  /** Null where there is no HEAD to follow (no git, bare, deleted). */
  static async open(setup: WorktreeSetup): Promise<Worktree | null> {
    const name = await worktreeName(setup.root);
    if (name === null) return null;
    const worktree = new Worktree(setup, name);
    worktree.#head = await HeadWatcher.start(setup.root, (head) => worktree.#onHead(head));
    if (!worktree.#head) return null;
    // It also starts the intake: what a crash left away must be back before anything counts as vanished.
    void worktree.sync();
    return worktree;
  }

  /** What a due switch waits for; null: none is due. */
  get waitsFor(): string | null {
    return this.#waitsFor;
  }

  get head(): Head {
    return this.#head!.head;
  }

  /** Settles what is due, now. */
  sync(files?: 'move' | 'stay'): Promise<SyncResult> {
    return this.#serial(() => this.#sync(files));
  }

  /** The answer to the question whether files follow branches here. */
  follow(follow: boolean): Promise<SyncResult> {
    return this.#serial(async () => {
      writeConsent(this.#setup.storePath, follow);
      this.#told = '';
      this.#intake.lookAgain();
      return this.#sync();
    });
  }

  /** A run has ended or paused: a switch may have waited for it. One that was paused for that is offered on its branch's return. */
  runEnded({ id, branch, status }: Pick<Run, 'id' | 'branch' | 'status'>): void {
    // The switch itself may have been faster than this news of the run.
    if (this.#waitedFor.delete(id) && status === 'paused' && branch !== null && branch !== this.head.branch) {
      const paused = this.#record.paused();
      this.#record.setPaused({ ...paused, [branch]: { runs: [...(paused[branch]?.runs ?? []), id], left: true } });
    }
    this.#intake.lookAgain();
    void this.sync();
  }

  /** These files of the tree were written by that run: they follow the branch in place, declared or not. */
  wrote(run: string, paths: readonly RawPath[]): Promise<void> {
    return this.#serial(() =>
      this.#intake.pausedFor(async () => {
        const inPlace = this.#record.inPlace();
        if (!inPlace) return;
        const links = await this.#ownership.linksOf(inPlace);
        const known = this.#record.files();
        const files = new Map(known);
        for (const path of paths) {
          const file = findFile(this.#setup.root, path, links);
          if (!file) continue;
          const before = matching(known, file);
          const { ino, bytes, mtimeMs, mode } = file;
          files.set(path, { ino, bytes, mtimeMs, mode, run, saved: before?.saved ?? null });
        }
        this.#record.setFiles(files);
      }),
    );
  }

  /** For work on stashes: nothing else moves files meanwhile. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#serial(() => this.#intake.pausedFor(work));
  }

  /** Ids of the store's files that this worktree needs. */
  neededFiles(): string[] {
    return [...this.#record.files().values()].flatMap(({ saved }) => saved ?? []);
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const timer of [this.#retry, this.#settling]) if (timer) clearTimeout(timer);
    this.#head?.dispose();
    await this.#tail.catch(() => {});
    await this.#intake.dispose();
    const inPlace = this.#record.inPlace();
    if (!inPlace) return;
    try {
      // So that the next daemon knows which changes nobody saw.
      this.#record.setInPlace({ ...inPlace, seenAt: Date.now() });
    } catch (error) {
      // The repository was moved or deleted.
      this.#setup.log(`${this.#setup.root}: ${(error as Error).message}`);
    }
  }

  /** The branch in place, if files follow here and no switch is due. */
  async #settledBranch(): Promise<string | null> {
    const branch = this.#record.inPlace()?.branch;
    if (branch === undefined || !readConsent(this.#setup.storePath) || !this.#head?.isCurrent()) return null;
    return this.head.branch === null || this.head.branch === branch ? branch : null;
  }

  #onHead(head: Head): void {
    this.#setup.headMoved(head);
    if (this.#settling) clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.sync(), SETTLE_MS);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }

  // ---- the loop ----

  async #sync(files?: 'move' | 'stay'): Promise<SyncResult> {
    const left = this.#record.inPlace()?.branch ?? '';
    const total = { movedOut: 0, movedIn: 0, late: [] as string[], conflicts: [] as string[] };
    try {
      for (let round = 0; round < MAX_ROUNDS && !this.#disposed; round++) {
        const head = round > 0 && this.#head!.isCurrent() ? this.head : await this.#head!.look();
        const step = await this.#step(head, files);
        total.movedOut += step.movedOut ?? 0;
        total.movedIn += step.movedIn ?? 0;
        total.late.push(...(step.late ?? []));
        total.conflicts.push(...(step.conflicts ?? []));
        if (step.state === 'again') continue;
        this.#intake.lookAgain();
        this.#setWaitsFor(step.state === 'waiting' ? (step.reason ?? '') : null);
        if (step.state === 'inPlace') {
          this.#unattended = false;
          this.#tellMoved(left, head.branch, total);
        }
        if (step.state === 'waiting') this.#tryLater();
        return this.#result(step.state, step.reason ?? '', total);
      }
      return this.#result('failed', 'HEAD does not come to rest', total);
    } catch (error) {
      this.#setup.log(`switching ${this.#setup.root}: ${(error as Error).stack}`);
      const reason = (error as Error).message;
      this.#tellOnce(
        'switchFailed',
        `The files of a branch could not be moved: ${reason}. None is lost; it is tried again.`,
      );
      this.#tryLater();
      return this.#result('failed', reason, total);
    }
  }

  #setWaitsFor(waitsFor: string | null): void {
    if (waitsFor === this.#waitsFor) return;
    this.#waitsFor = waitsFor;
    this.#setup.waitsChanged();
  }

  async #step(head: Head, files?: 'move' | 'stay'): Promise<Step> {
    const { root, storePath, tell } = this.#setup;
    const inPlace = this.#record.inPlace();
    const { branch } = head;
    if (branch === null) return { state: 'detached' };
    if (!inPlace) {
      await this.#setInPlace(branch, head.commit);
      return { state: 'again' };
    }
    if (branch === inPlace.branch) return this.#bringBack(inPlace, head);

    const follow = readConsent(storePath);
    const [names, exists, set, madeHere] = await Promise.all([
      earlierNames(root, branch),
      tipOf(root, inPlace.branch),
      this.#ownership.leaving(inPlace, this.#claimed, files === 'move'),
      this.#ownership.isMadeHere(inPlace, head),
    ]);
    const stashes = await this.#shelving.stashesOf(branch, names);
    const writers = await this.#ownership.writers(inPlace.branch, set.leaving);
    const decision = decide({
      head: branch,
      inPlace: inPlace.branch,
      earlierNames: names,
      inPlaceExists: exists !== null,
      follow,
      files: set.leaving.length + set.gone.length,
      stashed: stashes.length > 0,
      madeHere,
      writers,
      unclear: this.#unattended && files === undefined && set.unknown.length > 0,
    });
    await this.#leaveRuns(inPlace, branch);
    switch (decision) {
      case 'nothing':
        return { state: 'inPlace' };
      case 'record':
        this.#keepFiles(branch);
        await this.#setInPlace(branch, head.commit);
        return { state: 'again' };
      case 'rename':
        for (const entry of this.#shelving.entriesOf([inPlace.branch])) entry.update({ branch });
        this.#keepFiles(branch);
        await this.#setInPlace(branch, head.commit);
        return { state: 'again' };
      case 'ask':
        this.#tellOnce(
          'askFollow',
          `${counted(set.leaving.length, 'checkpoint file')} of ${inPlace.branch} in the tree: should such files follow the branch when it is switched? Until that is answered nothing moves.`,
        );
        return {
          state: 'ask',
          reason: `${counted(set.leaving.length, 'file')} of ${inPlace.branch} stay until it is said whether files follow branches`,
        };
      case 'unclear':
        return {
          state: 'unclear',
          reason: `HEAD moved from ${inPlace.branch} to ${branch} while nobody looked, and ${listed(set.unknown.map((file) => shown(file.path)))} changed since`,
        };
      case 'wait':
        // Whoever is waited for goes on writing these: they stay this branch's.
        for (const { path } of set.leaving) this.#claimed.add(path);
        for (const run of this.#setup.runs.live()) if (run.branch === inPlace.branch) this.#waitedFor.add(run.id);
        this.#tellOnce(
          'switchWaits',
          `The files of ${inPlace.branch} stay until these have ended or paused: ${writers.join(', ')}.`,
        );
        return { state: 'waiting', reason: writers.join(', ') };
      case 'branchOff': {
        await this.#shelving.keepCopies(inPlace, exists, set, branch);
        this.#keepFiles(branch);
        await this.#setInPlace(branch, head.commit);
        return { state: 'again' };
      }
      case 'swap': {
        if (files === 'stay') {
          this.#keepFiles(branch);
          await this.#setInPlace(branch, head.commit);
          return { state: 'again' };
        }
        const movedOut = await this.#shelving.shelve(inPlace, exists, set);
        // HEAD may have gone back meanwhile: the next round looks again, and puts back what has just left.
        if (this.#head!.isCurrent()) await this.#setInPlace(branch, head.commit);
        const late = set.late.map(({ path }) => shown(path));
        if (late.length > 0)
          tell('switched', `${listed(late)} appeared after HEAD had moved to ${branch}, and stayed as its own.`);
        return { state: 'again', movedOut, late };
      }
    }
  }

  /** HEAD is on the branch in place: whatever of it is still away comes back. */
  async #bringBack(inPlace: InPlace, head: Head): Promise<Step> {
    const { movedIn, conflicts } = await this.#shelving.bringBack(inPlace.branch);
    if (inPlace.tip !== head.commit) await this.#setInPlace(inPlace.branch, head.commit);
    this.#told = '';
    await this.#returnToRuns(inPlace.branch);
    return { state: 'inPlace', movedIn, conflicts };
  }

  // ---- runs ----

  /** HEAD has left the branch of these runs: they go on, or pause if the project says so. */
  async #leaveRuns(inPlace: InPlace, to: string): Promise<void> {
    const { runs } = this.#setup;
    const here = runs.live().filter(({ branch }) => branch === inPlace.branch);
    if (here.length === 0) return;
    const { onBranchSwitch } = await this.#ownership.policyOf(inPlace);
    for (const run of here) {
      await runs.codeMoved(run.id, to);
      const paused = this.#record.paused();
      const known = paused[inPlace.branch]?.runs ?? [];
      // A plain command cannot save when asked: pausing it is for a person to say.
      if (onBranchSwitch !== 'pause' || run.writesFiles || known.includes(run.id)) continue;
      await runs.pause(run.id);
      this.#record.setPaused({ ...paused, [inPlace.branch]: { runs: [...known, run.id], left: false } });
    }
  }

  /** What was paused for a switch that did not happen goes on; after one that did, it is offered. */
  async #returnToRuns(branch: string): Promise<void> {
    const { [branch]: entry, ...others } = this.#record.paused();
    if (!entry) return;
    const { runs, tell } = this.#setup;
    this.#record.setPaused(others);
    for (const run of entry.runs) {
      if (!entry.left) await runs.resume(run);
      else tell('canResume', `A run of ${branch} was paused when HEAD left it, and can go on.`, run);
    }
  }

  // ---- records ----

  async #setInPlace(branch: string, tip: string | null): Promise<void> {
    const { root } = this.#setup;
    const branches = await localBranches(root);
    const before = this.#record.inPlace()?.branch;
    if (before !== branch) this.#claimed.clear();
    const paused = this.#record.paused();
    if (before !== undefined && before !== branch && paused[before])
      this.#record.setPaused({ ...paused, [before]: { ...paused[before], left: true } });
    this.#record.setInPlace({ branch, tip, seenAt: Date.now(), branches });
  }

  /** The files in place are the new branch's from now on. */
  #keepFiles(branch: string): void {
    const files = this.#record.files();
    if (files.size > 0) this.#record.setFiles(files, branch);
  }

  #tryLater(): void {
    if (this.#retry || this.#disposed) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.sync();
    }, 2_000);
    this.#retry.unref();
  }

  #tellMoved(from: string, to: string | null, { movedOut, movedIn }: { movedOut: number; movedIn: number }): void {
    const parts = [
      movedOut > 0 ? `${counted(movedOut, 'file')} of ${from} stashed` : '',
      movedIn > 0 ? `${counted(movedIn, 'file')} of ${to} back in place` : '',
    ].filter(Boolean);
    if (parts.length > 0) this.#setup.tell('switched', `${parts.join(', ')}.`);
  }

  #tellOnce(code: BranchNotice, text: string): void {
    if (this.#told === text) return;
    this.#told = text;
    this.#setup.tell(code, text);
  }

  #result(
    state: SyncResult['state'],
    reason: string,
    total: Pick<SyncResult, 'movedOut' | 'movedIn' | 'late' | 'conflicts'>,
  ): SyncResult {
    return { state, reason, branch: this.head.branch, inPlace: this.#record.inPlace()?.branch ?? null, ...total };
  }
}

interface Step extends Partial<Pick<SyncResult, 'movedOut' | 'movedIn' | 'late' | 'conflicts' | 'reason'>> {
  state: SyncResult['state'] | 'again';
}
