/** Engine for Slurm: on this machine, or through `ssh` on a login node. It asks once for all jobs, and needs no accounting database. */
import { type EngineConfig, type EngineLoad, secondsOf } from '../../../protocol/engines.ts';
import { isError, type TrainstashError } from '../../../protocol/errors.ts';
import { AnswerLost, type Engine, type JobState, type Submission, type Submitted, type TestStep } from '../contract.ts';
import { notCancelled, notTaken, unreachable, unusable } from '../errors.ts';
import type { Ran, Reach } from '../reach.ts';
import { lastLine as lastLineOf, watchTrial } from '../test-job.ts';
import { loadOf, NODE_WORDS, QUEUE_WORDS } from './load.ts';
import { commentOf, refusedOption, sbatchWords, scriptOf } from './script.ts';
import { FIND_WORDS, jobsWith, killWaitIn, mayRequeue, SQUEUE_WORDS, statesIn, submittedId } from './states.ts';

/** Words of Slurm's commands for a controller, or a munge, that does not answer; it has one exit code for all failures. */
const CUT_OFF =
  /unable to contact slurm controller|connection refused|socket timed out|munge|zero bytes were transmitted|unable to establish|communication connection failure|could not resolve|protocol authentication/i;
/** Words among them after which a submission may have arrived all the same. */
const MAY_HAVE_ARRIVED = /timed out|zero bytes were transmitted|communication connection failure/i;
/** Words of `scancel` for a job that has ended. */
const OVER = /invalid job id|already completing or completed/i;
/** Exit code of a command that was killed, here because it took too long. */
const KILLED = 128;

export class SlurmEngine implements Engine {
  readonly type = 'slurm';
  readonly name: string;
  readonly reach: Reach;
  readonly #config: EngineConfig;

  constructor(name: string, config: EngineConfig, reach: Reach) {
    this.name = name;
    this.#config = config;
    this.reach = reach;
  }

  async submit(work: Submission): Promise<Submitted> {
    const { places } = work;
    const refused = refusedOption(this.#config.options);
    if (refused !== null) throw unusable(this.name, refused);
    const id = await this.#idOf(work);
    // The job is there: whatever fails from here on must not make anybody believe that it is not.
    const shown = await this.reach.run(['scontrol', 'show', 'job', '-o', id]).catch(() => null);
    const startsAgain = mayRequeue(shown?.stdout ?? '') !== false;
    return {
      jobs: places.length === 1 ? [id] : places.map((_, i) => `${id}_${i}`),
      startsAgain,
      notices: startsAgain
        ? []
        : [
            'This cluster does not requeue it: after a preemption, or at its time limit, it is submitted as a new job while a daemon runs here.',
          ],
    };
  }

  async #idOf(work: Submission): Promise<string> {
    const input = scriptOf(work, this.#config);
    const ran = await this.reach
      .run(sbatchWords(work, this.#config), { input, environment: work.environment })
      .catch((error) => {
        if (!isError(error, 'engineUnreachable')) throw error;
        return { code: KILLED, stdout: '', stderr: error.data.reason };
      });
    const id = ran.code === 0 ? submittedId(ran.stdout) : null;
    if (id !== null) return id;
    const said = ran.stderr.trim() || ran.stdout.trim() || `sbatch ended with ${ran.code}`;
    const isLost = ran.code === 0 || ran.code === KILLED || MAY_HAVE_ARRIVED.test(said);
    if (!isLost) throw ran.code === null || CUT_OFF.test(said) ? this.#unreachable(said) : this.#refused(said);
    const found = await this.find(work.key).catch(() => []);
    if (found.length === 0) throw new AnswerLost(lastLine(said));
    return found[0]!.split('_')[0]!;
  }

  async find(key: string): Promise<string[]> {
    return jobsWith(commentOf(key), await this.#call(FIND_WORDS));
  }

  async poll(jobs: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
    const states = statesIn(await this.#call(SQUEUE_WORDS));
    const unknown: JobState = { phase: 'gone', reason: '', nodes: '', restarts: 0 };
    return new Map(jobs.map((job) => [job, states.get(job) ?? unknown]));
  }

  async load(): Promise<EngineLoad> {
    return loadOf(await this.#call(NODE_WORDS), await this.#call(QUEUE_WORDS));
  }

  async cancel(job: string): Promise<void> {
    const { code, stderr } = await this.reach.run(['scancel', '--', job]);
    if (code === 0 || OVER.test(stderr)) return;
    if (code === null || CUT_OFF.test(stderr)) throw this.#unreachable(stderr);
    throw notCancelled(this.name, job, lastLine(stderr), `scancel ${job}`);
  }

  async *test(work: Submission): AsyncIterable<TestStep> {
    for (const program of ['sbatch', 'squeue', 'scontrol', 'scancel']) {
      const { code, stdout, stderr } = await this.reach.run([program, '--version']);
      const text =
        code === 0
          ? stdout.trim()
          : `${lastLine(stderr)}. Install Slurm's commands here, or set "host" to a login node.`;
      yield { what: program, isFine: code === 0, text };
      if (code !== 0) return;
    }
    yield* this.#testGrace();
    const submitted = await this.submit(work);
    yield { what: 'a job', isFine: true, text: `${submitted.jobs[0]} was submitted` };
    for (const notice of submitted.notices) yield { what: 'requeue', isFine: false, text: notice };
    yield* watchTrial(this, submitted.jobs[0]!, work.places[0]);
  }

  /** Compares the grace with what the cluster gives. */
  async *#testGrace(): AsyncIterable<TestStep> {
    const { stdout } = await this.reach.run(['scontrol', 'show', 'config']);
    const [given, wanted] = [killWaitIn(stdout), secondsOf(this.#config.grace)];
    if (given === null) return;
    const text = `the cluster kills ${given} s after it has asked a job to end (KillWait), and "grace" is ${wanted} s`;
    const isFine = wanted <= given;
    yield {
      what: 'grace',
      isFine,
      text: isFine ? text : `${text}: set it to "${given}s" or less, so that each end is recorded before the kill`,
    };
  }

  close(): void {
    this.reach.close();
  }

  async #call(words: readonly string[], options: Parameters<Reach['run']>[1] = {}): Promise<string> {
    const ran: Ran = await this.reach.run(words, options);
    if (ran.code === 0) return ran.stdout;
    const said = ran.stderr.trim() || `${words[0]} ended with ${ran.code}`;
    throw ran.code === null || CUT_OFF.test(said) ? this.#unreachable(said) : this.#refused(said);
  }

  #refused(said: string): TrainstashError<'engineRefused'> {
    return notTaken(this.name, lastLine(said));
  }

  #unreachable(said: string): TrainstashError<'engineUnreachable'> {
    return unreachable(this.name, lastLine(said));
  }
}

/** Returns the last line that a command has printed, without its own name. */
function lastLine(said: string): string {
  return lastLineOf(said)
    .replace(/^(sbatch|squeue|scancel|scontrol|srun|slurmstepd): (error: )?/, '')
    .replace(/\.$/, '');
}
