/** Commands for the project, its store and the daemon. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { statePaths } from '../../base/paths.ts';
import { daemonStatus, daemonStop } from '../../protocol/messages/daemon.ts';
import { jobKeep, projectInit, projectJobs, projectWhere, storesFolder } from '../../protocol/messages/project.ts';
import { storeEject, storeFsck } from '../../protocol/messages/store.ts';
import { age, bytes, counted } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { paint, safe } from '../format.ts';
import { hookAdvice } from '../hook.ts';
import { printError } from '../output.ts';
import { ask } from '../terminal.ts';
import { field, fsckLines, usageLines } from '../views.ts';

export const projectCommands: Record<string, Command> = {
  init: {
    summary: 'create a trainstash.json for this project',
    usage: '[SCRIPT]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project('look', { create: true });
      const result = await client.request(projectInit, { root: context.root, module: context.args.words[0] });
      const { config, created, runs, why } = result;
      const lines = created
        ? [
            `Wrote ${config}. Its job "train" runs ${safe(runs ?? '')} (${safe(why ?? '')}). \`trainstash run train\` starts it.`,
          ]
        : [`${config} exists already; nothing was changed.`];
      if (runs?.startsWith('python '))
        lines.push(
          'Checkpoints that the script saves are found automatically. Set "resume" to the command that continues from one.',
        );
      context.answer(result, lines);
      return 0;
    },
  },
  jobs: {
    summary: 'list the jobs of this project',
    usage: '',
    options: {},
    words: [0, 0],
    async run(context) {
      const client = await context.project();
      const result = await client.request(projectJobs, { root: context.root });
      const lines = result.jobs.map((job) => field(job.name, job.what));
      context.answer(result, [
        ...result.warnings,
        ...(lines.length > 0 ? lines : ['No jobs. `trainstash init` creates a trainstash.json.']),
      ]);
      return 0;
    },
  },
  keep: {
    summary: "save a run's command as a job in trainstash.json",
    usage: 'RUN [NAME] [--trust]',
    options: TRUST_OPTION,
    words: [1, 2],
    async run(context) {
      const client = await context.project('write');
      const [run, name] = context.args.words as [string, string | undefined];
      const kept = await client.request(jobKeep, { root: context.root, run, name });
      context.answer(kept, [
        `Added the job "${kept.job}" to ${kept.config}. \`trainstash run ${kept.job}\` starts it.`,
      ]);
      return 0;
    },
  },
  fsck: {
    summary: 'read and verify the whole store; --rebuild rebuilds the catalog',
    usage: '[--full] [--rebuild]',
    options: { full: { type: 'boolean' }, rebuild: { type: 'boolean' } },
    words: [0, 0],
    async run(context) {
      // A store that cannot be opened is checked too.
      const client = await context.client();
      const [full, rebuild] = [context.args.flag('full'), context.args.flag('rebuild')];
      const report = await client.request(storeFsck, { root: context.root, rebuild, full });
      context.answer(report, fsckLines(report, full));
      return report.problems.length === 0 ? 0 : 1;
    },
  },
  where: {
    summary: 'show where the store is and how large it is',
    usage: '[--stores FOLDER]',
    options: { stores: { type: 'string' } },
    words: [0, 0],
    async run(context) {
      const stores = context.args.text('stores');
      if (stores !== undefined) {
        const { folder } = await (await context.client()).request(storesFolder, { folder: resolve(stores) });
        if (!context.json)
          context.write(`Stores of projects on network file systems are in ${safe(folder)} from now on.\n`);
      }
      const client = await context.project();
      const { project, usage } = await client.request(projectWhere, { root: context.root });
      const advice = [...project.advice, ...hookAdvice(context.root, project)];
      context.answer({ project, usage }, [
        field('project', project.root),
        field('store', `${project.store}${project.madeElsewhere ? ' (made elsewhere: read-only)' : ''}`),
        ...usageLines(usage),
        ...advice.map((text) => paint('yellow', `! ${text}`)),
      ]);
      return 0;
    },
  },
  eject: {
    summary: 'write all checkpoints as plain files and delete the store',
    usage: '[--to FOLDER] [--yes] [--trust]',
    options: { to: { type: 'string' }, yes: { type: 'boolean', short: 'y' }, ...TRUST_OPTION },
    words: [0, 0],
    async run(context) {
      const client = await context.project('write');
      const directory = context.args.text('to') ?? 'trainstash-ejected';
      const { project } = await client.request(projectWhere, { root: context.root });
      if (
        !context.args.flag('yes') &&
        !(await ask(context, `Write all checkpoints to ${directory} and delete ${project.store}?`))
      ) {
        printError('Nothing was changed. --yes skips the question.\n');
        return 1;
      }
      const result = await client.request(storeEject, { root: context.root, directory });
      context.answer(result, [
        `${counted(result.checkpoints, 'checkpoint')} (${bytes(result.bytes)}) ${result.checkpoints === 1 ? 'is' : 'are'} in ${result.directory}; ${project.store} is gone.`,
      ]);
      return 0;
    },
  },
  daemon: {
    summary: 'show the status or the log of the daemon, or stop it',
    usage: 'status|stop|logs',
    options: {},
    words: [1, 1],
    run: daemonCommand,
  },
};

async function daemonCommand(context: Context): Promise<number> {
  const action = context.args.words[0]!;
  if (action === 'logs') {
    const { log } = statePaths();
    const text = readIfThere(log);
    context.answer({ file: log, text }, text ? [text.trimEnd()] : [`No log yet at ${log}.`]);
    return 0;
  }
  if (action !== 'status' && action !== 'stop') throw new UsageError('Usage: trainstash daemon status|stop|logs');
  const client = await context.clientIfRunning();
  if (!client) {
    context.answer({ running: false }, ['No daemon is running. Any other command starts one.']);
    return action === 'stop' ? 0 : 1;
  }
  if (action === 'stop') {
    const { live } = await client.request(daemonStop, {});
    await client.closed;
    context.answer({ running: false, live }, [
      live > 0
        ? `Stopped. ${counted(live, 'training continues', 'trainings continue')} without it; the next command starts a daemon that takes ${live === 1 ? 'it' : 'them'} over.`
        : 'Stopped.',
    ]);
    return 0;
  }
  const status = await client.request(daemonStatus, {});
  context.answer({ running: true, ...status }, [
    field('daemon', `${status.build.version}, process ${status.pid}, started ${age(status.startedAt)}`),
    field('memory', bytes(status.residentBytes)),
    field('clients', String(status.clients)),
    field('node', status.node),
    field('sqlite', status.sqlite),
    field('state', status.stateDirectory),
    ...status.live.map(({ name, status: state, root }) => field(state, `${safe(name)} in ${root}`)),
  ]);
  return 0;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
