/**
 * Takes the checkpoints that a script saves by itself: each once, when its files are stable and complete. It never
 * takes files from before the run. A file that arrives late completes its checkpoint. A checkpoint that lacks a part
 * present in others of its series is marked, so that a resume does not start from it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../protocol/ids.ts';
import { toWireNumbers } from '../protocol/numbers.ts';
import { blankCheckpointFile } from '../protocol/records.ts';
import type { CheckpointFile, LaunchCommand } from '../protocol/session.ts';
import { OWN_FOLDER, type SessionDirectory } from '../session/directory.ts';
import {
  checkpointName,
  type FoundState,
  type Group,
  type GroupFile,
  groupFiles,
  isNumbered,
  newest,
  rolesOf,
  stateOf,
} from '../session/groups.ts';
import { factsOfName, isCheckpointFolder, type NameFacts } from '../session/names.ts';
import { POINTER_BYTES, pointerText } from '../session/pointers.ts';
import type { FileGrade } from './classify.ts';
import type { LoggedStep } from './content-facts.ts';
import { missingIn } from './folders.ts';
import { FileChanged, handOver, type Written } from './hand-over.ts';
import { type Label, type Labelled, Labels } from './labels.ts';
import type { Looker } from './looker.ts';
import { Parts } from './parts.ts';
import type { Progress } from './progress.ts';
import { SeenFiles, type TakenGroup } from './seen.ts';

/** A file that has not changed for this long counts as written. */
const STILL_MS = 2_000;
/** The grace period for missing parts, in series whose names are numbered. */
const PARTNER_MS = 10_000;

export interface CollectorSetup {
  directory: SessionDirectory;
  root: string;
  command: LaunchCommand;
  environment: Record<string, string>;
  /** The checkpoint that this session resumed from. */
  parent: string | null;
  /** Scans folders and inspects files in another process. */
  looker: Pick<Looker, 'look' | 'firstIncomplete' | 'gradeOf'>;
  progress: Progress;
  taken(facts: CheckpointFile, grade: FileGrade): void;
  /**
   * Receives the log history from the trainer's own file, before its checkpoint is taken. `time`: when that file was
   * written.
   */
  logged(history: readonly LoggedStep[], time: number): void;
  notice(code: string, text: string): void;
}

/** The files that form one checkpoint. */
interface Found {
  group: Group;
  labelled: Labelled;
  grade: FileGrade;
  names: NameFacts[];
  /** The parts that other checkpoints of the series have. */
  lacks: string[];
}

export interface ScanResult {
  /** Milliseconds until something may be ready to take; null: nothing is waiting. */
  soonestMs: number | null;
  /** Processor time, roughly. */
  tookMs: number;
}

export class Collector {
  readonly #setup: CollectorSetup;
  readonly #seen: SeenFiles;
  readonly #parts: Parts;
  readonly #labels: Labels;
  /** Names that no text can hold, of files and folders from before the session. */
  #unnameableBefore: ReadonlySet<string> = new Set();
  /** Checkpoints whose step may be corrected by output that is printed later. */
  readonly #unsettled = new Map<string, Found>();
  /**
   * States in which groups were found incomplete, with the time. A file that is being rewritten can show its new size with its
   * old time, so that its age alone does not say that nobody writes it.
   */
  readonly #incomplete = new Map<string, { state: string; since: number }>();
  readonly #notified = new Set<string>();
  readonly #notAfter: number;
  readonly #startedAt = Date.now();
  /** True after the session has ended, when another process has scanned its files before. */
  readonly #isAfterSession: boolean;
  #parent: string | null;
  #taken = 0;

  /**
   * `after`: set when the session is over and another process has scanned its files before; files newer than `notAfter`
   * do not belong to the session.
   */
  constructor(setup: CollectorSetup, after: { notAfter: number } | null = null) {
    this.#setup = setup;
    this.#notAfter = after?.notAfter ?? Number.POSITIVE_INFINITY;
    this.#isAfterSession = after !== null;
    this.#parent = setup.parent;
    this.#parts = new Parts(setup.command.parts);
    this.#labels = new Labels(setup.progress);
    this.#seen = new SeenFiles(setup.directory.file('files'));
  }

  /** Records the existing files; call it before the command starts, since they do not belong to the run. */
  async begin(): Promise<void> {
    const { files, unnameable } = await this.#setup.looker.look();
    this.#unnameableBefore = new Set(unnameable);
    this.#seen.begin([...files.values()]);
  }

  /** True if the files from before the session are known; without them nothing can be taken. */
  get knowsEarlierFiles(): boolean {
    return this.#seen.isComplete;
  }

  /** `ended`: the script has ended, so files need not be stable first. Rejects with InspectionFailed. */
  async look(ended: boolean): Promise<ScanResult> {
    const { files: found, truncated, unnameable, tookMs } = await this.#setup.looker.look();
    if (truncated)
      this.#notifyOnce(
        'manyFolders',
        'The project has too many folders to scan. Name the checkpoint files with "checkpoints" in the job.',
      );
    const nameless = unnameable.find((path) => !this.#unnameableBefore.has(path));
    if (nameless !== undefined)
      this.#notifyOnce(
        'unnameable',
        `A file or folder was not kept, since its name is not UTF-8: ${nameless}. Name it otherwise in the script.`,
      );
    const files = [...found.values()].filter(({ mtimeMs }) => mtimeMs <= this.#notAfter);
    // The first scan failed: files older than the run do not belong to it.
    if (!this.#seen.isComplete && !this.#isAfterSession)
      this.#seen.begin(files.filter(({ mtimeMs }) => mtimeMs < this.#startedAt));
    const isNew = (file: FoundState) => !this.#seen.has(file);
    const groups = files.some(isNew) ? groupFiles(files) : [];
    let soonestMs: number | null = null;
    for (const group of groups.filter((one) => one.files.some(isNew))) {
      const waitMs = await this.#lookAt(group, groups, ended);
      if (waitMs !== null) soonestMs = Math.min(soonestMs ?? waitMs, waitMs);
    }
    for (const [key, found] of this.#unsettled) await this.#labelAgain(key, found, ended);
    this.#seen.write();
    return { soonestMs, tookMs };
  }

  /** Returns how long to wait for the group; null: it is done. */
  async #lookAt(group: Group, groups: readonly Group[], ended: boolean): Promise<number | null> {
    const quietMs = Date.now() - newest(group);
    if (!ended && quietMs < STILL_MS) return STILL_MS - quietMs;
    const isLast = !groups.some((other) => other.series === group.series && newest(other) > newest(group));
    const problem = missingIn(group, groups) ?? (await this.#problemOf(group));
    if (problem !== null) {
      // The script is still writing it, or will write it again.
      if (!ended && (isLast || this.#incompleteFor(group) < STILL_MS)) return STILL_MS;
      this.#notifyOnce(group.key, `${nameOf(group.files)} was not taken in: ${problem}. The original is unchanged.`);
      for (const file of group.files) this.#seen.add(file);
      return null;
    }
    const { files, completes, lacks } = this.#choose(group);
    const mayComeMs = PARTNER_MS - quietMs;
    if (lacks.length > 0 && isNumbered(group) && isLast && !ended && mayComeMs > 0) return mayComeMs;
    await this.#take(group, files, completes, lacks, ended);
    return null;
  }

  /** Returns the time in milliseconds for which a group has been incomplete without a change. */
  #incompleteFor({ key, files }: Group): number {
    const state = files.map((file) => `${file.path} ${stateOf(file)}`).join('\n');
    const known = this.#incomplete.get(key);
    if (known?.state === state) return Date.now() - known.since;
    this.#incomplete.set(key, { state, since: Date.now() });
    return 0;
  }

  async #problemOf({ files, least }: Group): Promise<string | null> {
    if (files.length < least) return `only ${files.length} of its ${least} files exist`;
    const broken = await this.#setup.looker.firstIncomplete(
      files.map(({ path, bytes }) => ({ path: this.#at(path), name: path, bytes })),
    );
    if (broken === null) return null;
    const file = files[broken]!;
    return `${nameOf([file])} ${file.bytes === 0 ? 'is empty' : 'is truncated'}`;
  }

  /**
   * Chooses the files of a group that form one checkpoint, and finds the taken checkpoint that they complete, if any.
   */
  #choose({ key, series, files }: Group): { files: GroupFile[]; completes: TakenGroup | null; lacks: string[] } {
    const fresh = files.filter((file) => !this.#seen.has(file));
    const before = this.#seen.taken(key);
    const isUnchanged = (states: Record<string, string>) => (file: GroupFile) => states[file.path] === stateOf(file);
    const same = before ? files.filter(isUnchanged(before.files)) : [];
    if (before && same.length === Object.keys(before.files).length)
      return {
        files: [...same, ...fresh],
        completes: before,
        lacks: this.#parts.lacking(series, rolesOf([...same, ...fresh])),
      };
    // Part of the group was written again: unchanged files whose role is not among the missing ones belong to the
    // checkpoint before.
    const lacks = this.#parts.lacking(series, rolesOf(fresh));
    const old = before ? files.filter(isUnchanged({ ...before.older, ...before.files })) : [];
    const unchanging = old.filter(({ role }) => role === null || !lacks.includes(role));
    return { files: [...unchanging, ...fresh], completes: null, lacks };
  }

  async #take(
    group: Group,
    files: readonly GroupFile[],
    completes: TakenGroup | null,
    lacks: string[],
    ended: boolean,
  ): Promise<void> {
    const grade = await this.#setup.looker.gradeOf(files.map(({ path }) => this.#at(path)));
    const names = files.map(({ path }) => factsOfName(path));
    const what: Labelled = { ...group, time: newest({ files }), content: grade, name: together(names) };
    if (grade.history.length > 0) this.#setup.logged(grade.history, what.time);
    const label = this.#labels.of(what, ended);
    // A late file belongs to the same moment, whatever was printed since.
    const moment = completes && !label.own ? { ...label, step: completes.step, epoch: completes.epoch } : label;
    const found: Found = { group: { ...group, files: [...files] }, labelled: what, grade, names, lacks };
    if (!(await this.#publish(found, moment, completes))) return;
    for (const file of group.files) this.#seen.add(file);
    if (completes) this.#parts.recordCompleted(group.series, rolesOf(files));
    else this.#parts.recordTaken(group.series, rolesOf(files));
    if (lacks.length > 0 && (ended || isNumbered(group)))
      this.#notifyOnce(
        `${group.key}?`,
        `${nameOf(files)} was taken in without ${lacks.join(', ')}, which earlier checkpoints have. A resume starts from the newest complete one.`,
      );
  }

  /** Returns false if a file was written again meanwhile or the disk refused the write; the next look tries again. */
  async #publish(found: Found, label: Label, replaces: TakenGroup | null): Promise<boolean> {
    const { group, grade, names, lacks } = found;
    const { directory, progress, environment } = this.#setup;
    const id = randomId();
    const name = `${String(label.step).padStart(9, '0')}-${String(++this.#taken).padStart(6, '0')}-${id}`;
    const parent = replaces ? replaces.parent : this.#parent;
    const facts: Omit<CheckpointFile, 'files'> = {
      ...blankCheckpointFile(id, directory.id, label.step, replaces?.at ?? Date.now()),
      epoch: label.epoch,
      reasons: ['file', ...new Set(names.flatMap(({ reasons }) => reasons))],
      grade: grade.grade,
      missing: grade.missing,
      ingredients: grade.ingredients,
      lacks,
      replaces: replaces?.id ?? null,
      parent,
      metrics: toWireNumbers({
        ...label.metrics,
        ...Object.assign({}, ...names.map(({ metrics }) => metrics).reverse()),
      }),
      environment,
      place: group.place,
    };
    const inside = ({ path }: GroupFile) => (group.place === '' ? path : path.slice(group.place.length + 1));
    const sources = group.files.map((file) => ({ place: this.#at(file.path), name: inside(file), state: file }));
    try {
      const published = await handOver(directory, name, facts, sources, await this.#pointerOf(group));
      this.#remember(group, published, replaces);
      if (!label.settled) this.#unsettled.set(group.key, found);
      else this.#unsettled.delete(group.key);
      progress.recordFile(label, label.own);
      this.#setup.taken(published, grade);
      return true;
    } catch (error) {
      if (!(error instanceof FileChanged))
        this.#notifyOnce(
          `${group.key}!`,
          `${nameOf(group.files)} could not be taken in (${(error as Error).message}). The original is unchanged.`,
        );
      return false;
    }
  }

  /** Returns the pointer file, in the form that names this checkpoint. */
  async #pointerOf({ pointer, ...group }: Group): Promise<Written[]> {
    if (pointer === null || pointer.bytes > POINTER_BYTES) return [];
    const text = await readFile(this.#at(pointer.path), 'utf8').catch(() => '');
    const name = pointer.path.slice(pointer.path.lastIndexOf('/') + 1);
    return [{ name, text: pointerText(pointer.path, text, checkpointName(group)) }];
  }

  #remember(
    { key, files }: Group,
    { id, step, epoch, parent, createdAt }: CheckpointFile,
    replaces: TakenGroup | null,
  ) {
    const before = this.#seen.taken(key);
    const older = replaces ? replaces.older : { ...before?.older, ...before?.files };
    this.#seen.recordTaken({
      key,
      id,
      parent,
      step,
      epoch,
      at: createdAt,
      files: Object.fromEntries(files.map((file) => [file.path, stateOf(file)])),
      older,
    });
    if (!replaces || replaces.id === this.#parent) this.#parent = id;
  }

  /** Corrects the label if output printed since then gives another step or epoch. */
  async #labelAgain(key: string, found: Found, ended: boolean): Promise<void> {
    const taken = this.#seen.taken(key);
    const label = this.#labels.of(found.labelled, ended);
    if (taken && label.printed && (label.step !== taken.step || label.epoch !== taken.epoch))
      await this.#publish(found, label, taken);
    if (label.settled) this.#unsettled.delete(key);
  }

  /** Returns an absolute path. */
  #at(path: string): string {
    const { root, command } = this.#setup;
    return path.startsWith(`${OWN_FOLDER}/`) ? join(command.dir, path.slice(OWN_FOLDER.length + 1)) : join(root, path);
  }

  #notifyOnce(key: string, text: string): void {
    if (this.#notified.has(key)) return;
    this.#notified.add(key);
    this.#setup.notice('files', text);
  }
}

/** Combines the facts of several names; for each fact the first name that states it counts. */
function together(names: readonly NameFacts[]): NameFacts {
  const first = <T>(pick: (facts: NameFacts) => T | null): T | null =>
    names.map(pick).find((value) => value !== null) ?? null;
  return {
    step: first((facts) => facts.step),
    epoch: first((facts) => facts.epoch),
    number: first((facts) => facts.number),
    metrics: {},
    reasons: [],
  };
}

/** Names the checkpoint's folder, or else its files. */
function nameOf(files: readonly FoundState[]): string {
  const parts = files[0]!.path.split('/');
  const folder = parts.slice(0, -1).findIndex(isCheckpointFolder);
  if (folder >= 0 && files.length > 1) return `${parts.slice(0, folder + 1).join('/')}/`;
  const names = files.map(({ path }) => path);
  return names.length <= 2 ? names.join(' and ') : `${names[0]} and ${names.length - 1} more files`;
}
