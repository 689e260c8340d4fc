/** Engine for Kubernetes: Jobs, by `kubectl` on this machine or through `ssh`. Its folder is a volume that the pods see at the same path. */
import type { EngineConfig } from '../../../protocol/engines.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import { AnswerLost, type Engine, type JobState, type Submission, type Submitted, type TestStep } from '../contract.ts';
import { unusable } from '../errors.ts';
import type { Ran, Reach } from '../reach.ts';
import { jobName, KEY_LABEL, type KubernetesSettings, MANAGED, manifestOf } from './manifest.ts';
import { jobsWith, statesIn } from './states.ts';

/** Words of `kubectl` for a server that does not answer; it has one exit code for all failures. */
const CUT_OFF =
  /unable to connect to the server|connection refused|i\/o timeout|no such host|tls handshake|net\/http|etcdserver|serviceunavailable|too many requests|was refused - did you specify/i;
/** Words among them after which a submission may have arrived all the same. */
const MAY_HAVE_ARRIVED = /timeout|timed out|EOF|connection reset/i;

export class KubernetesEngine implements Engine {
  readonly type = 'kubernetes';
  readonly name: string;
  readonly reach: Reach;
  readonly #config: EngineConfig;
  readonly #settings: KubernetesSettings;
  readonly #folder: string;

  constructor(name: string, config: EngineConfig, reach: Reach, folder: string) {
    if (!config.kubernetes) throw unusable(name, '"kubernetes" is missing, with "image" and "claim"');
    this.name = name;
    this.reach = reach;
    this.#config = config;
    this.#settings = config.kubernetes;
    this.#folder = folder;
  }

  async submit(work: Submission): Promise<Submitted> {
    if (work.nodes > 1) throw unusable(this.name, 'a job of several pods is not made; "nodes" has to be 1');
    if (this.#folder.startsWith('~'))
      throw unusable(this.name, '"folder" has to be absolute: pods see the volume there');
    const jobs = work.places.map((_, i) => jobName(work, i));
    const ran = await this.#kubectl(['create', '-f', '-'], JSON.stringify(this.#manifestOf(work))).catch((error) => {
      if (!isError(error, 'engineUnreachable')) throw error;
      throw new AnswerLost(error.data.reason);
    });
    if (ran.code === 0) return { jobs, startsAgain: true, notices: [] };
    const said = ran.stderr.trim() || `kubectl ended with ${ran.code}`;
    if (ran.code !== null && MAY_HAVE_ARRIVED.test(said)) throw new AnswerLost(lastLine(said));
    if (ran.code === null || CUT_OFF.test(said)) throw this.#unreachable(said);
    // Of several some may be there.
    await this.#kubectl(['delete', 'jobs', '-l', `${KEY_LABEL}=${work.key}`, '--ignore-not-found', '--wait=false']);
    throw this.#refused(said);
  }

  async find(key: string): Promise<string[]> {
    return jobsWith(key, await this.#call(['get', 'jobs', '-l', `${KEY_LABEL}=${key}`, '-o', 'json']));
  }

  async poll(jobs: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
    const states = statesIn(await this.#call(['get', 'jobs,pods', '-l', MANAGED, '-o', 'json']));
    if (!states) throw this.#unreachable('it has printed no list');
    const unknown: JobState = { phase: 'gone', reason: '', nodes: '', restarts: 0 };
    return new Map(jobs.map((job) => [job, states.get(job) ?? unknown]));
  }

  /** Deletes the Job; its pod gets SIGTERM and the grace. */
  async cancel(job: string): Promise<void> {
    await this.#call(['delete', 'job', job, '--ignore-not-found', '--cascade=foreground', '--wait=false']);
  }

  /** Looks at what a run needs, and has the server check its manifest without making anything. */
  async *test(work: Submission): AsyncIterable<TestStep> {
    for (const [what, words] of [
      ['kubectl', ['version']],
      ['permission to create jobs', ['auth', 'can-i', 'create', 'jobs']],
      ['permission to see pods', ['auth', 'can-i', 'list', 'pods']],
      ['the volume', ['get', 'pvc', this.#settings.claim]],
      ['the manifest', ['create', '--dry-run=server', '-f', '-']],
    ] as const) {
      const input = what === 'the manifest' ? JSON.stringify(this.#manifestOf(work)) : undefined;
      const { code, stdout, stderr } = await this.#kubectl(words, input);
      yield { what, isFine: code === 0, text: lastLine(stdout) || lastLine(stderr) || `kubectl ended with ${code}` };
      if (code !== 0) return;
    }
  }

  close(): void {
    this.reach.close();
  }

  #manifestOf(work: Submission) {
    return manifestOf(work, this.#config, this.#settings, this.#folder);
  }

  #kubectl(words: readonly string[], input?: string): Promise<Ran> {
    const { namespace } = this.#settings;
    const where = namespace === undefined ? [] : [`--namespace=${namespace}`];
    return this.reach.run(
      ['kubectl', ...where, '--request-timeout=30s', ...words],
      input === undefined ? {} : { input },
    );
  }

  async #call(words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#kubectl(words);
    if (code === 0) return stdout;
    const said = stderr.trim() || `kubectl ended with ${code}`;
    throw code === null || CUT_OFF.test(said) ? this.#unreachable(said) : this.#refused(said);
  }

  #refused(said: string): TrainstashError<'engineRefused'> {
    const reason = lastLine(said);
    return new TrainstashError(
      'engineRefused',
      `${this.name} refused: ${reason}. \`trainstash engine test ${this.name}\` says what is missing.`,
      { engine: this.name, reason },
    );
  }

  #unreachable(said: string): TrainstashError<'engineUnreachable'> {
    const reason = lastLine(said);
    return new TrainstashError(
      'engineUnreachable',
      `${this.name} does not answer: ${reason}. What runs there goes on. \`trainstash engine test ${this.name}\` says which step fails.`,
      { engine: this.name, reason },
    );
  }
}

function lastLine(said: string): string {
  return (said.trim().split('\n').at(-1) ?? '')
    .replace(/^(error|Error from server)[^:]*: /, '')
    .replace(/\.$/, '')
    .slice(0, 300);
}
