/**
 * Rebuilds the packages that belong to original code: an environment beside its private copy, as the original lock file says. Only
 * where a person asks for it. The user's own environments are left alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../../base/files.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { trainingEnvironment } from '../../../session/launch.ts';
import type { ProjectContext } from '../context.ts';
import { splitWords } from './command.ts';
import { programOf } from './environments.ts';
import type { Plan } from './plan.ts';
import { type Ended, runToEnd } from './run-to-end.ts';
import { LOCKS, type Lock, lockIn, pythonOfThen } from './then.ts';

const WINDOWS = process.platform === 'win32';
const TAIL_CHARACTERS = 2_000;
/** The stack of a Python traceback. Its last line, which names the error, is not part of it. */
const STACK = /^Traceback \(most recent call last\):\r?\n(?:[ \t].*\r?\n)*/gm;
const CONDA_UNTRIED =
  ' conda was run with Trainstash by hand from a channel in a folder, and never with packages from a registry.';
/** Variables that would lead an installer to another environment than the new one. */
const MISLEADING =
  /^(VIRTUAL_ENV|CONDA_PREFIX.*|CONDA_DEFAULT_ENV|PYTHONHOME|PYTHONPATH|PIP_(TARGET|PREFIX|ROOT|USER|PYTHON|REQUIRE_VIRTUALENV|DRY_RUN)|UV_(PROJECT_ENVIRONMENT|PROJECT|PYTHON|NO_SYNC|SYSTEM_PYTHON))$/;

const markerSchema = v.object({ lock: v.picklist(LOCKS), digest: v.string(), folder: v.string() });

export interface RebuiltEnvironment {
  python: string;
  folder: string;
  lock: Lock;
  /** False: an earlier request has made it. */
  isNew: boolean;
}

export interface Asked {
  environment: Record<string, string>;
  /** Python that the environment is made with, if the request names one. */
  interpreter?: string;
}

export interface Watcher {
  signal: AbortSignal;
  progress(done: number, total: number): void;
}

/** Environments that are being made, by the copies that they are for. */
const underWay = new Map<string, Promise<unknown>>();

/**
 * Makes the environment of a plan's original code, unless it is there. Rejects with `environmentFailed`, `notFound`,
 * `paramInvalid`, `commandMissing`.
 */
export async function rebuildEnvironment(
  context: ProjectContext,
  { original, ...plan }: Plan,
  asked: Asked,
  watcher: Watcher,
): Promise<RebuiltEnvironment> {
  const { folder } = original!;
  for (let before = underWay.get(folder); before; before = underWay.get(folder)) await before.catch(() => {});
  const made = makeOnce(context, folder, plan, asked, watcher);
  underWay.set(folder, made);
  try {
    return await made;
  } finally {
    underWay.delete(folder);
  }
}

/** Tells whether a Python is of the environment that was made for this copy. */
export function isRebuilt(copy: string, python: string): boolean {
  return python.startsWith(prefixOf(copy));
}

/** Variables by which `uv run` in a copy leaves today's `.venv` alone, to which the copy has a link. */
export function uvVariables(copy: string, interpreter: string | undefined): Record<string, string> {
  const isOfThen = interpreter !== undefined && isRebuilt(copy, interpreter);
  return { UV_NO_SYNC: '1', ...(isOfThen && { UV_PROJECT_ENVIRONMENT: dirname(dirname(interpreter)) }) };
}

async function makeOnce(
  context: ProjectContext,
  copy: string,
  plan: Omit<Plan, 'original'>,
  asked: Asked,
  watcher: Watcher,
): Promise<RebuiltEnvironment> {
  const lock = requireLock(copy, plan);
  requireChangeable(plan, lock);
  const digest = createHash('sha256')
    .update(lock)
    .update(readFileSync(join(copy, lock)))
    .digest('hex');
  const known = readMarker(copy);
  if (known?.digest === digest && existsSync(pythonIn(known.folder)))
    return { python: pythonIn(known.folder), folder: known.folder, lock, isNew: false };
  // Chosen before leftovers are removed: it may be one of them.
  const base = asked.interpreter ?? pythonOfThen(context, plan.checkpoint);
  rmSync(markerOf(copy), { force: true });
  removeLeftovers(copy);
  // A name of its own: what a daemon that died was installing may still go on.
  const folder = `${prefixOf(copy)}${randomBytes(4).toString('hex')}`;
  try {
    const python = base !== null && existsSync(base) ? base : null;
    await install(lock, { copy, folder, python, root: context.place.root, asked }, watcher);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  writeJson(markerOf(copy), { lock, digest, folder: basename(folder) });
  return { python: pythonIn(folder), folder, lock, isNew: true };
}

function requireLock(copy: string, { run }: Omit<Plan, 'original'>): Lock {
  const lock = lockIn(copy);
  if (lock !== null) return lock;
  throw new TrainstashError(
    'notFound',
    `The original code of ${run.name} has no ${LOCKS.slice(0, -1).join(', ')} or ${LOCKS.at(-1)}, so nothing says which packages it had. Nothing was started; without \`--environment then\` it runs with today's.`,
    { what: 'file', query: run.name },
  );
}

/** Refuses a command that would not use the environment. */
function requireChangeable({ job, run }: Omit<Plan, 'original'>, lock: Lock): void {
  const words = typeof job.run === 'string' ? (splitWords(job.run) ?? []) : (job.run ?? []);
  const [program = ''] = words;
  if (/^python3?$/.test(program) || (lock === 'uv.lock' && program === 'uv')) return;
  const why =
    job.run === undefined
      ? 'it has no command, and trains in Trainstash’s own Node'
      : `its command begins with \`${program}\`, and only \`python\` can be another one`;
  throw new TrainstashError(
    'paramInvalid',
    `${run.name} cannot use another environment: ${why}. Nothing was started; without \`--environment then\` it runs with today's packages.`,
    { param: 'environment', expected: 'a command that begins with python' },
  );
}

interface Place {
  copy: string;
  folder: string;
  /** The original Python; null: it is gone. */
  python: string | null;
  root: string;
  asked: Asked;
}

async function install(lock: Lock, place: Place, watcher: Watcher): Promise<void> {
  const { copy, folder, root, asked } = place;
  const kept = Object.entries(trainingEnvironment(asked.environment)).filter(([name]) => !MISLEADING.test(name));
  const environment: Record<string, string> = Object.fromEntries(kept);
  const find = (program: string) => {
    const found = programOf([program], { cwd: copy, root, environment, interpreter: undefined });
    if (found !== null) return found;
    throw new TrainstashError(
      'commandMissing',
      `The original environment is made from its ${lock} by \`${program}\`, which is not on the PATH. Nothing was started. Install it, or leave \`--environment then\` out to train with today's packages.${untried(lock)}`,
      { program, searched: [] },
    );
  };
  const steps: [program: string, ...words: string[]][] = [];
  if (lock === 'uv.lock') {
    const python = place.python === null ? [] : ['--python', place.python];
    steps.push([find('uv'), 'sync', '--frozen', '--project', copy, ...python]);
    environment.UV_PROJECT_ENVIRONMENT = folder;
  } else if (lock === 'conda-lock.yml') {
    steps.push([find('conda-lock'), 'install', '-p', folder, join(copy, lock)]);
  } else {
    steps.push([place.python ?? find('python3'), '-m', 'venv', folder]);
    steps.push([pythonIn(folder), '-m', 'pip', 'install', '--disable-pip-version-check', '-r', join(copy, lock)]);
  }
  const say = packagesSaid(join(copy, lock), watcher);
  for (const [program, ...words] of steps) {
    const ended = await runToEnd(program, words, { cwd: copy, env: environment }, watcher.signal, say).catch(
      (error: Error): Ended => ({ code: error.message, output: '' }),
    );
    if (watcher.signal.aborted)
      throw new TrainstashError(
        'cancelled',
        'Cancelled. Nothing was started, and no part of the environment is left.',
        {},
      );
    if (ended.code !== 0 || !existsSync(pythonIn(folder))) throw failed(lock, [basename(program), ...words], ended);
  }
}

/** Says what was not tried with this kind of lock file. */
function untried(lock: Lock): string {
  return lock === 'conda-lock.yml' ? CONDA_UNTRIED : '';
}

function failed(lock: Lock, words: readonly string[], { code, output }: Ended): TrainstashError {
  // conda-lock's own stack is longer than the tail, and stands after what conda has said.
  const tail = output.replace(STACK, '').slice(-TAIL_CHARACTERS).trim();
  const how = code === 0 ? 'ended, but made no Python' : `ended with ${code}`;
  return new TrainstashError(
    'environmentFailed',
    `The original environment could not be made from its ${lock}: \`${words.join(' ')}\` ${how}. Nothing was started, and no part of it is left; without \`--environment then\` the run trains with today's packages.${untried(lock)}${tail === '' ? '' : ` The output:\n${tail}`}`,
    { output: tail },
  );
}

/** Counts the packages that an installer names. Their number is known only as far as the lock file lists them. */
function packagesSaid(path: string, { progress }: Watcher): (text: string) => void {
  const listed = readFileSync(path, 'utf8').match(/^(\[\[package\]\]|- name:|[A-Za-z0-9])/gm)?.length ?? 0;
  let done = 0;
  return (text) => {
    done += text.match(/^(Collecting| \+|Requirement already) /gm)?.length ?? 0;
    progress(done, Math.max(listed, done));
  };
}

function prefixOf(copy: string): string {
  return `${copy}-env-`;
}

function markerOf(copy: string): string {
  return `${copy}-env.json`;
}

function readMarker(copy: string): { digest: string; folder: string } | null {
  try {
    const found = v.parse(markerSchema, readJson(markerOf(copy)));
    return { digest: found.digest, folder: join(dirname(copy), basename(found.folder)) };
  } catch {
    // None, or torn: it is made again.
    return null;
  }
}

function pythonIn(folder: string): string {
  if (!WINDOWS) return join(folder, 'bin', 'python');
  const conda = join(folder, 'python.exe');
  return existsSync(conda) ? conda : join(folder, 'Scripts', 'python.exe');
}

function removeLeftovers(copy: string): void {
  const name = basename(prefixOf(copy));
  for (const entry of readdirSync(dirname(copy)))
    if (entry.startsWith(name)) rmSync(join(dirname(copy), entry), { recursive: true, force: true, maxRetries: 3 });
}
