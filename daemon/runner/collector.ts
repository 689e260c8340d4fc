/**
 * Takes the checkpoints that a script saves by itself: each once, when its files are complete and still. What was there
 * before the run is never taken. A file is handed over as a link, so that a script that deletes its older ones loses none.
 */
import { constants, copyFileSync, linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import picomatch from 'picomatch';
import { randomId } from '../../protocol/ids.ts';
import { toWireNumbers } from '../../protocol/numbers.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE, type CheckpointFile, type LaunchCommand } from '../../protocol/session.ts';
import { OWN_FOLDER, type SessionDirectory } from '../sessions/directory.ts';
import { syncDirectory, writeJson } from '../store/files.ts';
import { isWholeFile } from '../store/whole-file.ts';
import { gradeOf } from './grade.ts';
import { type FoundState, type Group, groupFiles, newest } from './groups.ts';
import { factsOfName, isCheckpointFolder, looksLikeCheckpoint } from './names.ts';
import type { Moment } from './progress.ts';
import { findState, Tree } from './tree.ts';

/** A file that has not changed for this long counts as written. */
const STILL_MS = 2_000;
/** A first checkpoint of several parts may take this long to get its other ones. */
const PARTNER_MS = 10_000;

export interface CollectorSetup {
  directory: SessionDirectory;
  root: string;
  command: LaunchCommand;
  environment: Record<string, string>;
  /** The checkpoint resumed from. */
  parent: string | null;
  /** What was known when a file got its time, for files whose names tell nothing. */
  progress(time: number, epoch: number | null, step: number | null): Moment;
  taken(facts: CheckpointFile): void;
  notice(code: string, text: string): void;
}

export class Collector {
  readonly #setup: CollectorSetup;
  readonly #trees: Tree[];
  #folders = { root: '', dir: '' };
  /** What each file was when it was taken, or when the run began: it is taken again only as something else. */
  readonly #done = new Map<string, string>();
  /** Parts that groups of a series have had. */
  readonly #roles = new Map<string, Set<string>>();
  readonly #said = new Set<string>();
  #parent: string | null;
  #taken = 0;

  constructor(setup: CollectorSetup) {
    this.#setup = setup;
    this.#parent = setup.parent;
    const { checkpoints } = setup.command;
    const fits = checkpoints.map((pattern) =>
      picomatch(picomatch.scan(pattern).glob === '' ? `${pattern.replace(/\/+$/, '')}{,/**}` : pattern, { dot: true }),
    );
    const starts = checkpoints.map((pattern) => {
      const { base, glob } = picomatch.scan(pattern);
      const plain = base.replace(/\/+$/, '');
      // A plain name may be a file: its folder is looked at.
      return glob === ''
        ? plain.includes('/')
          ? plain.slice(0, plain.lastIndexOf('/'))
          : ''
        : plain === '.'
          ? ''
          : plain;
    });
    this.#folders = { root: setup.root, dir: setup.command.dir };
    const project = new Tree({
      root: setup.root,
      starts: starts.length > 0 ? starts : [''],
      wants: (path) => (fits.length > 0 ? fits.some((fit) => fit(path)) : isOfInterest(path)),
    });
    // The run's own folder: everything in it was written by this run.
    const own = new Tree({ root: setup.command.dir, starts: [''], wants: isOfInterest });
    this.#trees = [project, own];
    for (const file of this.#lookAtFiles()) this.#done.set(file.path, stateOf(file));
  }

  /** `ended`: nobody writes any more, so that nothing needs to lie still. */
  look(ended: boolean): void {
    const files = this.#lookAtFiles();
    if (this.#trees.some(({ truncated }) => truncated))
      this.#say(
        'manyFolders',
        'The project has more folders than are looked at: name its files with "checkpoints" in the job.',
      );
    const groups = groupFiles(files).filter(({ files }) =>
      files.some((file) => this.#done.get(file.path) !== stateOf(file)),
    );
    for (const group of groups) {
      const state = this.#stateOf(group, ended, groups);
      if (state === 'wait') continue;
      if (state === 'whole') this.#take(group);
      else if (state === 'incomplete')
        this.#say(
          group.key,
          `${group.key} was not kept: parts of it are missing or broken off (${missingOf(group, this.#roles.get(group.series))}).`,
        );
      if (state !== 'gone') for (const file of group.files) this.#done.set(file.path, stateOf(file));
    }
  }

  #lookAtFiles(): FoundState[] {
    const [project, own] = this.#trees as [Tree, Tree];
    return [...project.look(), ...own.look().map((file) => ({ ...file, path: `${OWN_FOLDER}/${file.path}` }))];
  }

  /** Absolute. */
  #at(path: string): string {
    const { root, dir } = this.#folders;
    return path.startsWith(`${OWN_FOLDER}/`) ? join(dir, path.slice(OWN_FOLDER.length + 1)) : join(root, path);
  }

  #stateOf(group: Group, ended: boolean, groups: readonly Group[]): 'wait' | 'whole' | 'incomplete' | 'gone' {
    const roles = this.#roles.get(group.series);
    const complete =
      group.files.length >= group.least && [...(roles ?? [])].every((role) => group.roles.includes(role));
    const next = groups.some(
      (other) => other !== group && other.series === group.series && newest(other) > newest(group),
    );
    const quietMs = Date.now() - newest(group);
    if (!complete) return ended || (next && quietMs > STILL_MS) ? 'incomplete' : 'wait';
    const lonely = roles === undefined && group.roles.length === 1 && group.least === 1 && !next;
    if (!ended && quietMs < (lonely ? PARTNER_MS : STILL_MS)) return 'wait';
    const whole = group.files.every(({ path, bytes }) => isWholeFile(this.#at(path), path, bytes));
    // Half written: its writer goes on, or another write will follow.
    return whole ? 'whole' : ended || next ? 'incomplete' : 'wait';
  }

  #take(group: Group): void {
    const { directory, progress } = this.#setup;
    const id = randomId();
    const names = group.files.map(({ path }) => factsOfName(path));
    const first = <T>(pick: (facts: (typeof names)[number]) => T | null): T | null =>
      names.map(pick).find((value) => value !== null) ?? null;
    const epoch = first((facts) => facts.epoch);
    const named = first((facts) => facts.step);
    const known = progress(newest(group), epoch, named);
    // Where nothing counts steps, epochs do; where nothing counts at all, the checkpoints themselves do.
    const step = named ?? (known.counted ? known.step : (epoch ?? known.step + 1));
    const metrics = { ...known.metrics, ...Object.assign({}, ...names.map((facts) => facts.metrics).reverse()) };
    const name = `${String(step).padStart(9, '0')}-${String(++this.#taken).padStart(6, '0')}-${id}`;
    const temporary = join(directory.file('inbox'), `.tmp-${name}`);
    try {
      const files = group.files.map((file) => {
        const inside = group.place === '' ? file.path : file.path.slice(group.place.length + 1);
        const target = join(temporary, inside);
        mkdirSync(dirname(target), { recursive: true });
        const linked = linkOrCopy(this.#at(file.path), target);
        const now = findState(this.#at(file.path), file.path);
        if (!now || stateOf(now) !== stateOf(file)) throw new Changed();
        return {
          name: inside,
          bytes: file.bytes,
          ...(linked ? { stat: { ino: file.ino, mtimeMs: file.mtimeMs } } : {}),
        };
      });
      const facts: CheckpointFile = {
        ...blankCheckpointFile(id, directory.id, step, Date.now()),
        epoch: epoch ?? known.epoch,
        batch: 0,
        reasons: ['file', ...new Set(names.flatMap(({ reasons }) => reasons))],
        ...gradeOf(group.files.map(({ path }) => this.#at(path))),
        parent: this.#parent,
        metrics: toWireNumbers(metrics),
        environment: this.#setup.environment,
        files,
        place: group.place,
      };
      writeJson(join(temporary, CHECKPOINT_FILE), facts, true);
      syncDirectory(temporary);
      renameSync(temporary, join(directory.file('inbox'), name));
      syncDirectory(directory.file('inbox'));
      this.#parent = id;
      const roles = this.#roles.get(group.series) ?? new Set();
      for (const role of group.roles) roles.add(role);
      this.#roles.set(group.series, roles);
      this.#setup.taken(facts);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      if (!(error instanceof Changed))
        this.#say(
          `${group.key}!`,
          `${group.key} could not be handed over (${(error as Error).message}); it stays where it is.`,
        );
    }
  }

  #say(key: string, text: string): void {
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#setup.notice('files', text);
  }
}

class Changed extends Error {}

/** All of a checkpoint's folder is one checkpoint, whatever the files in it are called. */
function isOfInterest(path: string): boolean {
  const parts = path.split('/');
  return looksLikeCheckpoint(parts.at(-1)!) || parts.slice(0, -1).some(isCheckpointFolder);
}

function stateOf({ ino, bytes, mtimeMs }: FoundState): string {
  return `${ino}/${bytes}/${mtimeMs}`;
}

function missingOf(group: Group, roles: ReadonlySet<string> | undefined): string {
  const absent = [...(roles ?? [])].filter((role) => !group.roles.includes(role));
  if (absent.length > 0) return absent.join(', ');
  return group.files.length < group.least ? `${group.files.length} of ${group.least} files` : 'a file is not whole';
}

/** True: a link. Other file systems, and some without links, get a copy; one that shares its blocks where that can be. */
function linkOrCopy(source: string, target: string): boolean {
  try {
    linkSync(source, target);
    return true;
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    copyFileSync(source, target, constants.COPYFILE_FICLONE);
    return false;
  }
}
