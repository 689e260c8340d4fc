/** Prepares everything that a session needs before its process starts. A failure leaves nothing behind. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inside } from '../../../base/inside.ts';
import { isPython } from '../../../base/python-words.ts';
import type { JobConfig } from '../../../protocol/config.ts';
import type { Checkpoint, Params, Run, Session } from '../../../protocol/domain.ts';
import { maskParams, maskWords } from '../../../protocol/secrets.ts';
import { type CheckpointFile, type Launch, TORCH_STATE_FILE } from '../../../protocol/session.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { type RealCommand, spawnTrainer } from '../../../session/launch.ts';
import { declaredLinks } from '../../branches/links.ts';
import { type ProjectContext, sessionOf, sessionsPath } from '../context.ts';
import { notPython } from '../errors.ts';
import { type Identity, newLaunch } from '../records.ts';
import { fill, type Placeholders, paramVariables, withDebugger, wordsOf } from './command.ts';
import { programInside } from './container.ts';
import { resolveProgram } from './interpreter.ts';
import { type KnownPartsStore, knownParts } from './known-parts.ts';
import { pythonFacts } from './python-facts.ts';
import { type RestoredFiles, restoreFiles } from './restore-files.ts';
import { hasMask, realParams } from './secret-params.ts';

export interface SessionRequest {
  run: Run;
  session: Session;
  job: JobConfig;
  checkpoint: Checkpoint | null;
  /** The command does not tell its script to load the checkpoint: its files are put in place, and that is all. */
  startsAnew?: boolean;
  /** Worktree to run in. */
  root: string;
  /** Differences from the checkpoint that the user has accepted. */
  accept: string[];
  environment: Record<string, string>;
  interpreter?: string;
  /** Words between the interpreter and the script. */
  debugger?: readonly string[];
  overrides?: Partial<Launch>;
}

export interface PreparedSession {
  directory: SessionDirectory;
  launch: Launch;
  /** Reason for the chosen backend; empty where the user named it, or for a command. */
  backendReason: string;
  /** Result of restoring the files of a script that saves by itself. */
  restoredFiles: RestoredFiles | null;
  /** Command with the secrets that must not be on disk; null for a module. */
  real: RealCommand | null;
  /** Records the code that the session runs; call it before `start`. */
  recordAs(identity: Identity): void;
  start(): ChildProcess;
}

/** Context of a preparation. `store` is null where nothing can be resumed, as without a daemon. */
export interface PrepareContext
  extends Pick<ProjectContext, 'place' | 'trainer' | 'runner' | 'backends' | 'secrets'>,
    Partial<Pick<ProjectContext, 'announce'>> {
  store: (KnownPartsStore & Pick<ProjectContext['store'], 'restoreCheckpoint'>) | null;
}

export async function prepareSession(context: PrepareContext, request: SessionRequest): Promise<PreparedSession> {
  const { run, session, job, checkpoint, root, accept, overrides } = request;
  const body = checkpoint ? await context.store?.checkpointFacts(checkpoint.id) : null;
  const facts = body?.checkpoint ?? null;
  const launch = newLaunch(run, session, job, root, {
    resume:
      checkpoint && !request.startsAnew
        ? {
            directory: 'restore',
            checkpoint: checkpoint.id,
            step: checkpoint.step,
            session: checkpoint.session,
            expected: {
              data: facts?.data?.fingerprint ?? null,
              backend: facts?.environment.backend ?? null,
              framework: facts?.environment.framework ?? null,
            },
            params: maskParams(body?.run.params ?? {}),
            accept,
          }
        : null,
    ...overrides,
  });
  const directory = sessionOf(context, session.id);
  try {
    if (job.module !== undefined && request.debugger) throw notPython(job.module);
    if (job.module !== undefined) return await prepareModule(context, request, launch, directory, facts);
    return await prepareCommand(context, request, launch, directory, facts);
  } catch (error) {
    rmSync(directory.path, { recursive: true, force: true });
    throw error;
  }
}

/** Returns a run's own folder for files: `${dir}` of a command, `run.dir` of a script. */
export function filesOf(context: Pick<ProjectContext, 'place'>, run: Pick<Run, 'id'>): string {
  return inside(context.place.store, `files/${run.id}`);
}

/** Tells whether the checkpoint's state belongs to the Python package, which restores it by itself. */
export function isOfPackage(facts: CheckpointFile): boolean {
  return facts.place === null;
}

/**
 * Selects the params to pass as words of the command, without those that the script itself has reported: they may not
 * be options at all.
 */
export function givenParams(run: Run, job: JobConfig, params: Params): Params {
  const names = new Set([...Object.keys(job.params), ...run.overrides]);
  return Object.fromEntries(Object.entries(params).filter(([name]) => names.has(name)));
}

/** Returns the real values of the params that the launch file masks. */
function secretsOf(launch: Launch, params: Params): Params {
  return Object.fromEntries(Object.entries(params).filter(([name]) => hasMask((launch.params as Params)[name])));
}

async function prepareModule(
  context: PrepareContext,
  { run, job, checkpoint, environment, root }: SessionRequest,
  requested: Launch,
  directory: SessionDirectory,
  facts: CheckpointFile | null,
): Promise<PreparedSession> {
  const { backend, options, node, variables, reason } = await context.backends.choose({
    wanted: requested.backend,
    root,
    environment,
    checkpoint: facts?.environment ?? null,
    tell: (text) =>
      context.announce?.notice(null, { code: 'tryingBackends', level: 'info', text, step: null, at: Date.now() }),
  });
  const launch: Launch = { ...requested, backend, backendOptions: options };
  SessionDirectory.create(sessionsPath(context), launch);
  if (checkpoint) await context.store?.restoreCheckpoint(checkpoint.id, directory.file('restore'));
  return {
    directory,
    launch,
    backendReason: reason,
    restoredFiles: null,
    real: null,
    recordAs: (identity) => record(context, launch, identity),
    start: () =>
      spawnTrainer(
        directory,
        context.trainer,
        launch.cwd,
        { ...environment, ...variables },
        {
          node,
          params: secretsOf(launch, realParams(run, job, context.secrets.of(run.id))),
        },
      ),
  };
}

async function prepareCommand(
  context: PrepareContext,
  { run, job, checkpoint, environment, interpreter, ...request }: SessionRequest,
  launch: Launch,
  directory: SessionDirectory,
  facts: CheckpointFile | null,
): Promise<PreparedSession> {
  const dir = filesOf(context, run);
  const cwd = join(launch.cwd, job.cwd ?? '');
  const params = realParams(run, job, context.secrets.of(run.id));
  const values: Placeholders = { run: run.id, dir, params: givenParams(run, job, params) };
  const ofScript = facts !== null && !isOfPackage(facts);
  // Before anything is written, so that a faulty command changes nothing.
  const first = commandOf(job, values, ofScript ? { ...values, checkpoint: '', stem: '' } : null);
  const withVariables = { ...environment, ...first.variables };
  const where = { cwd, root: launch.root, environment: withVariables, interpreter };
  const program = job.container
    ? programInside(job.container, first.words, where)
    : resolveProgram(first.words, where)[0];
  if (request.debugger && !isPython(program)) throw notPython(program);
  mkdirSync(dir, { recursive: true });
  SessionDirectory.create(sessionsPath(context), launch);
  let restored: RestoredFiles | null = null;
  if (checkpoint && facts) {
    await context.store?.restoreCheckpoint(checkpoint.id, directory.file('restore'));
    if (ofScript) {
      const links = await declaredLinks(launch.root, [...job.checkpoints, ...job.files]);
      restored = restoreFiles({ root: launch.root, dir, links }, directory.file('restore'), facts);
    }
  }
  const { words, variables } = commandOf(job, values, restored ? { ...values, ...restored } : null);
  const command = {
    words: maskWords([program, ...words.slice(1)]) as [string, ...string[]],
    cwd,
    env: maskParams(variables) as Record<string, string>,
    dir,
    checkpoints: job.checkpoints,
    usesPackage: facts !== null && isOfPackage(facts),
    parts: context.store ? await knownParts(context.store, run) : {},
    // The Python of an image is asked by nobody: the package tells its versions.
    facts: job.container ? {} : await pythonFacts(program, withVariables),
    container: job.container,
  };
  const resume = launch.resume && {
    ...launch.resume,
    verified: stampOf(join(directory.file('restore'), TORCH_STATE_FILE)),
  };
  const complete: Launch = { ...launch, command, resume };
  SessionDirectory.create(sessionsPath(context), complete);
  // The disk only holds the command with masks.
  const real = { words: withDebugger([program, ...words.slice(1)], request.debugger), env: variables };
  return {
    directory,
    launch: complete,
    backendReason: '',
    restoredFiles: restored,
    real,
    recordAs: (identity) => record(context, complete, identity),
    start: () =>
      spawnTrainer(directory, context.runner, cwd, environment, { command: real, params: secretsOf(complete, params) }),
  };
}

function record(context: Pick<ProjectContext, 'place'>, launch: Launch, identity: Identity): void {
  const { branch, branchId, commit, dirty, code, codeLeftOut } = identity;
  launch.identity = { branch, branchId, commit, dirty, code, codeLeftOut };
  SessionDirectory.create(sessionsPath(context), launch);
}

/**
 * Identifies the restored file: the store has compared each byte with its hash while writing it. Null when there is
 * none.
 */
function stampOf(path: string): NonNullable<Launch['resume']>['verified'] {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? { ino: String(stat.ino), bytes: Number(stat.size), mtimeNs: String(stat.mtimeNs) } : null;
}

/** Builds the command. `from` has the placeholders of a checkpoint that the script is told to load. */
export function commandOf(job: JobConfig, values: Placeholders, from: Placeholders | null) {
  const words = wordsOf(from && job.resume ? job.resume : job.run!, job.args, from && job.resume ? from : values);
  const own = Object.fromEntries(Object.entries(job.env).map(([name, text]) => [name, fill(text, values)]));
  return { words, variables: { ...own, ...paramVariables(values.params, job.args) } };
}
