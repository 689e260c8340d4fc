/**
 * Takes the checkpoints that a script saves by itself: each once, when its files are complete and still. What was there
 * before the run is never taken. A file is handed over as a link, so that a script that deletes its older ones loses none.
 */
import { constants } from 'node:fs';
import { copyFile, link, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomId } from '../../protocol/ids.ts';
import { toWireNumbers } from '../../protocol/numbers.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE, type CheckpointFile, type LaunchCommand } from '../../protocol/session.ts';
import { OWN_FOLDER, type SessionDirectory } from '../sessions/directory.ts';
import { syncDirectoryBeside, writeJsonBeside } from '../store/files.ts';
import { type FoundState, type Group, groupFiles, newest, stateOf } from './groups.ts';
import type { Looker } from './looker.ts';
import { factsOfName } from './names.ts';
import type { Moment } from './progress.ts';
import { findState } from './tree.ts';

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
  /** Looks at files and into them, elsewhere. */
  looker: Pick<Looker, 'look' | 'areWhole' | 'gradeOf'>;
  /** What was known when a file got its time, for files whose names tell nothing. */
  progress(time: number, epoch: number | null, step: number | null): Moment;
  taken(facts: CheckpointFile): void;
  notice(code: string, text: string): void;
}

export class Collector {
  readonly #setup: CollectorSetup;
  readonly #startedAt = Date.now();
  #hasBegun = false;
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
  }

  /** Call before the command starts: what is there then is not its own. Gives the processor time that looking took. */
  async begin(): Promise<number> {
    const { files, tookMs } = await this.#setup.looker.look();
    for (const file of files.values()) this.#done.set(file.path, stateOf(file));
    this.#hasBegun = true;
    return tookMs;
  }

  /** `ended`: nobody writes any more, so that nothing needs to lie still. Gives the processor time that looking took. */
  async look(ended: boolean): Promise<number> {
    const { files, truncated, tookMs } = await this.#setup.looker.look();
    if (truncated)
      this.#say(
        'manyFolders',
        'The project has more folders than are looked at: name its files with "checkpoints" in the job.',
      );
    // The first look failed: what is older than the run is none of its files.
    if (!this.#hasBegun)
      for (const file of files.values()) if (file.mtimeMs < this.#startedAt) this.#done.set(file.path, stateOf(file));
    this.#hasBegun = true;
    const isNew = (file: FoundState) => this.#done.get(file.path) !== stateOf(file);
    if (![...files.values()].some(isNew)) return tookMs;
    const groups = groupFiles(files.values()).filter((group) => group.files.some(isNew));
    for (const group of groups) {
      const state = await this.#stateOf(group, ended, groups);
      if (state === 'wait') continue;
      if (state === 'whole') await this.#take(group);
      else if (state === 'incomplete')
        this.#say(
          group.key,
          `${group.key} was not kept: parts of it are missing or broken off (${missingOf(group, this.#roles.get(group.series))}).`,
        );
      if (state !== 'gone') for (const file of group.files) this.#done.set(file.path, stateOf(file));
    }
    return tookMs;
  }

  /** Absolute. */
  #at(path: string): string {
    const { root, command } = this.#setup;
    return path.startsWith(`${OWN_FOLDER}/`) ? join(command.dir, path.slice(OWN_FOLDER.length + 1)) : join(root, path);
  }

  async #stateOf(
    group: Group,
    ended: boolean,
    groups: readonly Group[],
  ): Promise<'wait' | 'whole' | 'incomplete' | 'gone'> {
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
    const files = group.files.map(({ path, bytes }) => ({ path: this.#at(path), name: path, bytes }));
    const whole = await this.#setup.looker.areWhole(files);
    // Half written: its writer goes on, or another write will follow.
    return whole ? 'whole' : ended || next ? 'incomplete' : 'wait';
  }

  async #take(group: Group): Promise<void> {
    const { directory, progress, looker } = this.#setup;
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
      const files: CheckpointFile['files'] = [];
      for (const file of group.files) files.push(await this.#handOver(file, group.place, temporary));
      // Of the links: a script may delete its own meanwhile.
      const grade = await looker.gradeOf(files.map(({ name }) => join(temporary, name)));
      const facts: CheckpointFile = {
        ...blankCheckpointFile(id, directory.id, step, Date.now()),
        epoch: epoch ?? known.epoch,
        batch: 0,
        reasons: ['file', ...new Set(names.flatMap(({ reasons }) => reasons))],
        ...grade,
        parent: this.#parent,
        metrics: toWireNumbers(metrics),
        environment: this.#setup.environment,
        files,
        place: group.place,
      };
      await writeJsonBeside(join(temporary, CHECKPOINT_FILE), facts);
      await syncDirectoryBeside(temporary);
      await rename(temporary, join(directory.file('inbox'), name));
      await syncDirectoryBeside(directory.file('inbox'));
      this.#parent = id;
      const roles = this.#roles.get(group.series) ?? new Set();
      for (const role of group.roles) roles.add(role);
      this.#roles.set(group.series, roles);
      this.#setup.taken(facts);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      if (!(error instanceof Changed))
        this.#say(
          `${group.key}!`,
          `${group.key} could not be handed over (${(error as Error).message}); it stays where it is.`,
        );
    }
  }

  /** Throws Changed when it is another file by now. */
  async #handOver(file: FoundState, place: string, folder: string): Promise<CheckpointFile['files'][number]> {
    const name = place === '' ? file.path : file.path.slice(place.length + 1);
    const target = join(folder, name);
    await mkdir(dirname(target), { recursive: true });
    const linked = await linkOrCopy(this.#at(file.path), target);
    const now = findState(this.#at(file.path), file.path);
    if (!now || stateOf(now) !== stateOf(file)) throw new Changed();
    return { name, bytes: file.bytes, ...(linked ? { stat: { ino: file.ino, mtimeMs: file.mtimeMs } } : {}) };
  }

  #say(key: string, text: string): void {
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#setup.notice('files', text);
  }
}

class Changed extends Error {}

function missingOf(group: Group, roles: ReadonlySet<string> | undefined): string {
  const absent = [...(roles ?? [])].filter((role) => !group.roles.includes(role));
  if (absent.length > 0) return absent.join(', ');
  return group.files.length < group.least ? `${group.files.length} of ${group.least} files` : 'a file is not whole';
}

/** True: a link. Other file systems, and some without links, get a copy; one that shares its blocks where that can be. */
async function linkOrCopy(source: string, target: string): Promise<boolean> {
  try {
    await link(source, target);
    return true;
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    await copyFile(source, target, constants.COPYFILE_FICLONE);
    return false;
  }
}
