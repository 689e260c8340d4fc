/** Commands for what TensorFlow.js trains on. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { statePaths } from '../../client/paths.ts';
import { WEBGPU_VERSION } from '../../protocol/backends.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { backendSurvey } from '../../protocol/messages.ts';
import { backendLines } from '../backend-view.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { type Check, checkLines, projectChecks } from '../doctor.ts';
import { draw } from '../output.ts';

export const backendCommands: Record<string, Command> = {
  doctor: {
    summary: 'look at git, store and hook; try the back ends of TensorFlow.js',
    usage: '[--again]',
    options: { again: { type: 'boolean' } },
    words: [0, 0],
    run: doctor,
  },
  gpu: {
    summary: 'fetch the WebGPU back end from npm, for all projects, and try it',
    usage: '',
    options: {},
    words: [0, 0],
    async run(context) {
      const folder = statePaths().backends;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      if (!context.json) context.write(`Fetching webgpu ${WEBGPU_VERSION} into ${folder} (130 MB)…\n`);
      fetchPackage(`webgpu@${WEBGPU_VERSION}`, folder);
      return survey(context, true);
    },
  },
};

async function doctor(context: Context): Promise<number> {
  let checks: Check[];
  try {
    checks = await projectChecks(await context.project(), context.root);
  } catch (error) {
    // Without git there is no project to try back ends for.
    if (!isError(error, 'gitUnusable') && !isError(error, 'storeUnusable')) throw error;
    const what = error.code === 'gitUnusable' ? 'git' : 'store';
    checks = [{ what, ok: false, text: error.message }];
    context.answer({ checks }, checkLines(checks));
    return 1;
  }
  if (!context.json) for (const line of [...checkLines(checks), '']) context.write(`${line}\n`);
  return survey(context, context.args.flag('again'), checks);
}

async function survey(context: Context, again: boolean, checks: Check[] = []): Promise<number> {
  const client = await context.project();
  if (process.stderr.isTTY) draw('Trying each, up to half a minute…');
  try {
    const result = await client.request(backendSurvey, {
      root: context.root,
      environment: context.environment(),
      again,
    });
    clearLine();
    context.answer({ checks, ...result }, backendLines(result.findings, result.auto, Math.min(context.width, 100)));
  } finally {
    clearLine();
  }
  return checks.every(({ ok }) => ok) ? 0 : 1;
}

function clearLine(): void {
  if (process.stderr.isTTY) draw('');
}

function fetchPackage(name: string, folder: string): void {
  // Without it npm would look for a project above.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  // Its install script does nothing that is needed.
  const words = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', name];
  const { status, error } = spawnSync('npm', words, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  const reason = error ? 'npm was not found on PATH' : `npm could not fetch ${name}`;
  throw new TrainstashError(
    'backendUnavailable',
    `${reason}; nothing was changed. Without npm, put the package "webgpu" into ${folder}/node_modules.`,
    { backend: 'webgpu', reason },
  );
}
