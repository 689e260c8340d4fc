/** Finds the backend that a training runs on: tries each one once on a machine, and remembers the result. */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { readJson, writeJson } from '../../base/files.ts';
import type { StatePaths } from '../../base/paths.ts';
import { type BackendFinding, type UntriedBackend, unknownBackend } from '../../protocol/backends.ts';
import type { BackendName } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Launch } from '../../protocol/session.ts';
import type { Build } from '../../protocol/version.ts';
import { type Candidate, findCandidates } from './candidates.ts';
import { chooseFastest, rejectionsOf, titleOf } from './choose.ts';
import { probe } from './probe.ts';
import { plainNode } from './runtime.ts';
import { hasBinding, tensorflowVariables } from './tensorflow.ts';

const IDENTIFY_MS = 30_000;
const TRY_MS = 120_000;
const NEEDS_PLAIN_NODE = 'it needs Node 22.15 or newer on your PATH, because VS Code’s own Node forbids its buffers';
/** Variables that a driver may read; others change nothing about a backend. */
const RELEVANT_VARIABLES =
  /^(CUDA_VISIBLE_DEVICES|LD_LIBRARY_PATH|PATH|VK_(DRIVER|ICD)_FILE(NAME)?S|DISPLAY|NVIDIA_.*|TF_.*|MESA_.*|DRI_PRIME)$/;

export interface BackendsSetup {
  /** Bundle of the process that tries a backend. */
  entry: string;
  /** Version of the product: a new one tries again. */
  build: string;
  /** Folder for results, and for the packages of "Set up GPU backend". */
  directory: string;
}

export interface BackendRequest {
  /** Name of a backend, or `auto`. */
  wanted: string;
  /** Folder whose packages may be used, which the user trusts. Null: only the packages that come with Trainstash. */
  root: string | null;
  environment: Record<string, string>;
  /** Environment of the checkpoint to resume from: only the same backend gives the same bits. */
  checkpoint: Record<string, string> | null;
  /** Called before a wait of some seconds, with its reason. */
  tell?(text: string): void;
}

export interface BackendChoice {
  backend: BackendName;
  options: Launch['backendOptions'];
  /** Node to train under. */
  node: string;
  /** Variables that its process needs beside the environment of the request. */
  variables: Record<string, string>;
  /** Empty where the user named the backend. */
  reason: string;
}

export class Backends {
  readonly #setup: BackendsSetup;
  /** Identity of each candidate under the same environment, for as long as the daemon lives. */
  readonly #identified = new Map<string, Promise<BackendFinding>>();
  /** Tail of the queue of trials: two that are timed at once would slow each other down. */
  #trying: Promise<unknown> = Promise.resolve();

  constructor(setup: BackendsSetup) {
    this.#setup = setup;
  }

  /**
   * Chooses a backend. Rejects with `paramInvalid` for an unknown name, with `backendUnavailable` for one that is
   * missing here.
   */
  async choose(request: BackendRequest): Promise<BackendChoice> {
    const { wanted, checkpoint, environment } = request;
    const candidates = this.#candidates(request.root, environment);
    if (wanted !== 'auto') return this.#chooseNamed(wanted, candidates, request);
    const usable = candidates.filter(
      (candidate) => candidate.missing === null && candidate.backend !== 'cpu' && isConsidered(candidate),
    );
    const before = checkpoint && sameBackend(usable, checkpoint);
    if (before && (await this.#identify(before, environment)).problem === null)
      return this.#choiceOf(before, environment, 'the same as for the checkpoint');
    const identified = await Promise.all(usable.map((candidate) => this.#identify(candidate, environment)));
    const sound = usable.filter((_, i) => identified[i]!.problem === null);
    const rejected = rejectionsOf(identified);
    const [first] = sound;
    if (!first) {
      const reason = rejected || 'TRAINSTASH_BACKENDS allows none of the available ones';
      throw new TrainstashError('backendUnavailable', `No backend can be used here: ${reason}. Nothing was started.`, {
        backend: 'auto',
        reason,
      });
    }
    if (sound.length === 1)
      return this.#choiceOf(first, environment, rejected || 'no package of a GPU backend is installed');
    const unknown = usable.filter(
      (candidate, i) => sound.includes(candidate) && !this.#verdictOf(candidate, identified[i]!),
    );
    if (unknown.length > 0) {
      const names = unknown.map(titleOf).join(', ');
      request.tell?.(`Trying the TensorFlow.js backends of this machine once (${names}): up to half a minute.`);
    }
    const findings: BackendFinding[] = [];
    for (const candidate of usable) findings.push(await this.#verdictFor(candidate, environment, false));
    const chosen = chooseFastest(findings);
    if (!chosen) return this.#choiceOf(sound.at(-1)!, environment, rejectionsOf(findings));
    const title = titleOf(chosen.finding);
    return this.#choiceOf(usable.find((one) => titleOf(one) === title)!, environment, chosen.reason);
  }

  /** Lists all backends, each tried unless its verdict is known; `again` forgets verdicts first. */
  async survey(root: string | null, environment: Record<string, string>, again: boolean): Promise<BackendFinding[]> {
    const findings: BackendFinding[] = [];
    if (again) this.#identified.clear();
    for (const candidate of this.#candidates(root, environment))
      findings.push(await this.#verdictFor(candidate, environment, again));
    return findings;
  }

  /** Returns the environment that a training on this backend would report today. Rejects as `choose` does. */
  async environmentNow(request: BackendRequest): Promise<Record<string, string>> {
    const { backend, options } = await this.choose(request);
    const candidates = this.#candidates(request.root, request.environment);
    const candidate = candidates.find((one) => one.backend === backend && one.from !== null);
    const found = candidate ? (await this.#identify(candidate, request.environment)).environment : {};
    return { backend, threads: String(options.threads), ...found };
  }

  /** Lists the backends whose packages a folder brings. Runs none of their code. */
  packagesIn(root: string): UntriedBackend[] {
    // Only what lies in the folder: the Pythons of a person are not its packages.
    const own = this.#candidates(null, {}).flatMap(({ from }) => from ?? []);
    return this.#candidates(root, {}).flatMap(({ backend, from }) =>
      from === null || own.includes(from) ? [] : [{ backend, from }],
    );
  }

  #candidates(root: string | null, environment: Record<string, string>): Candidate[] {
    return findCandidates(root, this.#setup.directory, environment);
  }

  async #chooseNamed(
    wanted: string,
    candidates: readonly Candidate[],
    request: BackendRequest,
  ): Promise<BackendChoice> {
    const own = candidates.filter(({ backend }) => backend === wanted);
    const [first] = own;
    if (!first) throw unknownBackend(wanted);
    if (first.missing !== null) throw missingPackage(first);
    const before = request.checkpoint && sameBackend(own, request.checkpoint);
    return this.#choiceOf(before ?? first, request.environment, '');
  }

  async #choiceOf(candidate: Candidate, environment: Record<string, string>, reason: string): Promise<BackendChoice> {
    const { backend, from, threads } = candidate;
    const node = await this.#nodeFor(candidate, environment);
    if (node === null)
      throw new TrainstashError(
        'backendUnavailable',
        `${backend} cannot be used here: ${NEEDS_PLAIN_NODE}. Nothing was started.`,
        {
          backend,
          reason: NEEDS_PLAIN_NODE,
        },
      );
    return { backend, options: { from, threads }, node, variables: variablesOf(candidate, environment), reason };
  }

  async #nodeFor({ from }: Candidate, environment: Record<string, string>): Promise<string | null> {
    return from === null || !process.versions.electron ? process.execPath : plainNode(environment.PATH ?? '');
  }

  #identify(candidate: Candidate, environment: Record<string, string>): Promise<BackendFinding> {
    if (candidate.from === null) return Promise.resolve(untriedFinding(candidate));
    const key = `${titleOf(candidate)} ${candidate.from} ${candidate.version} ${relevantVariables(environment)}`;
    const known = this.#identified.get(key);
    if (known) return known;
    const probing = this.#probe(candidate, environment, true);
    this.#identified.set(key, probing);
    // A failure is not cached: a device may be plugged in, a driver installed.
    void probing.then(({ problem }) => problem !== null && this.#identified.delete(key));
    return probing;
  }

  /**
   * Returns the verdict of a trial, new or from an earlier one on the same device with the same driver and versions.
   */
  async #verdictFor(
    candidate: Candidate,
    environment: Record<string, string>,
    again: boolean,
  ): Promise<BackendFinding> {
    const identified = await this.#identify(candidate, environment);
    if (identified.problem !== null) return identified;
    const key = this.#keyOf(candidate, identified.environment);
    const known = again ? undefined : this.#verdictOf(candidate, identified);
    if (known) return { ...known, from: candidate.from };
    const turn = this.#trying.then(() => this.#probe(candidate, environment, false));
    this.#trying = turn;
    const finding = { ...(await turn), triedAt: Date.now() };
    // Read again: another verdict may have been written meanwhile.
    mkdirSync(this.#setup.directory, { recursive: true, mode: 0o700 });
    writeJson(this.#file, { ...this.#verdicts(), [key]: finding });
    return finding;
  }

  async #probe(candidate: Candidate, environment: Record<string, string>, identify: boolean): Promise<BackendFinding> {
    const finding = untriedFinding(candidate);
    const node = await this.#nodeFor(candidate, environment);
    if (node === null) return { ...finding, problem: NEEDS_PLAIN_NODE };
    const { entry } = this.#setup;
    const reply = await probe(candidate, {
      node,
      entry,
      environment: { ...environment, ...variablesOf(candidate, environment) },
      identify,
      timeoutMs: identify ? IDENTIFY_MS : TRY_MS,
    });
    return 'reason' in reply ? { ...finding, problem: reply.reason } : { ...finding, ...reply };
  }

  #keyOf(candidate: Candidate, environment: Record<string, string>): string {
    const facts = [titleOf(candidate), candidate.version, availableParallelism(), this.#setup.build];
    const known = Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1));
    return createHash('sha256')
      .update(JSON.stringify([facts, known]))
      .digest('hex')
      .slice(0, 24);
  }

  #verdictOf(candidate: Candidate, { environment }: BackendFinding): BackendFinding | undefined {
    return this.#verdicts()[this.#keyOf(candidate, environment)];
  }

  #verdicts(): Record<string, BackendFinding> {
    const found = readJson(this.#file);
    return found !== null && typeof found === 'object' ? (found as Record<string, BackendFinding>) : {};
  }

  get #file(): string {
    return join(this.#setup.directory, 'verdicts.json');
  }
}

export function backendsOf({ backends }: Pick<StatePaths, 'backends'>, runtime: string, build: Build): Backends {
  const entry = join(runtime, 'probe.js');
  return new Backends({ entry, build: `${build.version}-${build.builtAt}`, directory: backends });
}

/**
 * Tells whether `TRAINSTASH_BACKENDS`, if set, allows a candidate for `auto`: `wasm,cpu` allows only these, and
 * `threads` in it allows wasm to use some.
 */
function isConsidered({ backend, threads }: Candidate): boolean {
  const only = process.env.TRAINSTASH_BACKENDS?.split(',');
  return !only || (only.includes(backend) && (threads === 1 || only.includes('threads')));
}

/** Finds the checkpoint's backend, if possible with the same number of threads (which changes no bits). */
function sameBackend(
  candidates: readonly Candidate[],
  { backend, threads }: Record<string, string>,
): Candidate | undefined {
  const same = candidates.filter((candidate) => candidate.backend === backend);
  return same.find((candidate) => String(candidate.threads) === threads) ?? same[0];
}

/** Describes a candidate without trying it. That is complete for the built-in ones: they run on this processor. */
function untriedFinding({ backend, threads, from, missing }: Candidate): BackendFinding {
  return {
    ...{ backend, threads, from, missing },
    environment:
      from === null && missing === null ? { device: cpus()[0]?.model.trim() ?? 'cpu', node: process.version } : {},
    problem: missing === null ? null : absence(backend, missing),
    stepMs: null,
    unsupported: [],
    triedAt: null,
  };
}

function missingPackage({ backend, missing }: Candidate): TrainstashError<'backendUnavailable'> {
  const reason = absence(backend, missing!);
  const remedies: Partial<Record<BackendName, string>> = {
    webgpu: '`trainstash gpu` installs it for all projects, `npm install --save-dev webgpu` for this one',
    tensorflow: hasBinding() ? '`trainstash backend install tensorflow` installs it' : 'train on webgpu here',
  };
  const remedy = remedies[backend] ?? `\`npm install --save-dev ${missing}\` in the project installs it`;
  return new TrainstashError(
    'backendUnavailable',
    `${backend} cannot be used here: ${reason}. Nothing was started; ${remedy}, and \`--backend auto\` uses an available one.`,
    { backend, reason },
  );
}

/** Says in words what is missing. */
function absence(backend: BackendName, missing: string): string {
  if (backend !== 'tensorflow') return `the npm package "${missing}" is not installed`;
  return hasBinding()
    ? 'no Python here has TensorFlow (2.16 or newer)'
    : `there is no binding to TensorFlow for ${process.platform}-${process.arch}`;
}

function variablesOf({ backend, from }: Candidate, environment: Record<string, string>): Record<string, string> {
  return backend === 'tensorflow' && from !== null ? tensorflowVariables(from, environment) : {};
}

function relevantVariables(environment: Record<string, string>): string {
  return JSON.stringify(
    Object.entries(environment)
      .filter(([name]) => RELEVANT_VARIABLES.test(name))
      .sort(),
  );
}
