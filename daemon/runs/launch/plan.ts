/** Plans a resume or fork: the run, the checkpoint, the params, and the differences since then. Changes nothing. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inside } from '../../../base/inside.ts';
import type { JobConfig } from '../../../protocol/config.ts';
import type { Checkpoint, Params, Run, RunOrigin } from '../../../protocol/domain.ts';
import { type PreflightDifference, TrainstashError } from '../../../protocol/errors.ts';
import { isModelName } from '../../../protocol/model-names.ts';
import { isNotebook } from '../../../protocol/notebook.ts';
import { INTERRUPTED_STATUSES } from '../../../protocol/status.ts';
import { readHead } from '../../code/project.ts';
import { isDiverged, newerThan, newestGood } from '../../store/maintenance/retention.ts';
import { findJob, readConfig } from '../config.ts';
import type { ProjectContext } from '../context.ts';
import { jobOfRun, paramsGiven, withParams } from './ad-hoc.ts';
import { splitWords } from './command.ts';
import { resumesItself } from './consents.ts';
import { programOf } from './environments.ts';
import { codeDifference, type Measured, machineNow, measure } from './identity.ts';
import { type OriginalCode, originalCode } from './original-code.ts';
import { chooseParams, describeDifferences, preflight } from './preflight.ts';
import { isOfPackage } from './prepare.ts';
import { pythonFacts } from './python-facts.ts';
import { isRebuilt } from './rebuilt.ts';
import { savedResumeCommand } from './save-as-job.ts';
import { requireKnown } from './secret-params.ts';
import { interpreterDifferences } from './then.ts';

export interface PlanOptions {
  run?: string;
  from?: string;
  set?: Params;
  current?: string[];
  /** Real words of a run without a job, where the record has masks. */
  command?: readonly string[];
  /** Environment of the requesting client. Empty: no interpreter is asked. */
  environment?: Record<string, string>;
  /** TensorFlow.js backend, if the request names another one. */
  backend?: string;
  interpreter?: string;
  /** Code to run: that of the checkpoint, or that in the tree (the default). */
  code?: 'then' | 'now';
}

export interface Plan {
  run: Run;
  /** Null: from the beginning. */
  checkpoint: Checkpoint | null;
  job: JobConfig;
  params: Params;
  overrides: string[];
  differences: PreflightDifference[];
  /**
   * The command does not tell its script to load the checkpoint: its files are put in place and the script starts
   * again.
   */
  startsAnew: boolean;
  /** Newer checkpoints that lack a part, or whose state has diverged. */
  passedOver: Checkpoint[];
  /** Identity of the tree now. */
  measured: Measured;
  /** The original code, where that was asked for. */
  original: OriginalCode | null;
}

export async function planResume(context: ProjectContext, options: PlanOptions): Promise<Plan> {
  const { store, place } = context;
  const { current = [], set = {} } = options;
  const model = options.from && isModelName(options.from) ? await modelOf(context, options.from) : null;
  const run = model
    ? await store.requireRun(model.run)
    : options.run
      ? await store.findRun(options.run)
      : await newestResumable(context);
  if (run.command && !options.command && isNotebook(run.command.words)) throw notebookGoesOn(run);
  const { checkpoint, passedOver } = options.from
    ? {
        checkpoint:
          model ?? (await parentOf(context, run, options.from)) ?? (await store.findCheckpoint(options.from, run)),
        passedOver: [],
      }
    : await newestCheckpoint(context, run);
  const original = options.code === 'then' ? await originalCode(context, run, checkpoint) : null;
  const job = run.command
    ? jobOfRun(run, options.command)
    : findJob(readConfig(original?.folder ?? place.root), run.job);
  if (run.command) job.resume = savedResumeCommand(run, place.root);
  const params = chooseParams(run, job.params as Params, current, set, job.module === undefined);
  const overrides = run.overrides.filter((name) => !current.includes(name));
  // A command says with its words what it needs.
  if (!run.command) requireKnown({ ...run, params, overrides }, context.secrets.of(run.id));
  const measured = await measure(context);
  const facts = checkpoint ? await store.checkpointFacts(checkpoint.id) : null;
  const before = facts?.run ?? run;
  const running = original?.identity ?? measured.identity;
  const { code, files } = await codeDifference(context, before, running);
  const differences = preflight({
    run,
    code: {
      before: before.code,
      now: running.code,
      changed: code && files.length === 0 ? [''] : files,
    },
    environment: {
      before: facts?.checkpoint.environment ?? {},
      now: {
        ...machineNow(),
        ...(await interpreterNow(job, place.root, options)),
        ...(await backendNow(context, job, run, facts?.checkpoint.environment ?? null, options)),
      },
    },
    jobParams: job.params as Params,
    params,
  });
  const startsAnew =
    facts !== null && job.module === undefined && !isOfPackage(facts.checkpoint) && job.resume === undefined;
  if (startsAnew && !resumesItself(place.store, run.job)) differences.push(STARTS_ANEW);
  if (original) {
    const program = programNow(job, place.root, options);
    const isOfThen = program !== null && isRebuilt(original.folder, program);
    const asked = options.environment ?? {};
    differences.push(...(await interpreterDifferences(context, checkpoint, program, asked, isOfThen)));
  }
  if (run.origin && !(await hasSessionHere(context, run))) differences.push(...firstTimeHere(run, run.origin));
  if (run.command) {
    const named = { ...run, overrides: [...run.overrides, ...Object.keys(set)] };
    const given = paramsGiven(named, params);
    job.run = withParams(job.run as string[], given);
    if (job.resume) job.resume = withParams(job.resume as string[], given);
  }
  const given = [...new Set([...overrides, ...Object.keys(set)])];
  return { run, checkpoint, passedOver, job, params, overrides: given, differences, startsAnew, measured, original };
}

function notebookGoesOn({ name, command }: Run): TrainstashError<'notebookGoesOn'> {
  const notebook = command?.words.at(-1)?.endsWith('.ipynb') ? command.words.at(-1)! : null;
  return new TrainstashError(
    'notebookGoesOn',
    `${name} is a run of ${notebook ? `the notebook ${notebook}` : 'a notebook'}, and goes on in its kernel. Its checkpoints are safe; nothing ` +
      'was started. Run its cells with trainstash.init(resume="last", …).',
    { run: name, notebook },
  );
}

/** Difference to accept once for each job: accepting it means that the script continues by itself. */
export const STARTS_ANEW: PreflightDifference = {
  kind: 'script',
  name: '',
  checkpoint: 'saved by the script itself',
  current: 'the same command starts again, with its files in place; resuming from them is up to the script',
};

/** Tells whether the run has been started on this machine, so that a person has seen what it runs. */
async function hasSessionHere({ store, place }: ProjectContext, { id }: Run): Promise<boolean> {
  const sessions = await store.sessions(id);
  return sessions.some((session) => existsSync(inside(place.store, `sessions/${session.id}`)));
}

/** Lists what to accept before a run from a remote is started here: its command, and that it may still be training there. */
function firstTimeHere(run: Run, { remote, machine, sentAt, wasLive }: RunOrigin): PreflightDifference[] {
  const command: PreflightDifference = {
    kind: 'machine',
    name: 'command',
    checkpoint: `given on ${machine}, and sent to ${remote}`,
    current: `to be run here: ${(run.command?.words ?? []).join(' ')}`,
  };
  const live: PreflightDifference = {
    kind: 'machine',
    name: machine,
    checkpoint: `training when it sent this, at ${new Date(sentAt).toISOString()}`,
    current: 'unknown; if it still trains, both go on from here, each for itself',
  };
  return [...(run.command ? [command] : []), ...(wasLive ? [live] : [])];
}

async function interpreterNow(job: JobConfig, root: string, options: PlanOptions): Promise<Record<string, string>> {
  const program = programNow(job, root, options);
  return program === null ? {} : pythonFacts(program, options.environment ?? {});
}

/** Finds the program of the job's command; null: there is none, or nobody may ask it anything. */
function programNow(job: JobConfig, root: string, { environment, interpreter }: PlanOptions): string | null {
  if (job.run === undefined || !environment || Object.keys(environment).length === 0) return null;
  const words = typeof job.run === 'string' ? (splitWords(job.run) ?? []) : job.run;
  // The launch says what is wrong with it.
  return words.length === 0
    ? null
    : programOf(words, { cwd: join(root, job.cwd ?? ''), root, environment, interpreter });
}

async function backendNow(
  { backends, place }: ProjectContext,
  job: JobConfig,
  run: Run,
  checkpoint: Record<string, string> | null,
  { environment, backend }: PlanOptions,
): Promise<Record<string, string>> {
  if (job.module === undefined || !environment || Object.keys(environment).length === 0) return {};
  return backends.environmentNow({ wanted: backend ?? run.backend, root: place.root, environment, checkpoint });
}

export function requireAccepted(differences: PreflightDifference[], accepted: boolean): void {
  if (accepted || differences.length === 0) return;
  throw new TrainstashError(
    'preflightDiffers',
    `Not started, because something differs from the checkpoint: ${describeDifferences(differences)}. Nothing was changed. Use --yes to start anyway.`,
    { differences },
  );
}

/** Finds the checkpoint to resume from. A fork without a good checkpoint of its own starts again where it started. */
async function newestCheckpoint({ store }: ProjectContext, run: Run): Promise<Pick<Plan, 'checkpoint' | 'passedOver'>> {
  const own = await store.checkpoints(run.id);
  const good = newestGood(own, run.monitor);
  const parent = run.parent && (await store.checkpoint(run.parent.checkpoint));
  if (parent && (!good || isDiverged(good, run.monitor))) return { checkpoint: parent, passedOver: own };
  return { checkpoint: good ?? null, passedOver: good ? newerThan(own, good) : [] };
}

/** Returns the checkpoint that the run was forked from, if that is the one asked for by its id. */
async function parentOf({ store }: ProjectContext, { parent }: Run, id: string): Promise<Checkpoint | null> {
  return parent?.checkpoint === id ? ((await store.checkpoint(id)) ?? null) : null;
}

async function modelOf({ store }: ProjectContext, name: string): Promise<Checkpoint> {
  const checkpoint = await store.checkpointWithTag(name);
  if (checkpoint) return checkpoint;
  throw new TrainstashError('notFound', `There is no model "${name}" in this project. Nothing was started.`, {
    what: 'checkpoint',
    query: name,
  });
}

async function newestResumable({ store, place }: ProjectContext): Promise<Run> {
  const { branch } = place.git ? await readHead(place.root) : { branch: null };
  const candidates = await store.runsWithStatus(INTERRUPTED_STATUSES);
  const newest = candidates
    // A sweep decides itself which of its runs go on.
    .filter((run) => run.branch === branch && run.trashedAt === null && run.sweep?.mark === undefined)
    .sort((a, b) => (b.endedAt ?? b.createdAt) - (a.endedAt ?? a.createdAt))[0];
  if (newest) return newest;
  throw new TrainstashError(
    'notFound',
    `No run of ${branch ?? 'this project'} is paused, failed or lost, so there is nothing to resume. \`trainstash ls\` lists all runs; \`trainstash resume RUN\` resumes one of them.`,
    { what: 'run', query: '' },
  );
}
