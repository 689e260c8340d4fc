/** Engine for any host with SSH: each job is a script of its own there, which outlives the connection. */
import { type EngineConfig, secondsOf } from '../../../protocol/engines.ts';
import { isError, type TrainstashError } from '../../../protocol/errors.ts';
import { AnswerLost, type Engine, type JobState, type Submission, type Submitted, type TestStep } from '../contract.ts';
import { notCancelled, notTaken, unreachable, unusable } from '../errors.ts';
import { inOrder, JobFolders, jobIds } from '../job-folders.ts';
import type { Ran, Reach } from '../reach.ts';
import { lastLine, watchTrial } from '../test-job.ts';
import { AGENT, AGENT_SCRIPT, jobScript, SCRIPT_FILE, SECRETS_FILE, secretsScript } from './script.ts';
import { type HostJob, jobsIn } from './states.ts';

/** Time after the grace from which a job that was asked to end is killed. */
const RESERVE_SECONDS = 30;
const MINUTE = 60;

export class HostEngine implements Engine {
  readonly type = 'ssh';
  readonly name: string;
  readonly reach: Reach;
  readonly #config: EngineConfig;
  readonly #folders: JobFolders;

  constructor(name: string, config: EngineConfig, reach: Reach) {
    this.name = name;
    this.#config = config;
    this.reach = reach;
    this.#folders = new JobFolders(reach, config);
  }

  submit(work: Submission): Promise<Submitted> {
    return this.#submit(work, this.#config.atOnce);
  }

  async #submit({ places, key, nodes, secrets, program }: Submission, slots: number): Promise<Submitted> {
    if (nodes > 1) throw unusable(this.name, 'a host is one node; several make a cluster, with a scheduler');
    const folder = await this.#folders.all();
    const jobs = jobIds(key, places);
    for (const [i, place] of places.entries()) {
      const job = `${folder}/jobs/${jobs[i]}`;
      const { setup } = this.#config;
      await this.reach.write(`${job}/${SECRETS_FILE}`, secretsScript(secrets));
      await this.reach.write(
        `${job}/${SCRIPT_FILE}`,
        jobScript({ places: [place], program }, { job, folder, slots, setup }),
      );
    }
    // Nothing runs before this; afterwards nobody may believe that nothing does.
    const ran = await this.#agent('launch', String(secondsOf(this.#config.grace)), ...jobs).catch((error) => {
      if (isError(error, 'engineUnreachable')) return null;
      throw error;
    });
    if (ran === null || ran.code === null) {
      const found = await this.find(key).catch(() => []);
      if (found.length < jobs.length) throw new AnswerLost(`the connection to ${this.name} was cut`);
    } else if (ran.code !== 0) {
      for (const job of jobs) await this.cancel(job).catch(() => {});
      const reason = lastLine(ran.stderr) || `the agent ended with ${ran.code}`;
      throw ran.code === AGENT.missing ? unusable(this.name, reason) : notTaken(this.name, reason);
    }
    return { jobs, startsAgain: false, notices: [] };
  }

  async find(key: string): Promise<string[]> {
    const { stdout } = await this.#call('find', key);
    return inOrder(stdout.split('\n').filter(Boolean));
  }

  async poll(jobs: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
    const { stdout } = await this.#call('poll', ...jobs);
    const states = jobsIn(stdout);
    return new Map(jobs.map((job) => [job, this.#stateOf(job, states.get(job))]));
  }

  /** A name that leads to several hosts, one after the other, must not make anybody believe that a job has ended. */
  #stateOf(job: string, state: HostJob | undefined): JobState {
    if (!state) throw unreachable(this.name, `it says nothing of its job ${job}`);
    if (!('elsewhere' in state)) return state;
    const text = `its job ${job} runs on ${state.elsewhere}, and another host has answered: "host" has to lead to one only`;
    throw unreachable(this.name, text);
  }

  async cancel(job: string): Promise<void> {
    const minutes = Math.ceil((secondsOf(this.#config.grace) + RESERVE_SECONDS) / MINUTE);
    const { code, stderr } = await this.#agent('cancel', job, String(minutes));
    if (code === 0) return;
    const reason = lastLine(stderr) || `the agent ended with ${code}`;
    throw notCancelled(this.name, job, reason, `ssh ${this.#config.host} kill PID`);
  }

  async *test(work: Submission): AsyncIterable<TestStep> {
    const { jobs } = await this.#submit(work, 0);
    yield {
      what: 'a job',
      isFine: true,
      text: `${jobs[0]} was started, and the connection that has started it is over`,
    };
    yield* watchTrial(this, jobs[0]!, work.places[0]);
    await this.reach.remove(await this.#folders.of(jobs[0]!));
  }

  close(): void {
    this.reach.close();
  }

  async #agent(action: string, ...words: string[]): Promise<Ran> {
    return this.reach.run(['sh', '-s', '--', action, await this.#folders.all(), ...words], { input: AGENT_SCRIPT });
  }

  async #call(action: string, ...words: string[]): Promise<Ran> {
    const ran = await this.#agent(action, ...words);
    if (ran.code !== 0) throw this.#failed(ran);
    return ran;
  }

  #failed({ code, stderr }: Ran): TrainstashError<'engineUnreachable'> {
    return unreachable(this.name, lastLine(stderr) || `the agent ended with ${code}`);
  }
}
