/** Sweeps of one project: those that are on disk, and new ones. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import type { SweepPlan, SweepRecord, SweepState, SweepSummary } from '../../protocol/sweep.ts';
import { findJob, readConfig } from '../runs/config.ts';
import { backendOf } from '../runs/control.ts';
import { destinationOf } from '../runs/engines/destination.ts';
import type { Environment } from '../runs/launch/environments.ts';
import { identityOf } from '../runs/launch/identity.ts';
import { pythonsFor } from '../runs/launch/interpreter.ts';
import { placeOf, wordsOf } from '../runs/launch/queue-entries.ts';
import { factsOfEnvironment, plainIdentity } from '../runs/launch/trials.ts';
import type { OpenProject } from '../runs/project.ts';
import { unmentioned } from './mentioned.ts';
import { pythonWithOptuna, Study } from './optuna.ts';
import { metricOf, type PlanRequest, planOf } from './plan.ts';
import { RecordFolder } from './records.ts';
import { Sweep } from './sweep.ts';

/** Newest runs that tell which params a job has. */
const EARLIER_RUNS = 200;

export interface SweepsSetup {
  project: OpenProject;
  /** File of the program that asks Optuna. */
  program: string;
  /** Tells whether code of a worktree may run. */
  isTrusted(root: string): boolean;
  width(): number;
  announce(summary: SweepSummary): void;
  log(text: string): void;
}

export interface StartSweep extends PlanRequest, Environment {
  root: string;
  gpu?: SweepRecord['gpu'];
  priority?: number | undefined;
  backend?: string | undefined;
  engine?: string | undefined;
  nodes?: number | undefined;
}

export class Sweeps {
  readonly #setup: SweepsSetup;
  readonly #folder: RecordFolder;
  readonly #sweeps = new Map<string, Sweep>();
  /** Number of the newest sweep that has begun, or is about to. */
  #newest = 0;

  /** Reads what is on disk. Nothing starts before `begin`. */
  constructor(setup: SweepsSetup) {
    this.#setup = setup;
    this.#folder = new RecordFolder(setup.project.place.store);
    for (const record of this.#folder.read(setup.log)) this.#sweeps.set(record.id, this.#make(record));
  }

  get busy(): boolean {
    return [...this.#sweeps.values()].some((sweep) => sweep.busy && this.#mayRun(sweep.record));
  }

  /** Goes on with the sweeps that an earlier daemon has left, where the project's code may run. */
  begin(): void {
    for (const sweep of this.#sweeps.values()) if (this.#mayRun(sweep.record)) sweep.changed();
  }

  close(): void {
    for (const sweep of this.#sweeps.values()) sweep.close();
  }

  /** Hears of each change of a run. */
  runChanged({ sweep }: Pick<Run, 'sweep'>): void {
    const known = sweep && this.#sweeps.get(sweep.id);
    if (known && this.#mayRun(known.record)) known.changed();
  }

  #mayRun({ root }: SweepRecord): boolean {
    return this.#setup.project.isOurs && this.#setup.isTrusted(root);
  }

  /** Starts a sweep. What is wrong with the request is thrown, and then nothing is left of it. */
  async start({ root, environment, interpreter, ...request }: StartSweep): Promise<SweepSummary> {
    const { project } = this.#setup;
    const job = findJob(readConfig(root), request.job);
    const { runs: newest } = await project.store.runs({
      drafts: true,
      trashed: false,
      before: null,
      limit: EARLIER_RUNS,
    });
    const plan = planOf(
      request,
      job,
      newest.filter((run) => run.job === request.job),
    );
    if (!request.accept) requireMentioned(root, job, request, plan, newest);
    const engine = destinationOf(request, job.engine);
    const own = { environment, ...(interpreter === undefined ? {} : { interpreter }) };
    const python =
      plan.sampler === 'optuna'
        ? await pythonWithOptuna(pythonsFor(wordsOf(job), { ...placeOf(root, job), ...own }), environment)
        : null;
    const { codeLeftOut, ...identity } = await identityOf({ ...project.context, place: { ...project.place, root } });
    const record: SweepRecord = {
      id: randomId().toLowerCase(),
      number: this.#nextNumber(),
      job: request.job,
      root,
      identity: plainIdentity(identity),
      codeLeftOut,
      plan,
      state: 'running',
      reason: '',
      createdAt: Date.now(),
      begun: 0,
      seenFailures: 0,
      ...factsOfEnvironment(root, request.job, own),
      python,
      backend: backendOf(request, job),
      ...(engine === null ? {} : { engine, ...(request.nodes === undefined ? {} : { nodes: request.nodes }) }),
      gpu: request.gpu ?? job.gpu,
      priority: request.priority ?? 0,
    };
    this.#folder.write(record);
    const sweep = this.#make(record, own);
    try {
      await sweep.startFirst(own);
    } catch (error) {
      sweep.close();
      this.#folder.remove(record.id);
      throw error;
    }
    this.#sweeps.set(record.id, sweep);
    await sweep.look();
    return sweep.summary();
  }

  /** Gives a number at once: another sweep may begin before this one has its first run. */
  #nextNumber(): number {
    this.#newest = Math.max(this.#newest, ...[...this.#sweeps.values()].map((sweep) => sweep.record.number)) + 1;
    return this.#newest;
  }

  /** Lists all sweeps, the newest first. */
  async list(): Promise<SweepSummary[]> {
    const newest = [...this.#sweeps.values()].sort((a, b) => b.record.number - a.record.number);
    return Promise.all(newest.map((sweep) => sweep.summary()));
  }

  async show(query: string | undefined): Promise<{ sweep: SweepSummary; runs: Run[] }> {
    const sweep = this.#find(query);
    return { sweep: await sweep.summary(), runs: await sweep.runs() };
  }

  async change(
    query: string | undefined,
    to: 'pause' | 'resume' | 'stop',
    environment?: Environment,
  ): Promise<SweepSummary> {
    const sweep = this.#find(query);
    const { state, number, id } = sweep.record;
    const refuse = (allowed: SweepState[], verb: string) => {
      if (allowed.includes(state)) return;
      throw new TrainstashError(
        'wrongStatus',
        `Sweep ${number} is ${state}, so it cannot be ${verb}. Nothing was changed.`,
        { run: id, status: state, allowed },
      );
    };
    if (to === 'pause') refuse(['running'], 'paused');
    if (to === 'stop') refuse(['running', 'paused'], 'stopped');
    if (to === 'resume') refuse(['running', 'paused', 'stopped'], 'resumed');
    await sweep.change(to === 'pause' ? 'paused' : to === 'stop' ? 'stopped' : 'running', environment);
    return sweep.summary();
  }

  #find(query: string | undefined): Sweep {
    const all = [...this.#sweeps.values()].sort((a, b) => a.record.number - b.record.number);
    const found =
      query === undefined || query === 'last' ? all.at(-1) : all.find(({ record }) => isNamed(record, query));
    if (found) return found;
    throw new TrainstashError(
      'notFound',
      all.length === 0
        ? 'There are no sweeps yet. `trainstash sweep JOB --set lr=1e-3,3e-4` starts one.'
        : `There is no sweep "${query}". \`trainstash sweep ls\` lists them.`,
      { what: 'sweep', query: query ?? '' },
    );
  }

  #make(record: SweepRecord, environment?: Environment): Sweep {
    const { project, width, announce, log } = this.#setup;
    const parts = {
      ...{ project, width, announce, log },
      write: (changed: SweepRecord) => this.#folder.write(changed),
      study: (of: SweepRecord, known: Environment | undefined) =>
        new Study({
          python: of.python ?? 'python3',
          program: this.#setup.program,
          environment: known?.environment ?? {},
          journal: this.#folder.journalOf(of.id),
          name: of.id,
          plan: of.plan,
          mode: metricOf(of.plan, [])?.mode ?? 'min',
        }),
    };
    return new Sweep(parts, record, environment);
  }
}

/** Refuses a param that no run of the job has had, and that its code does not mention; `accept` says that it knows it anyway. */
function requireMentioned(
  root: string,
  job: JobConfig,
  { job: name }: PlanRequest,
  plan: SweepPlan,
  earlier: readonly Run[],
): void {
  const had = earlier
    .filter((run) => run.job === name && run.status === 'completed')
    .flatMap(({ params }) => Object.keys(params));
  const known = new Set([...Object.keys(job.params), ...had, 'seed']);
  const asked = Object.keys(plan.params).filter((param) => !known.has(param));
  const param = unmentioned(root, job, asked);
  if (param === null) return;
  throw new TrainstashError(
    'paramUnknown',
    `"${name}" has no param "${param}", and its code does not mention one. Nothing was started. ${listText(known)}--yes starts the sweep anyway.`,
    { param, known: [...known] },
  );
}

function listText(known: ReadonlySet<string>): string {
  const names = [...known].filter((name) => name !== 'seed');
  return names.length > 0 ? `It has ${names.join(', ')}. ` : '';
}

function isNamed({ id, number }: SweepRecord, query: string): boolean {
  return String(number) === query.replace(/^#/, '') || id === query;
}
