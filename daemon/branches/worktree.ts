/**
 * One worktree and the files in it that follow its branch. Whenever the branch in place is not HEAD's, a switch is due.
 * An event, a start, a poll and `sync` all make the same call, one after another. The two durable facts (branch in
 * place, stashes) show what a crash left half done, and the next call finishes it.
 */

import type { Run } from '../../protocol/domain.ts';
import type { SyncResult } from '../../protocol/messages/branch.ts';
import { counted } from '../../protocol/words.ts';
import { gitUnusable } from '../code/failure.ts';
import { tipOf } from '../code/history.ts';
import { type Head, worktreeName } from '../code/project.ts';
import type { GitDirectories } from '../code/reflog.ts';
import { findRepository } from '../code/repository.ts';
import { type InPlace, readConsent, WorktreeRecord, writeConsent } from './active-branch.ts';
import { decide } from './decide.ts';
import { HeadWatcher } from './head.ts';
import { Ingestion, type IngestionSetup } from './ingest.ts';
import type { KnownBranches } from './known-branches.ts';
import type { FileStore } from './move-files.ts';
import { type BranchPolicy, Ownership, type WorktreeRuns } from './ownership.ts';
import { type RawPath, shown } from './paths.ts';
import { type BranchNotice, listed, movedText, type Notify, unsureText } from './reasons.ts';
import { RunsLeft } from './runs-left.ts';
import { BranchStashes } from './stash.ts';
import { Turns } from './turns.ts';

/** Time without a move before a switch starts: git may move HEAD several times in a row. */
const SETTLE_MS = 150;
const MAX_ROUNDS = 20;

export interface WorktreeSetup {
  root: string;
  storePath: string;
  store: FileStore;
  known: KnownBranches;
  /** Tells whether a file's structure is complete; `name` determines the format. */
  isWhole: IngestionSetup['isWhole'];
  runs: WorktreeRuns;
  /** Parses the branch policy of a trainstash.json; null: there is none, or it cannot be read. */
  policy(text: string | null): BranchPolicy;
  headMoved(head: Head): void;
  /** Reports that a due switch waits for something else than before. */
  waitsChanged(): void;
  /** Notifies the user. */
  notify: Notify;
  log(text: string): void;
}

export class Worktree {
  readonly #setup: WorktreeSetup;
  readonly #record: WorktreeRecord;
  readonly #ownership: Ownership;
  readonly #ingestion: Ingestion;
  readonly #branchStashes: BranchStashes;
  readonly #runsLeft: RunsLeft;
  readonly #head: HeadWatcher;
  readonly #turns: Turns;
  /** HEAD may have moved while the daemon was not running: true until the first look has been settled. */
  #unattended = true;
  #lastNotice = '';
  #waitsFor: string | null = null;
  /** Paths of the branch in place that a switch waits for. */
  readonly #claimed = new Set<RawPath>();
  #retry: NodeJS.Timeout | null = null;
  #settling: NodeJS.Timeout | null = null;
  #disposed = false;

  private constructor(setup: WorktreeSetup, directories: GitDirectories, head: HeadWatcher) {
    // git's name for the worktree, which survives moving its folder.
    const name = worktreeName(directories);
    this.#setup = setup;
    this.#head = head;
    this.#record = new WorktreeRecord(setup.storePath, name);
    const shared = { ...setup, name, directories, record: this.#record };
    this.#ownership = new Ownership({ ...shared, headMovedAt: () => head.movedAt() });
    this.#ingestion = new Ingestion({
      ...shared,
      find: () => this.#ownership.find(),
      links: () => this.#ownership.linksInPlace(),
      branch: () => this.#settledBranch(),
      vanished: (files) => this.#branchStashes.keepVanished(files),
    });
    this.#branchStashes = new BranchStashes({ ...shared, ingestion: this.#ingestion, ownership: this.#ownership });
    this.#turns = new Turns(
      (written) => this.#ingestion.pausedFor(() => this.#ownership.recordWritten(written)),
      (error) => setup.log(`${setup.root}: ${error.message}`),
    );
    this.#runsLeft = new RunsLeft({ ...shared, ownership: this.#ownership });
  }

  /** Opens a worktree; null without a repository. Throws `gitUnusable`. */
  static async open(setup: WorktreeSetup): Promise<Worktree | null> {
    const repository = await findRepository(setup.root);
    if (repository.kind === 'none') return null;
    if (repository.kind === 'failed') throw gitUnusable(repository.failure);
    let worktree: Worktree | undefined;
    const head = await HeadWatcher.start(setup.root, repository.gitDirectory, (moved) => {
      if (worktree) worktree.#onHead(moved);
    });
    worktree = new Worktree(setup, repository, head);
    // This also starts the ingestion: files that a crash left stashed must be back before anything counts as vanished.
    void worktree.sync();
    return worktree;
  }

  /** Names of the writers that a due switch waits for; null: none is due. */
  get waitsFor(): string | null {
    return this.#waitsFor;
  }

  get head(): Head {
    return this.#head.head;
  }

  /** Makes the switch that is due, now. */
  sync(files?: 'move' | 'stay'): Promise<SyncResult> {
    return this.#turns.run(() => this.#sync(files));
  }

  /** Makes the switch that is due, and notices files that git removed or the user changed since the last look. */
  async settle(): Promise<void> {
    await this.sync();
    await this.#turns.run(() => this.#ingestion.lookNow());
  }

  /** Records the answer to the question whether files follow branches here. */
  follow(follow: boolean): Promise<SyncResult> {
    return this.#turns.run(async () => {
      writeConsent(this.#setup.storePath, follow);
      this.#lastNotice = '';
      this.#ingestion.lookAgain();
      return this.#sync();
    });
  }

  /** Handles a run that has ended or paused: a switch may have waited for it. */
  runEnded(run: Pick<Run, 'id' | 'branchId' | 'status' | 'branch'>): void {
    this.#runsLeft.ended(run, run.branch === this.head.branch);
    this.#ingestion.lookAgain();
    void this.sync();
  }

  /** Records that a run wrote these files: they follow the branch in place, declared or not. What is done here later comes after it. */
  async recordWritten(run: string, paths: readonly RawPath[]): Promise<void> {
    await this.#turns.written({ run, paths });
  }

  /** Runs work on stashes while nothing else moves files. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(() => this.#ingestion.pausedFor(work));
  }

  /** Lists the ids of the store's files that this worktree needs. */
  neededFiles(): string[] {
    return [...this.#record.files().values()].flatMap(({ saved }) => saved ?? []);
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const timer of [this.#retry, this.#settling]) if (timer) clearTimeout(timer);
    this.#head.dispose();
    await this.#turns.settled();
    await this.#ingestion.dispose();
    const inPlace = this.#record.inPlace();
    if (!inPlace) return;
    try {
      // The next daemon needs the time to know which changes nobody saw.
      this.#record.setInPlace({ ...inPlace, seenAt: Date.now() });
    } catch (error) {
      this.#setup.log(`${this.#setup.root} was moved or deleted: ${(error as Error).message}`);
    }
  }

  /** Returns the branch in place, if files follow branches here and no switch is due. */
  async #settledBranch(): Promise<string | null> {
    const branch = this.#record.inPlace()?.branch;
    if (branch === undefined || !readConsent(this.#setup.storePath) || !this.#head.isCurrent()) return null;
    return this.head.branch === null || this.head.branch === branch ? branch : null;
  }

  #onHead(head: Head): void {
    this.#setup.headMoved(head);
    if (this.#settling) clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.sync(), SETTLE_MS);
  }

  // ---- the loop ----

  async #sync(files?: 'move' | 'stay'): Promise<SyncResult> {
    const from = this.#nameInPlace() ?? '';
    const total = { movedOut: 0, movedIn: 0, late: [] as string[], conflicts: [] as string[] };
    try {
      for (let round = 0; round < MAX_ROUNDS && !this.#disposed; round++) {
        const head = round > 0 && this.#head.isCurrent() ? this.head : await this.#head.look();
        const step = await this.#step(head, files);
        total.movedOut += step.movedOut ?? 0;
        total.movedIn += step.movedIn ?? 0;
        total.late.push(...(step.late ?? []));
        total.conflicts.push(...(step.conflicts ?? []));
        if (step.state === 'again') continue;
        this.#ingestion.lookAgain();
        this.#setWaitsFor(step.state === 'waiting' ? (step.reason ?? '') : null);
        if (step.state === 'inPlace') {
          this.#unattended = false;
          const moved = movedText(from, head.branch, total);
          if (moved) this.#setup.notify('switched', moved);
        }
        if (step.state === 'waiting') this.#retryLater();
        return this.#result(step.state, step.reason ?? '', total);
      }
      return this.#result('failed', 'HEAD keeps moving', total);
    } catch (error) {
      this.#setup.log(`switching ${this.#setup.root}: ${(error as Error).stack}`);
      const reason = (error as Error).message;
      this.#notifyOnce(
        'switchFailed',
        `The files of a branch could not be moved: ${reason}. No file is lost. Trainstash will try again.`,
      );
      this.#retryLater();
      return this.#result('failed', reason, total);
    }
  }

  #setWaitsFor(waitsFor: string | null): void {
    if (waitsFor === this.#waitsFor) return;
    this.#waitsFor = waitsFor;
    this.#setup.waitsChanged();
  }

  async #step(head: Head, files?: 'move' | 'stay'): Promise<Step> {
    const { known } = this.#setup;
    const { branch } = head;
    if (branch === null) return { state: 'detached' };
    const inPlace = this.#record.inPlace();
    // HEAD has not been written since: its branch was neither switched nor renamed, whatever git's reflogs say.
    if (inPlace?.branch === branch && inPlace.head !== '' && inPlace.head === this.#head.file())
      await known.confirm(inPlace.id, branch);
    else await known.look();
    if (!this.#head.isCurrent() || (await known.isRenaming(branch))) return { state: 'again' };
    // Its reference was deleted, which moves nothing.
    if (inPlace?.branch === branch && inPlace.tip && !known.names().includes(branch)) return { state: 'inPlace' };
    if (inPlace && (await this.#isUnsure(inPlace, branch))) {
      if (files === undefined) return { state: 'unclear', reason: unsureText(branch) };
      if (files === 'stay') await known.confirm(inPlace.id, branch);
    }
    const id = await known.idOf(branch);
    if (!inPlace) {
      await this.#setInPlace(id, head);
      return { state: 'again' };
    }
    return id === inPlace.id ? this.#bringBack(inPlace, head) : this.#switch(inPlace, head, id, files);
  }

  /** Tells whether it is uncertain that HEAD's branch is the one in place, and files would move. */
  async #isUnsure(inPlace: InPlace, branch: string): Promise<boolean> {
    const { known, storePath } = this.#setup;
    const { name, state } = known.find(inPlace.id);
    if (state !== 'unsure' || name !== branch || known.knownId(branch) || !readConsent(storePath)) return false;
    const { leaving, gone } = await this.#ownership.leaving(inPlace, this.#claimed, true);
    return leaving.length + gone.length > 0;
  }

  /** Handles HEAD on another branch than the one in place. */
  async #switch(inPlace: InPlace, head: Head, id: string, files?: 'move' | 'stay'): Promise<Step> {
    const { root, storePath, notify, known } = this.#setup;
    const branch = head.branch!;
    const before = known.find(inPlace.id);
    const [tip, set, madeHere] = await Promise.all([
      before.state === 'there' ? tipOf(root, known.directories, before.name) : null,
      this.#ownership.leaving(inPlace, this.#claimed, files === 'move'),
      this.#ownership.isMadeHere(inPlace, head),
    ]);
    const writers = await this.#ownership.writers(inPlace.id, set.leaving);
    const decision = decide({
      head: id,
      inPlace: inPlace.id,
      follow: readConsent(storePath),
      files: set.leaving.length + set.gone.length,
      stashed: this.#branchStashes.stashesOf(id).length > 0,
      madeHere,
      writers,
      unclear: this.#unattended && files === undefined && set.unknown.length > 0,
    });
    await this.#runsLeft.onLeave(inPlace, branch);
    switch (decision) {
      case 'nothing':
        return { state: 'inPlace' };
      case 'record':
        return this.#handOver(id, head);
      case 'ask':
        this.#notifyOnce(
          'askFollow',
          `${counted(set.leaving.length, 'checkpoint file')} of ${before.name} in the tree: should such files follow the branch when you switch? Nothing moves until you answer.`,
        );
        return {
          state: 'ask',
          reason: `${counted(set.leaving.length, 'file')} of ${before.name} stay until you say whether files follow branches`,
        };
      case 'unclear':
        return {
          state: 'unclear',
          reason: `HEAD moved from ${before.name} to ${branch} while the daemon was not running, and ${listed(set.unknown.map((file) => shown(file.path)))} changed since`,
        };
      case 'wait':
        // The writers go on writing these files: they stay this branch's.
        for (const { path } of set.leaving) this.#claimed.add(path);
        this.#runsLeft.waitFor(inPlace);
        this.#notifyOnce(
          'switchWaits',
          `The files of ${before.name} stay until these have ended or paused: ${writers.join(', ')}.`,
        );
        return { state: 'waiting', reason: writers.join(', ') };
      case 'branchOff':
        await this.#branchStashes.keepCopies(inPlace, tip, set, branch);
        return this.#handOver(id, head);
      case 'swap': {
        if (files === 'stay') {
          await this.#branchStashes.keepCopies(inPlace, tip, this.#ownership.withoutUnknown(set), branch);
          return this.#handOver(id, head);
        }
        const movedOut = await this.#branchStashes.stash(inPlace, tip, set);
        // HEAD may have gone back meanwhile: the next round looks again, and restores what has just left.
        if (this.#head.isCurrent()) await this.#setInPlace(id, head);
        const late = set.late.map(({ path }) => shown(path));
        if (late.length > 0)
          notify('switched', `${listed(late)} appeared after HEAD had moved to ${branch}, and stayed in the tree.`);
        return { state: 'again', movedOut, late };
      }
    }
  }

  /** Handles HEAD on the branch in place: restores every stash that it still has. */
  async #bringBack(inPlace: InPlace, head: Head): Promise<Step> {
    const isAsRecorded = inPlace.branch === head.branch && inPlace.head === this.#head.file();
    // HEAD was on other branches and came back: changes made meanwhile may belong to them.
    if (this.#unattended && !isAsRecorded) this.#branchStashes.keepReplaced(await this.#ownership.replaced());
    const { movedIn, conflicts } = await this.#branchStashes.bringBack(inPlace);
    if (!isAsRecorded || inPlace.tip !== head.commit) await this.#setInPlace(inPlace.id, head);
    this.#lastNotice = '';
    await this.#runsLeft.onReturn(inPlace.id, head.branch!);
    return { state: 'inPlace', movedIn, conflicts };
  }

  // ---- records ----

  async #setInPlace(id: string, { branch, commit: tip }: Head): Promise<void> {
    const { known } = this.#setup;
    // Read first: if HEAD moves meanwhile, its file changes and the next look notices.
    const head = this.#head.file();
    await known.look(true);
    const before = this.#record.inPlace()?.id;
    if (before !== id) this.#claimed.clear();
    if (before !== undefined && before !== id) this.#runsLeft.markLeft(before);
    this.#record.setInPlace({ branch: branch!, id, tip, seenAt: Date.now(), branches: known.signs(), head });
  }

  /** Records that the files in place belong to that branch from now on. */
  async #handOver(id: string, head: Head): Promise<Step> {
    const files = this.#record.files();
    if (files.size > 0) this.#record.setFiles(files, id);
    await this.#setInPlace(id, head);
    return { state: 'again' };
  }

  /** Returns the current name of the branch in place. */
  #nameInPlace(): string | null {
    const inPlace = this.#record.inPlace();
    return inPlace && (this.#setup.known.find(inPlace.id).name || inPlace.branch);
  }

  #retryLater(): void {
    if (this.#retry || this.#disposed) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.sync();
    }, 2_000);
    this.#retry.unref();
  }

  #notifyOnce(code: BranchNotice, text: string): void {
    if (this.#lastNotice === text) return;
    this.#lastNotice = text;
    this.#setup.notify(code, text);
  }

  #result(
    state: SyncResult['state'],
    reason: string,
    total: Pick<SyncResult, 'movedOut' | 'movedIn' | 'late' | 'conflicts'>,
  ): SyncResult {
    return { state, reason, branch: this.head.branch, inPlace: this.#nameInPlace(), ...total };
  }
}

interface Step extends Partial<Pick<SyncResult, 'movedOut' | 'movedIn' | 'late' | 'conflicts' | 'reason'>> {
  state: SyncResult['state'] | 'again';
}
