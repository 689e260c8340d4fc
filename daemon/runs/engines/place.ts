/** Prepares the place of a run in an engine's folder: the program, the code, the checkpoint to begin from, and the task. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BUILD } from '../../../base/build.ts';
import { inside } from '../../../base/inside.ts';
import { isPython } from '../../../base/python-words.ts';
import type { Params } from '../../../protocol/domain.ts';
import { type EngineConfig, engineFolder, secondsOf } from '../../../protocol/engines.ts';
import { randomId } from '../../../protocol/ids.ts';
import { maskParams, maskWords } from '../../../protocol/secrets.ts';
import type { Launch } from '../../../protocol/session.ts';
import { PLACE_FILES, type Task } from '../../../protocol/task.ts';
import { COMMAND_VARIABLE, PARAMS_VARIABLE } from '../../../session/launch.ts';
import { copyOut } from '../../code/snapshot.ts';
import type { Engine, ProgramWord } from '../../engines/contract.ts';
import { unusable } from '../../engines/errors.ts';
import type { Reach } from '../../engines/reach.ts';
import type { ProjectContext } from '../context.ts';
import type { Launching } from '../launch/launching.ts';
import { commandOf, givenParams, isOfPackage } from '../launch/prepare.ts';
import { hasMask, realParams } from '../launch/secret-params.ts';
import { newLaunch, newSession } from '../records.ts';
import type { PreparedPlace } from './submit-all.ts';

/** File that the nodes start. */
const PROGRAM = 'node-run.mjs';

/** Folder that all places of an engine are in, and the program that its nodes start. */
export interface Ground {
  folder: string;
  program: ProgramWord[];
  packages: string;
}

/** Makes sure that the engine's folder has the program of this build. */
export async function prepareGround(
  { place, runner }: ProjectContext,
  engine: Engine,
  config: EngineConfig,
): Promise<Ground> {
  const folder = await engine.reach.folder(engineFolder(config));
  const programs = `${folder}/programs/${BUILD.version}-${BUILD.builtAt}`;
  const dist = dirname(runner);
  if (!(await isProgram(engine.reach, programs, readFileSync(join(dist, PROGRAM)))))
    await uploadFrom(place.store, engine.reach, programs, (made) => {
      for (const name of [PROGRAM, 'python']) cpSync(join(dist, name), join(made, name), { recursive: true });
    });
  // A node of this machine's own cluster has the Node that runs here; elsewhere it is found on the PATH.
  const node = config.host === undefined && !process.versions.electron ? process.execPath : 'node';
  return { folder, program: [{ node }, `${programs}/${PROGRAM}`], packages: `${programs}/python` };
}

/** Tells whether the program is there as it is here. One that differs is removed: others may write to that folder. */
async function isProgram(reach: Reach, programs: string, own: Buffer): Promise<boolean> {
  if (!(await reach.stat(programs))) return false;
  const there = await reach.read(`${programs}/${PROGRAM}`, 0, own.length + 1);
  if (there && digestOf(there) === digestOf(own)) return true;
  await reach.remove(programs);
  return false;
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Prepares the place of one submission. Throws `engineUnusable` for what cannot be sent. */
export async function preparePlace(
  context: ProjectContext,
  { engine, config, ground, nodes }: { engine: Engine; config: EngineConfig; ground: Ground; nodes: number },
  { run, job, checkpoint, root, measured }: Launching,
  interpreter: string | undefined,
): Promise<PreparedPlace> {
  const { reach } = engine;
  const { identity } = measured;
  const { store } = context.place;
  if (job.module !== undefined) throw unusable(engine.name, 'a TensorFlow.js module trains on this machine only');
  if (identity.code === null)
    throw unusable(engine.name, 'the code travels as git has it, and this folder is no git repository');
  const facts = checkpoint ? await context.store.requireFacts(checkpoint.id) : null;
  if (facts && !isOfPackage(facts.checkpoint))
    throw unusable(
      engine.name,
      `the script of ${run.name} saves by itself, so its checkpoints are files of this machine`,
    );
  const code = `${ground.folder}/code/${identity.code}`;
  const tree = identity.code;
  if (!(await reach.stat(code)))
    await uploadFrom(store, reach, code, async (made) => {
      rmSync(made, { recursive: true });
      await copyOut(store, tree, made);
    });
  const own = `${ground.folder}/runs/${run.id}`;
  const before = (await reach.list(own)).flatMap(({ name }) => (/^\d+$/.test(name) ? [Number(name)] : []));
  const place = `${own}/${Math.max(0, ...before) + 1}`;
  const dir = `${own}/files`;
  await reach.folder(dir);
  const params = realParams(run, job, context.secrets.of(run.id));
  const { words, variables } = commandOf(job, { run: run.id, dir, params: givenParams(run, job, params) }, null);
  const isReplaced = words[0] === 'python' && interpreter && !job.container;
  const real = [isReplaced ? interpreter : words[0]!, ...words.slice(1)];
  const given = checkpoint && `${PLACE_FILES.given}/${checkpoint.id}`;
  if (checkpoint && given)
    await uploadFrom(store, reach, `${place}/${given}`, async (made) => {
      rmSync(made, { recursive: true });
      await context.store.restoreCheckpoint(checkpoint.id, made);
    });
  if (nodes > 1) requireLauncher(engine.name, config, nodes, real);
  const launch = newLaunch({ ...run, ...identity }, newSession(run, 'train', null), job, root, {
    cwd: code,
    root: code,
    command: {
      words: maskWords(real),
      cwd: job.cwd ? `${code}/${job.cwd}` : code,
      env: maskParams(variables) as Record<string, string>,
      dir,
      checkpoints: job.checkpoints,
      parts: {},
      usesPackage: facts !== null,
      facts: {},
      container: job.container,
    },
    resume: checkpoint && {
      directory: given!,
      checkpoint: checkpoint.id,
      step: checkpoint.step,
      session: checkpoint.session,
      expected: { data: null, backend: null, framework: null },
      params: maskParams(facts?.run.params ?? {}),
      accept: ['data', 'backend', 'package'],
    },
  });
  const task: Task = {
    format: 1,
    run: run.id,
    launch,
    graceSeconds: secondsOf(config.grace),
    lives: config.lives,
    packages: ground.packages,
    nodes,
    launcher: config.launcher,
  };
  await reach.write(`${place}/${PLACE_FILES.task}`, JSON.stringify(task));
  return { place, secrets: secretsOf(real, variables, params, launch) };
}

/** Throws for a job of several nodes each of which would train the whole run by itself. */
function requireLauncher(
  name: string,
  { launcher }: Pick<EngineConfig, 'launcher'>,
  nodes: number,
  [program]: string[],
): void {
  const each = `each of ${nodes} nodes would train the whole run by itself`;
  if (launcher === 'plain')
    throw unusable(name, `${each}, since "launcher" is "plain"; set it to "torchrun" or "accelerate"`);
  if (!isPython(program!))
    throw unusable(
      name,
      `${each}, since ${launcher} starts scripts of Python only, and this command begins with "${program}"`,
    );
}

/** Returns the variables with the command and the params, where the records of them have masks. */
function secretsOf(
  words: readonly string[],
  env: Record<string, string>,
  params: Params,
  { command, params: masked }: Launch,
): Record<string, string> {
  const isWhole = JSON.stringify([words, env]) === JSON.stringify([command!.words, command!.env]);
  const secret = Object.entries(params).filter(([name]) => hasMask((masked as Params)[name]));
  return {
    ...(isWhole ? {} : { [COMMAND_VARIABLE]: JSON.stringify({ words, env }) }),
    ...(secret.length === 0 ? {} : { [PARAMS_VARIABLE]: JSON.stringify(Object.fromEntries(secret)) }),
  };
}

/** Uploads a folder that is made here first, and removed afterwards. */
async function uploadFrom(
  store: string,
  reach: Reach,
  path: string,
  make: (made: string) => void | Promise<void>,
): Promise<void> {
  const made = inside(store, `outgoing-${randomId()}`);
  try {
    mkdirSync(made, { recursive: true, mode: 0o700 });
    await make(made);
    await reach.upload(made, path);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}
