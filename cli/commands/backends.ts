/** Commands for the TensorFlow.js backends. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { statePaths } from '../../base/paths.ts';
import type { Client } from '../../client/connect.ts';
import { WEBGPU_VERSION } from '../../protocol/backends.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { backendSurvey } from '../../protocol/messages/backend.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { UsageError } from '../arguments.ts';
import { backendLines } from '../backend-view.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { type Check, checkLines, projectChecks } from '../doctor.ts';
import { draw } from '../output.ts';
import { installTensorFlow, planInstall, removeTensorFlow } from '../tensorflow-install.ts';
import { ask } from '../terminal.ts';

export const backendCommands: Record<string, Command> = {
  doctor: {
    summary: 'check git, the store and the hook, and try the backends',
    usage: '[--again] [--trust]',
    options: { again: { type: 'boolean' }, ...TRUST_OPTION },
    words: [0, 0],
    run: doctor,
  },
  backend: {
    summary: 'install or remove a backend for all projects: webgpu or tensorflow',
    usage: 'install|remove webgpu|tensorflow [--python PATH] [--yes] [--trust]',
    options: { python: { type: 'string' }, yes: { type: 'boolean', short: 'y' }, ...TRUST_OPTION },
    words: [2, 2],
    run: changeBackend,
  },
  gpu: {
    summary: 'the same as `backend install webgpu`',
    usage: '[--trust]',
    options: TRUST_OPTION,
    words: [0, 0],
    run: installWebgpu,
  },
};

async function changeBackend(context: Context): Promise<number> {
  const [action, name] = context.args.words as [string, string];
  if (action !== 'install' && action !== 'remove') throw new UsageError(`"${action}" is neither install nor remove`);
  if (name !== 'webgpu' && name !== 'tensorflow')
    throw new UsageError(
      `"${name}" is neither webgpu nor tensorflow; the other backends need no installation by Trainstash`,
    );
  if (action === 'remove') return removeBackend(context, name);
  return name === 'webgpu' ? installWebgpu(context) : installTensorflow(context);
}

function installWebgpu(context: Context): Promise<number> {
  const folder = statePaths().backends;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!context.json) context.write(`Installing webgpu ${WEBGPU_VERSION} into ${folder} (130 MB)…\n`);
  fetchPackage(`webgpu@${WEBGPU_VERSION}`, folder);
  return survey(context, true);
}

async function installTensorflow(context: Context): Promise<number> {
  const folder = statePaths().backends;
  const plan = planInstall(context.args.text('python'));
  const question = `Install ${plan.what} with ${plan.python} into ${folder} (${plan.size})?`;
  if (!context.args.flag('yes') && !(await ask(context, question)))
    throw new TrainstashError('cancelled', `${question} Nothing was installed; \`--yes\` says yes.`, {});
  await installTensorFlow(plan, folder);
  return survey(context, true);
}

function removeBackend(context: Context, name: 'webgpu' | 'tensorflow'): number {
  const folder = statePaths().backends;
  const isRemoved = name === 'tensorflow' ? removeTensorFlow(folder) : removePackage(folder, name);
  const text = isRemoved
    ? `Removed ${name} from ${folder}.`
    : `Trainstash has not installed ${name}, so nothing was removed.`;
  context.answer({ removed: isRemoved }, [text]);
  return 0;
}

function removePackage(folder: string, name: string): boolean {
  const path = join(folder, 'node_modules', name);
  const isThere = existsSync(path);
  rmSync(path, { recursive: true, force: true });
  return isThere;
}

async function doctor(context: Context): Promise<number> {
  let checks: Check[];
  try {
    checks = await projectChecks(await context.project(), context.root);
  } catch (error) {
    // Without git there is no project to try backends for.
    const isGit = isError(error, 'gitUnusable');
    if (!isGit && !isError(error, 'storeUnusable') && !isError(error, 'storeForeign')) throw error;
    const what = isGit ? 'git' : 'store';
    checks = [{ what, ok: false, text: error.message }];
    context.answer({ checks }, checkLines(checks));
    return 1;
  }
  if (!context.json) for (const line of [...checkLines(checks), '']) context.write(`${line}\n`);
  return survey(context, context.args.flag('again'), checks);
}

/** Tries the backends. It runs no code of an untrusted folder: it names the folder's packages, and asks. */
async function survey(context: Context, again: boolean, checks: Check[] = []): Promise<number> {
  const client = await context.client();
  const { root } = context;
  const opened = await client.request(projectOpen, { root, trusted: context.args.flag('trust') });
  const first = await surveyed(context, client, { again, ownOnly: !opened.trusted });
  const { untried } = first;
  const names = untried.map(({ backend, from }) => `${backend} (${from})`).join(', ');
  const loads =
    untried.length > 0 &&
    (await ask(
      context,
      `This folder contains ${names}, not loaded so far. Trust the folder and load ${untried.length === 1 ? 'it' : 'them'}?`,
    ));
  if (loads) await client.request(projectOpen, { root, trusted: true });
  const result = loads ? await surveyed(context, client, { again, ownOnly: false }) : first;
  context.answer({ checks, ...result }, backendLines(result, Math.min(context.width, 100)));
  return checks.every(({ ok }) => ok) ? 0 : 1;
}

async function surveyed(context: Context, client: Client, options: { again: boolean; ownOnly: boolean }) {
  if (process.stderr.isTTY) draw('Trying each backend; this can take half a minute…');
  try {
    const { root } = context;
    return await client.request(backendSurvey, { root, environment: context.environment(), ...options });
  } finally {
    clearLine();
  }
}

function clearLine(): void {
  if (process.stderr.isTTY) draw('');
}

function fetchPackage(name: string, folder: string): void {
  // Without this file npm would look for a project in the parent folders.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  // Its install script does nothing that is needed.
  const words = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', name];
  const { status, error } = spawnSync('npm', words, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  const reason = error ? 'npm was not found on PATH' : `npm could not install ${name}`;
  throw new TrainstashError(
    'backendUnavailable',
    `${reason}. Nothing was changed. Without npm, unpack the package "webgpu" into ${folder}/node_modules.`,
    { backend: 'webgpu', reason },
  );
}
