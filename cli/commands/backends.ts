/** Commands for what TensorFlow.js trains on. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { statePaths } from '../../client/paths.ts';
import { WEBGPU_VERSION } from '../../protocol/backends.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { backendSurvey } from '../../protocol/messages.ts';
import { backendLines } from '../backend-view.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { draw } from '../output.ts';

export const backendCommands: Record<string, Command> = {
  doctor: {
    summary: 'try the back ends of TensorFlow.js, and say what to install',
    usage: '[--again]',
    options: { again: { type: 'boolean' } },
    words: [0, 0],
    run: (context) => survey(context, context.args.flag('again')),
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

async function survey(context: Context, again: boolean): Promise<number> {
  const client = await context.project();
  if (process.stderr.isTTY) draw('Trying each, up to half a minute…');
  try {
    const result = await client.request(backendSurvey, {
      root: context.root,
      environment: context.environment(),
      again,
    });
    clearLine();
    context.answer(result, backendLines(result.findings, result.auto, Math.min(context.width, 100)));
  } finally {
    clearLine();
  }
  return 0;
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
