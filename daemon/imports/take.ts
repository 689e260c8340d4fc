/** Takes one run: its points become the events of a session, and its files checkpoints in that session's inbox. */
import {
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { writeJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import type { Params, Run, Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import type { FoundCheckpoint, FoundRun, ImportProblem, ReadRun } from '../../protocol/imports.ts';
import { toWireNumbers } from '../../protocol/numbers.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { maskParams, maskText } from '../../protocol/secrets.ts';
import { CHECKPOINT_FILE, type ExitRecord, type Launch } from '../../protocol/session.ts';
import { counted, integer } from '../../protocol/words.ts';
import { OWN_FOLDER, SessionDirectory } from '../../session/directory.ts';
import { readHead } from '../code/project.ts';
import { sessionsPath } from '../runs/context.ts';
import type { OpenProject } from '../runs/project.ts';
import { newLaunch, newRun, newSession } from '../runs/records.ts';

/** All imported checkpoints are kept: nothing else says which ones matter. */
const KEEP_ALL = 1_000_000;
const LACKS = 'what its tool has not saved, such as random numbers and the place in the data';
const MOST_LISTED = 10;
const UNTIDY = /[^\w.@+-]+/g;

type Head = Pick<Run, 'branch' | 'branchId'>;

export interface TakeRequest {
  found: FoundRun;
  facts: ReadRun;
  /** Run that it was imported as before. */
  run: Run | null;
  checkpoints: readonly FoundCheckpoint[];
  /** Events that the importer has written. */
  file: string;
  metricsOnly: boolean;
  job?: string | undefined;
}

/** A run that is ready to be stored. */
export interface Prepared {
  request: TakeRequest;
  run: Run;
  session: Session;
  launch: Launch;
  directory: SessionDirectory;
  checkpoints: FoundCheckpoint[];
  problems: ImportProblem[];
}

export interface Taken {
  run: Run;
  checkpoints: FoundCheckpoint[];
  problems: ImportProblem[];
}

/** Writes the session of a run. Nothing is in the catalog yet. */
export function prepareRun(project: OpenProject, request: TakeRequest, head: Head): Prepared {
  const { context, place } = project;
  const { facts, file } = request;
  const run = request.run ?? recordOf(request, head);
  const session: Session = {
    ...newSession(run, 'train', null),
    startedAt: facts.startedAt ?? Date.now(),
    endedAt: facts.endedAt ?? Date.now(),
  };
  const launch = launchOf(run, session, place.root, facts);
  const directory = new SessionDirectory(join(sessionsPath(context), session.id));
  try {
    // Nothing is synced here: until the import is noted as done, it can be done again.
    for (const name of ['inbox', 'taking'] as const) mkdirSync(directory.file(name), { recursive: true, mode: 0o700 });
    writeJson(directory.file('launch'), launch);
    writeEvents(directory, file, facts);
    const { taken, problems } = takeCheckpoints(directory, place.root, request);
    writeJson(directory.file('exit'), exitOf(facts));
    return { request, run, session, launch, directory, checkpoints: taken, problems };
  } catch (error) {
    rmSync(directory.path, { recursive: true, force: true });
    throw error;
  }
}

/** Stores prepared runs: all or none. Their checkpoints follow one run after the other. */
export async function takeRuns(project: OpenProject, prepared: readonly Prepared[]): Promise<Taken[]> {
  const { context } = project;
  const stored = await context.store
    .putEnded(prepared.map(({ session, ...rest }) => ({ session, run: endedRun(rest, session) })))
    .catch((error) => {
      for (const { directory } of prepared) rmSync(directory.path, { recursive: true, force: true });
      throw error;
    });
  const taken: Taken[] = [];
  for (const [i, { session, launch, checkpoints, problems, request }] of prepared.entries()) {
    const run = stored[i]!;
    if (checkpoints.length > 0) await project.runs.adoptEnded({ ...run, status: 'running' }, session, launch);
    else context.announce.run(run);
    const { leftOut } = request.facts;
    const left = leftOut > 0 ? [{ path: request.found.path, problem: leftOutText(leftOut) }] : [];
    taken.push({ run, checkpoints, problems: [...problems, ...left] });
  }
  return taken;
}

function exitOf({ outcome, lastStep, endedAt }: ReadRun): ExitRecord {
  return { outcome, step: lastStep, at: endedAt ?? Date.now(), reason: '', error: null };
}

function endedRun({ run, request }: Pick<Prepared, 'run' | 'request'>, session: Session): Run {
  const { facts } = request;
  return {
    ...run,
    status: facts.outcome,
    session: session.id,
    sessions: session.ordinal,
    params: maskParams(facts.params as Params),
    startedAt: run.startedAt ?? session.startedAt,
    endedAt: session.endedAt,
    step: facts.lastStep,
    totalSteps: facts.outcome === 'completed' && facts.lastStep > 0 ? facts.lastStep : null,
    notices: [...run.notices, ...noticesOf(request)],
  };
}

function leftOutText(count: number): string {
  return `${counted(count, 'value')} could not be read, and ${count === 1 ? 'was' : 'were'} left out`;
}

/** Returns the branch that the runs will be listed with: today's, since what they were trained on is not known. */
export async function headOf({ place, context }: OpenProject): Promise<Head> {
  const { branch } = context.branches ? await readHead(place.root) : { branch: null };
  return { branch, branchId: branch === null ? null : ((await context.branches?.certainId(branch)) ?? null) };
}

function recordOf({ found, facts, job }: TakeRequest, head: Head): Run {
  const made = newRun({
    job: maskText(job ?? tidy(found.job)),
    params: maskParams(facts.params as Params),
    overrides: [],
    seed: 0,
    backend: '',
    kind: 'command',
    restarts: 0,
    identity: { ...head, commit: facts.commit, dirty: false, code: null, codeLeftOut: [] },
  });
  const startedAt = facts.startedAt ?? made.createdAt;
  const note = [`${found.name} of ${found.tool}`, facts.note].filter(Boolean).join('. ');
  return {
    ...made,
    note: maskText(note).slice(0, 2_000),
    imported: { tool: found.tool, path: found.path },
    cooperative: false,
    createdAt: startedAt,
    startedAt,
  };
}

/** Makes a name for a job, which is a word of commands. */
function tidy(name: string): string {
  return (
    name
      .replaceAll(UNTIDY, '-')
      .replaceAll(/^-+|-+$/g, '')
      .slice(0, 60) || 'imported'
  );
}

function launchOf(run: Run, session: Session, root: string, facts: ReadRun): Launch {
  const job = {
    args: 'flags',
    files: [],
    checkpoints: [],
    export: {},
    env: {},
    params: {},
    checkpoint: {},
    keep: {},
  } as const;
  return newLaunch(run, session, { ...job, files: [], checkpoints: [] }, root, {
    keep: { last: KEEP_ALL, every: null },
    stated: ['keep'],
    imported: true,
    createdAt: facts.startedAt ?? session.startedAt,
  });
}

/** Puts `started` before the points: a run has its params from there. */
function writeEvents(directory: SessionDirectory, file: string, facts: ReadRun): void {
  const started = {
    type: 'started',
    seq: 1,
    t: facts.startedAt ?? Date.now(),
    step: 0,
    epoch: 0,
    totalSteps: null,
    stepsPerEpoch: null,
    environment: {},
    monitor: null,
    params: maskParams(facts.params as Params),
    cooperative: false,
  };
  writeFileSync(directory.file('events'), `${JSON.stringify(started)}\n`, { mode: 0o600 });
  writeFileSync(directory.file('events'), readFileSync(file), { flag: 'a' });
  rmSync(file, { force: true });
}

function takeCheckpoints(directory: SessionDirectory, root: string, { checkpoints, facts }: TakeRequest) {
  const taken: FoundCheckpoint[] = [];
  const problems: ImportProblem[] = [];
  for (const [i, one] of checkpoints.entries()) {
    const step = one.step ?? (i === checkpoints.length - 1 ? facts.lastStep : (one.epoch ?? 0));
    const problem = takeCheckpoint(directory, root, one, step, i);
    if (problem === null) taken.push(one);
    else problems.push({ path: join(one.place, one.files[0]?.name ?? ''), problem });
  }
  return { taken, problems };
}

/** Hands one checkpoint over, as links where possible: the originals stay as they are. Returns why it could not be taken. */
function takeCheckpoint(
  directory: SessionDirectory,
  root: string,
  { place, files, epoch, metrics, isBest }: FoundCheckpoint,
  step: number,
  number: number,
): string | null {
  const id = randomId();
  const name = `${String(step).padStart(9, '0')}-${String(number + 1).padStart(6, '0')}-${id}`;
  const temporary = join(directory.file('inbox'), `.tmp-${name}`);
  try {
    for (const file of files) {
      const target = inside(temporary, file.name);
      mkdirSync(dirname(target), { recursive: true });
      linkOrCopy(join(place, file.name), target);
      const now = lstatSync(target);
      if (!now.isFile() || now.size !== file.bytes) throw new Error('it has changed meanwhile');
    }
    const newest = Math.max(...files.map(({ mtimeMs }) => mtimeMs));
    writeJson(join(temporary, CHECKPOINT_FILE), {
      ...blankCheckpointFile(id, directory.id, step, newest),
      epoch: epoch ?? 0,
      reasons: ['imported', ...(isBest ? ['best'] : [])],
      grade: 'partial',
      missing: [LACKS],
      metrics: toWireNumbers(metrics),
      place: placeIn(root, place),
      files: files.map((file) => ({ name: file.name, bytes: file.bytes })),
    });
    renameSync(temporary, join(directory.file('inbox'), name));
    return null;
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    return `its checkpoint was not taken (${(error as Error).message})`;
  }
}

function linkOrCopy(source: string, target: string): void {
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target, constants.COPYFILE_FICLONE);
  }
}

/** Returns the place to which a resume would restore the files: where they are in the project, or else the run's own folder. */
function placeIn(root: string, place: string): string {
  const path = relative(root, place);
  const isInside = path !== '..' && !path.startsWith(`..${sep}`) && path !== place;
  return isInside ? path.split(sep).join('/') : OWN_FOLDER;
}

function noticesOf({ found, metricsOnly }: TakeRequest): Run['notices'] {
  const steps = found.checkpoints.map(({ step }) => step).filter((step) => step !== null);
  if (!metricsOnly || found.checkpoints.length === 0) return [];
  const shown = steps.slice(-MOST_LISTED).map(integer).join(', ');
  const text = `${counted(found.checkpoints.length, 'checkpoint')} of ${found.tool} ${found.checkpoints.length === 1 ? 'is' : 'are'} not kept here${shown ? ` (steps ${steps.length > MOST_LISTED ? '…, ' : ''}${shown})` : ''}: only the metrics were imported. The files are in ${found.path}.`;
  return [{ code: 'notKept', level: 'info', text: maskText(text), step: null, at: Date.now() }];
}
