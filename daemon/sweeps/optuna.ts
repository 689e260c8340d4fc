/** The process in which Optuna draws and prunes for one sweep: a Python of the project's, with a request and an answer a line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import * as v from 'valibot';
import { namedRecord } from '../../protocol/any-names.ts';
import type { Params } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { SweepPlan } from '../../protocol/sweep.ts';
import { trainingEnvironment } from '../../session/launch.ts';

/** Longest wait for an answer: Optuna waits half a minute for a lock that a killed process has left. */
const ANSWER_MS = 120_000;
const PROBE_MS = 20_000;

const failure = v.object({ error: v.picklist(['missing', 'failed']), text: v.string() });
const trial = v.pipe(v.number(), v.integer(), v.minValue(0));
const drawn = v.object({ trial, params: namedRecord(v.string(), v.unknown()) });
const verdict = v.object({ prune: v.boolean(), step: v.optional(v.number()) });
const chosen = v.object({ trials: v.array(trial) });
const done = v.object({ ok: v.boolean() });
const greeting = v.object({ version: v.string() });

export interface StudySetup {
  python: string;
  /** File of the engine's program. */
  program: string;
  environment: Readonly<Record<string, string>>;
  journal: string;
  name: string;
  plan: SweepPlan;
  mode: 'min' | 'max';
}

export class Study {
  readonly #setup: StudySetup;
  #child: ChildProcess | null = null;
  #lines: AsyncIterator<string> | null = null;
  #reader: Interface | null = null;
  #said = '';

  constructor(setup: StudySetup) {
    this.#setup = setup;
  }

  /** Starts the process. Throws `samplerMissing` if Optuna cannot be imported or used. */
  async open(): Promise<void> {
    if (this.#child) return;
    const { python, program, environment, journal, name, plan, mode } = this.#setup;
    const child = spawn(python, [program], {
      // Not in the project's folder, which Python would look for modules in.
      cwd: '/',
      env: trainingEnvironment({ ...environment }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#said = '';
    child.once('error', (error) => {
      this.#said = error.message;
    });
    child.stderr.on('data', (data: Buffer) => {
      this.#said = `${this.#said}${data}`.slice(-2_000);
    });
    // A process that is gone does not take its request.
    child.stdin.on('error', () => {});
    this.#reader = createInterface({ input: child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    await this.#answer(greeting);
    await this.#ask({ do: 'open', journal, name, mode, plan }, done);
  }

  /** Draws params for a new trial. `known`: trials that have runs; `paused`: those whose runs were ended early. */
  async draw(known: readonly number[], paused: readonly number[]): Promise<{ trial: number; params: Params }> {
    return (await this.#ask({ do: 'ask', known, paused }, drawn)) as { trial: number; params: Params };
  }

  /** Reports values by step. Returns whether the run is to end early, and the step that says so. */
  report(
    of: number,
    points: readonly (readonly [step: number, value: number])[],
  ): Promise<v.InferOutput<typeof verdict>> {
    return this.#ask({ do: 'report', trial: of, points }, verdict);
  }

  /** Lists the trials whose paused runs may go on, the most promising first. `final`: no new ones follow. */
  async promotable(paused: readonly number[], final: boolean): Promise<number[]> {
    return (await this.#ask({ do: 'promote', paused, final }, chosen)).trials;
  }

  async tell(of: number, state: 'COMPLETE' | 'PRUNED' | 'FAIL', value: number | null): Promise<void> {
    await this.#ask({ do: 'tell', trial: of, state, value }, done);
  }

  /** Ends the process. The journal keeps everything; the next request needs `open` again. */
  close(): void {
    this.#reader?.close();
    this.#child?.stdin?.end();
    this.#child?.kill();
    this.#child = null;
  }

  async #ask<T>(request: object, schema: v.GenericSchema<unknown, T>): Promise<T> {
    if (!this.#child) await this.open();
    this.#child!.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.#answer(schema);
  }

  async #answer<T>(schema: v.GenericSchema<unknown, T>): Promise<T> {
    const line = await this.#nextLine();
    const parsed = line === null ? null : parse(line);
    const answer = v.safeParse(schema, parsed);
    if (answer.success) return answer.output;
    const failed = v.safeParse(failure, parsed);
    if (!failed.success || failed.output.error === 'missing') this.close();
    throw samplerMissing(
      [this.#setup.python],
      failed.success ? failed.output.text : this.#said.trim().split('\n').at(-1) || 'it ended without an answer',
    );
  }

  async #nextLine(): Promise<string | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), ANSWER_MS);
    });
    try {
      return await Promise.race([this.#lines!.next().then(({ value, done: ended }) => (ended ? null : value)), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Finds the first Python that has Optuna. Throws `samplerMissing` with all that were tried. */
export async function pythonWithOptuna(
  candidates: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  const unique = [...new Set(candidates)];
  for (const python of unique) if (await hasOptuna(python, environment)) return python;
  throw samplerMissing(unique, null);
}

function hasOptuna(python: string, environment: Readonly<Record<string, string>>): Promise<boolean> {
  return new Promise((resolve) => {
    const words = ['-c', 'import importlib.util, sys; sys.exit(importlib.util.find_spec("optuna") is None)'];
    const child = spawn(python, words, {
      cwd: '/',
      env: trainingEnvironment({ ...environment }),
      stdio: 'ignore',
      timeout: PROBE_MS,
    });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}

/** Makes the error of a sweep without a working Optuna. `said`: what it said; null: it is not installed. */
function samplerMissing(tried: readonly string[], said: string | null): TrainstashError {
  const where = tried.length > 0 ? tried.join(', ') : 'no Python was found';
  const text =
    said === null
      ? `Optuna is not installed: looked in ${where}. Nothing was started. \`${tried[0] ?? 'python'} -m pip install optuna\` installs it; --sampler random needs none.`
      : `Optuna does not work in ${where}: ${said}. Runs and checkpoints are as they were.`;
  return new TrainstashError('samplerMissing', text, { tried: [...tried], said });
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
