/**
 * Engine for Ray, by its Jobs API. Its nodes see a folder, as those of a cluster do: the job starts `node-run` there. A submission has an id
 * of ours, which Ray takes once, and a folder of its own in which a job begins once.
 */
import type { EngineConfig } from '../../../protocol/engines.ts';
import { PLACE_FILES } from '../../../protocol/task.ts';
import { AnswerLost, type Engine, type JobState, type Submission, type Submitted, type TestStep } from '../contract.ts';
import { notCancelled, notTaken, unreachable, unusable } from '../errors.ts';
import { inOrder, JobFolders, jobIds } from '../job-folders.ts';
import type { Reach } from '../reach.ts';
import { exportLines, nodeLines, programText, quoted, UNSET } from '../script.ts';
import { watchTrial } from '../test-job.ts';
import { type Answer, ask } from './rest.ts';
import { fieldsOf, jobsIn, reasonIn } from './states.ts';

const SCRIPT_FILE = 'run.sh';
/** Answer to what is not known. */
const NOT_FOUND = 404;
/** First status that is no success. */
const NO_SUCCESS = 300;
/** Withdraws a job that has not begun. Ends well if it never will: a job that waits for a GPU stays in Ray's queue after a stop. */
const WITHDRAW = 'mkdir "$1/taken" 2> /dev/null && : > "$1/void"; [ -e "$1/void" ]';
/** Ray's words for a head whose own processes are not all there yet, and the time that they get. */
const NO_AGENT = /no available agent/i;
const AGENT_WAIT_MS = 60_000;
const LOOK_MS = 500;
/** Failures of the way before anything was sent. */
const NOT_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

export class RayEngine implements Engine {
  readonly type = 'ray';
  readonly name: string;
  readonly reach: Reach;
  readonly #config: EngineConfig;
  /** Jobs that were withdrawn before they began. */
  readonly #withdrawn = new Set<string>();
  readonly #folders: JobFolders;

  constructor(name: string, config: EngineConfig, reach: Reach) {
    this.name = name;
    this.#config = config;
    this.reach = reach;
    this.#folders = new JobFolders(reach, config);
  }

  async submit({ places, key, name, nodes, secrets, program, graceSeconds }: Submission): Promise<Submitted> {
    const fields = fieldsOf(this.#config.options);
    if (typeof fields === 'string') throw unusable(this.name, fields);
    if (nodes > 1) throw unusable(this.name, 'a job of Ray begins on one node');
    const jobs = jobIds(key, places);
    for (const [i, place] of places.entries()) {
      const own = await this.#folders.of(jobs[i]!);
      const text = scriptOf({ places: [place], program }, own, this.#config.setup);
      await this.reach.write(`${own}/secrets.sh`, [...exportLines(secrets), ''].join('\n'));
      await this.reach.write(`${own}/${SCRIPT_FILE}`, text);
    }
    try {
      for (const job of jobs) await this.#send(job, name, graceSeconds, fields);
    } catch (error) {
      if (!(error instanceof AnswerLost)) for (const job of jobs) await this.cancel(job).catch(() => {});
      throw error;
    }
    return { jobs, startsAgain: false, notices: [] };
  }

  async #send(job: string, name: string, graceSeconds: number, fields: Record<string, unknown>): Promise<void> {
    const body = {
      ...fields,
      submission_id: job,
      entrypoint: `exec bash ${quoted(`${await this.#folders.of(job)}/${SCRIPT_FILE}`)}`,
      // Ray kills three seconds after it has asked, unless it is told otherwise.
      runtime_env: { env_vars: { RAY_JOB_STOP_WAIT_TIME_S: String(Math.ceil(graceSeconds)) } },
      metadata: { name, trainstash: job },
    };
    let answer: Answer;
    try {
      answer = await this.#post(body);
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      if (NOT_SENT.includes(code)) throw unreachable(this.name, message || code);
      if (await this.#knows(job)) return;
      throw new AnswerLost(message);
    }
    if (answer.status < NO_SUCCESS) return;
    // A submission whose answer did not arrive, and that was sent again on the way.
    if (await this.#knows(job)) return;
    throw notTaken(this.name, reasonIn(answer.text) || `Ray answered with ${answer.status}`);
  }

  /** Posts a job, and again while a head that has just begun has no process to take it. */
  async #post(body: object): Promise<Answer> {
    for (const until = Date.now() + AGENT_WAIT_MS; ; ) {
      const answer = await ask(this.#config.address!, 'POST', 'api/jobs/', body);
      if (answer.status < NO_SUCCESS || !NO_AGENT.test(answer.text) || Date.now() > until) return answer;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async #knows(job: string): Promise<boolean> {
    return this.#list().then(
      (jobs) => jobs.has(job),
      () => false,
    );
  }

  async find(key: string): Promise<string[]> {
    const isOf = (id: string) => id === key || id.startsWith(`${key}_`);
    return inOrder([...(await this.#list()).keys()].filter(isOf));
  }

  async poll(jobs: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
    const known = await this.#list();
    return new Map(jobs.map((job) => [job, this.#stateOf(job, known.get(job))]));
  }

  #stateOf(job: string, known: JobState | undefined): JobState {
    const base = { nodes: '', restarts: 0, reason: '' };
    // A head that was restarted knows no jobs, and ends what runs with its nodes' processes; node-run makes sure of it.
    if (!known) return { ...base, phase: 'ended', end: this.#withdrawn.has(job) ? 'cancelled' : 'lost' };
    if (known.phase !== 'ended' && this.#withdrawn.has(job)) return { ...base, phase: 'ended', end: 'cancelled' };
    return known;
  }

  async cancel(job: string): Promise<void> {
    const own = await this.#folders.of(job);
    const { code } = await this.reach.run(['sh', '-c', WITHDRAW, 'sh', own]);
    if (code === 0) this.#withdrawn.add(job);
    const byHand = `ray job stop ${job}`;
    const answer = await this.#call('POST', `api/jobs/${job}/stop`);
    if (answer.status >= NO_SUCCESS && answer.status !== NOT_FOUND)
      throw notCancelled(this.name, job, reasonIn(answer.text), byHand);
  }

  async *test(work: Submission): AsyncIterable<TestStep> {
    const { status, text } = await this.#call('GET', 'api/version');
    const version = /"ray_version": *"([^"]+)"/.exec(text)?.[1];
    const found = version ? `Ray ${version}` : `${this.#config.address} answered with ${status}, which is no Ray`;
    yield { what: 'the head', isFine: version !== undefined, text: found };
    if (version === undefined) return;
    const { jobs } = await this.submit(work);
    yield { what: 'a job', isFine: true, text: `${jobs[0]} was submitted` };
    yield* watchTrial(this, jobs[0]!, work.places[0]);
    await this.#call('DELETE', `api/jobs/${jobs[0]}`);
    await this.reach.remove(await this.#folders.of(jobs[0]!));
  }

  close(): void {
    this.reach.close();
  }

  async #list(): Promise<Map<string, JobState>> {
    const { status, text } = await this.#call('GET', 'api/jobs/');
    const jobs = status < NO_SUCCESS ? jobsIn(text) : null;
    if (jobs) return jobs;
    throw unreachable(this.name, reasonIn(text) || `${this.#config.address} answered with ${status}`);
  }

  async #call(method: 'GET' | 'POST' | 'DELETE', path: string): Promise<Answer> {
    try {
      return await ask(this.#config.address!, method, path);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw unreachable(this.name, `${this.#config.address}: ${message || code}`);
    }
  }
}

function scriptOf(
  { places: [place], program }: Pick<Submission, 'places' | 'program'>,
  own: string,
  setup: readonly string[],
): string {
  return [
    '#!/bin/bash',
    '# Made by Trainstash. A life of the run begins here, once.',
    `own=${quoted(own)} place=${quoted(place)}`,
    `mkdir "$own/taken" || { echo 'trainstash: this job was withdrawn, or has begun already.' >&2; exit 1; }`,
    UNSET,
    // Into Ray's own log too. A stop of Ray asks every process to end, and this one has to print what the others say then.
    `exec > >(trap '' TERM INT HUP; exec tee -a "$place/${PLACE_FILES.log}") 2>&1`,
    '. "$own/secrets.sh"; rm -f "$own/secrets.sh"',
    ...setup,
    ...nodeLines(program),
    'cd || exit 1',
    `exec ${programText(program)} "$place"`,
    '',
  ].join('\n');
}
