/** Worktrees of one project: files that follow branches, and the runs that prevent moving them. */
import { readFileSync } from 'node:fs';
import type { Notice, Run } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import type { SyncResult } from '../../protocol/messages/branch.ts';
import { declaredLinks } from '../branches/links.ts';
import type { BranchPolicy } from '../branches/ownership.ts';
import { fromText } from '../branches/paths.ts';
import type { BranchNotice } from '../branches/reasons.ts';
import { Stashes } from '../branches/stashes.ts';
import { Worktree } from '../branches/worktree.ts';
import { configPath, parseConfig } from './config.ts';
import type { ProjectContext } from './context.ts';
import type { Barrier } from './launch/launching.ts';
import type { Runs } from './runs.ts';

const LEVELS: Record<BranchNotice, Notice['level']> = {
  switched: 'info',
  canResume: 'info',
  stashOffered: 'info',
  askFollow: 'warning',
  switchWaits: 'warning',
  vanished: 'warning',
  replaced: 'warning',
  switchFailed: 'error',
};

const NOTHING: SyncResult = {
  state: 'inPlace',
  branch: null,
  inPlace: null,
  reason: '',
  movedOut: 0,
  movedIn: 0,
  late: [],
  conflicts: [],
};

export class Worktrees implements Barrier {
  readonly stashes: Stashes;
  readonly #context: ProjectContext;
  readonly #runs: () => Runs;
  readonly #open = new Map<string, Promise<Worktree | null>>();

  /** Takes `runs` as a function: the two need each other, and it is called only once both exist. */
  constructor(context: ProjectContext, runs: () => Runs) {
    this.#context = context;
    this.#runs = runs;
    const { place, store, branches } = context;
    const git = branches && { known: branches, common: branches.directories.common };
    const links = (root: string) => declaredLinks(root, policyOf(configIn(root)).files);
    this.stashes = new Stashes({ storePath: place.store, store, git, links });
  }

  /** Opens a worktree and follows its HEAD from now on. Null without git. */
  at(root: string): Promise<Worktree | null> {
    // A store that was made elsewhere says where files go: it must not move any.
    if (!this.#context.branches || !this.#context.isOurs()) return Promise.resolve(null);
    let opening = this.#open.get(root);
    if (!opening) {
      opening = this.#start(root);
      this.#open.set(root, opening);
      // The next caller retries a worktree that could not be opened.
      opening.then(
        (worktree) => worktree ?? this.#open.delete(root),
        () => this.#open.delete(root),
      );
    }
    return opening;
  }

  /** Returns the writers that a due switch waits for; null: none is due, or the worktree is not open. */
  async waitsFor(root: string): Promise<string | null> {
    return (await this.#open.get(root)?.catch(() => null))?.waitsFor ?? null;
  }

  async sync(root: string, files?: 'move' | 'stay'): Promise<SyncResult> {
    return (await (await this.at(root))?.sync(files)) ?? NOTHING;
  }

  /** Completes whatever is due in any worktree, so that the list of stashes is current. */
  async settle(root: string): Promise<void> {
    await this.at(root);
    const open = await Promise.all([...this.#open.values()].map((opening) => opening.catch(() => null)));
    await Promise.all(open.map((worktree) => worktree?.settle()));
  }

  async follow(root: string, follow: boolean): Promise<SyncResult> {
    return (await (await this.at(root))?.follow(follow)) ?? NOTHING;
  }

  async before(root: string, usesFiles: boolean): Promise<void> {
    const { state, inPlace, reason, branch } = await this.sync(root);
    if (state !== 'waiting' || !usesFiles) return;
    throw new TrainstashError(
      'switchWaiting',
      `The files in the tree still belong to ${inPlace}, because ${reason} may write into them; ${branch} would be trained on the wrong files. Nothing was started. Pause or stop the writer first, or wait until it has ended.`,
      { inPlace: inPlace ?? '', writers: [reason] },
    );
  }

  ended(root: string, run: Run): void {
    void this.#open.get(root)?.then((worktree) => worktree?.runEnded(run));
  }

  wrote(root: string, run: string, paths: readonly string[]): void {
    void this.#open
      .get(root)
      ?.then((worktree) => worktree?.recordWritten(run, paths.map(fromText)))
      .catch((error: Error) => this.#context.log(`${root}: ${error.message}`));
  }

  /** Restores and drops, while nothing else moves files. */
  async exclusively<T>(root: string, work: (stashes: Stashes) => Promise<T>): Promise<T> {
    const worktree = await this.at(root);
    return worktree ? worktree.exclusively(() => work(this.stashes)) : work(this.stashes);
  }

  /** Forgets stored files that no worktree and no stash needs any more. */
  async tidy(emptyTrash: boolean): Promise<void> {
    const open = (await Promise.all(this.#open.values())).filter((worktree) => worktree !== null);
    const tidy = () =>
      this.stashes.tidy(
        open.flatMap((worktree) => worktree.neededFiles()),
        emptyTrash,
      );
    // No worktree may save a file meanwhile: one that is stored but not yet recorded would be forgotten.
    await open.reduce((work, worktree) => () => worktree.exclusively(work), tidy)();
  }

  /** Frees the space of stashed copies that the store has as well. */
  async evict(root: string): Promise<number> {
    return this.exclusively(root, (stashes) => Promise.resolve(stashes.evict()));
  }

  async dispose(): Promise<void> {
    const open = await Promise.all([...this.#open.values()].map((opening) => opening.catch(() => null)));
    await Promise.all(open.map((worktree) => worktree?.dispose()));
  }

  async #start(root: string): Promise<Worktree | null> {
    const { place, store, log, announce, branches, isWhole } = this.#context;
    if (!branches) return null;
    return Worktree.open({
      root,
      storePath: place.store,
      store,
      known: branches,
      isWhole,
      log,
      policy: policyOf,
      headMoved: () => {
        announce.project(root);
        this.#runs().headMoved();
      },
      waitsChanged: () => announce.project(root),
      notify: (code, text, run) => {
        const notice = { code, level: LEVELS[code], text, step: null, at: Date.now() };
        log(`${root}: ${text}`);
        if (run === undefined) announce.notice(null, notice);
        else void store.findRun(run).then((found) => announce.notice(found, notice));
      },
      runs: {
        live: () =>
          this.#runs()
            .liveAt(root)
            .map(({ run: { id, name, branchId, startedAt, createdAt }, writesFiles }) => ({
              id,
              name,
              branchId,
              startedAt: startedAt ?? createdAt,
              writesFiles,
            })),
        wroteUntil: (branchId) => this.#runs().wroteUntil(root, branchId),
        // Only the user can accept what a pause would lose.
        pause: async (id) =>
          void (await this.#runs()
            .requests.pause(id)
            .catch((error) => {
              if (!isError(error, 'pauseLoses')) throw error;
            })),
        codeMoved: (id, to) => this.#runs().codeMoved(id, to),
        // Not awaited: before its launch the run asks this worktree whether its files are in place, and the worktree is
        // busy until then.
        resume: async (id) =>
          void this.#runs()
            .resumeAgain(id, root)
            .catch((error: Error) => log(`${root}: a run was not resumed: ${error.message}`)),
      },
    });
  }
}

function configIn(root: string): string | null {
  try {
    return readFileSync(configPath(root), 'utf8');
  } catch {
    return null;
  }
}

/** Parses the branch policy. An unreadable file declares nothing, so nothing moves. */
function policyOf(text: string | null): BranchPolicy {
  try {
    const { branches, jobs } = parseConfig('trainstash.json', text ?? '{}');
    const files = [...branches.files, ...[...jobs.values()].flatMap((job) => job.files)];
    return { files, onBranchSwitch: branches.onBranchSwitch };
  } catch {
    return { files: [], onBranchSwitch: 'continue' };
  }
}
