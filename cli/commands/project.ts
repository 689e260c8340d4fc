/** Commands for the project, its store and the daemon. */
import { readFileSync } from 'node:fs';
import { statePaths } from '../../client/paths.ts';
import * as m from '../../protocol/messages.ts';
import { age, bytes, integer } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { safe } from '../format.ts';
import { requestTask } from '../task.ts';
import { ask } from '../terminal.ts';
import { field, fsckLines, keptLines, usageLines } from '../views.ts';

export const projectCommands: Record<string, Command> = {
  init: {
    summary: 'make a trainstash.json for this project',
    usage: '[SCRIPT]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project('look', { create: true });
      const result = await client.request(m.projectInit, { root: context.root, module: context.args.words[0] });
      context.answer(result, [
        result.created
          ? `Wrote ${result.config}. \`trainstash run train\` starts its job.`
          : `${result.config} is there already; nothing was changed.`,
      ]);
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
      const result = await client.request(m.projectJobs, { root: context.root });
      const lines = result.jobs.map((job) => field(job.name, job.what));
      context.answer(result, [
        ...result.warnings,
        ...(lines.length > 0 ? lines : ['No jobs. `trainstash init` makes a trainstash.json.']),
      ]);
      return 0;
    },
  },
  keep: {
    summary: 'make a job of the command that a run was started with',
    usage: 'RUN [NAME] [--trust]',
    options: TRUST_OPTION,
    words: [1, 2],
    async run(context) {
      const client = await context.project('write');
      const [run, name] = context.args.words as [string, string | undefined];
      const kept = await client.request(m.jobKeep, { root: context.root, run, name });
      context.answer(kept, [`${kept.config} has the job "${kept.job}". \`trainstash run ${kept.job}\` starts it.`]);
      return 0;
    },
  },
  rm: {
    summary: 'move a run or checkpoint to the trash; --undo brings it back',
    usage: 'RUN|CHECKPOINT [--undo]',
    options: { undo: { type: 'boolean' } },
    words: [1, 1],
    async run(context) {
      const client = await context.project();
      const target = context.args.words[0]!;
      const undo = context.args.flag('undo');
      const result = await client.request(m.runRemove, { root: context.root, target, undo });
      const what = `${safe(result.removed[0]!)}${result.removed.length > 1 ? ` and ${result.removed.length - 1} checkpoints` : ''}`;
      context.answer(result, [
        undo
          ? `${what} is back.`
          : `${what} (${bytes(result.bytes)}) is in the trash for 7 days; \`trainstash rm ${target} --undo\` brings it back.`,
      ]);
      return 0;
    },
  },
  gc: {
    summary: 'delete what is expired and give space back; --pack: smaller, now',
    usage: '[--empty-trash] [--pack] | --why [RUN]',
    options: { 'empty-trash': { type: 'boolean' }, pack: { type: 'boolean' }, why: { type: 'boolean' } },
    words: [0, 1],
    async run(context) {
      const [run] = context.args.words;
      const why = context.args.flag('why');
      if (run !== undefined && !why) throw new UsageError('gc takes a run only with --why');
      const client = await context.project();
      if (why) {
        const { runs } = await client.request(m.storeKept, { root: context.root, run });
        context.answer(runs, keptLines(runs, context.width));
        return 0;
      }
      const result = await client.request(m.storeGc, {
        root: context.root,
        emptyTrash: context.args.flag('empty-trash'),
      });
      const packed = context.args.flag('pack')
        ? await requestTask(client, m.storePack, { root: context.root }, 'Packing')
        : null;
      context.answer({ ...result, ...packed }, [
        `${integer(result.removedCheckpoints)} checkpoints and ${integer(result.removedChunks)} chunks deleted, ${bytes(result.returnedBytes)} given back.`,
        ...(packed ? [`Checkpoints take ${bytes(packed.savedBytes)} less than before.`] : []),
        ...(packed?.noRoom ? ['Not all could be packed: less than 512 MB are free on this disk.'] : []),
      ]);
      return 0;
    },
  },
  fsck: {
    summary: 'read and check everything; --rebuild makes the catalog anew',
    usage: '[--rebuild]',
    options: { rebuild: { type: 'boolean' } },
    words: [0, 0],
    async run(context) {
      // A store that cannot be opened is looked at all the same.
      const client = await context.client();
      const report = await client.request(m.storeFsck, { root: context.root, rebuild: context.args.flag('rebuild') });
      context.answer(report, fsckLines(report));
      return report.problems.length === 0 ? 0 : 1;
    },
  },
  where: {
    summary: 'where the store is, and how large',
    usage: '',
    options: {},
    words: [0, 0],
    async run(context) {
      const client = await context.project();
      const { project, usage } = await client.request(m.projectWhere, { root: context.root });
      context.answer({ project, usage }, [
        field('project', project.root),
        field('store', `${project.store}${project.madeElsewhere ? ' (made elsewhere: only looked at)' : ''}`),
        ...usageLines(usage),
      ]);
      return 0;
    },
  },
  eject: {
    summary: 'all checkpoints back as plain files, store gone',
    usage: '[--to FOLDER] [--yes] [--trust]',
    options: { to: { type: 'string' }, yes: { type: 'boolean', short: 'y' }, ...TRUST_OPTION },
    words: [0, 0],
    async run(context) {
      const client = await context.project('write');
      const directory = context.args.text('to') ?? 'trainstash-ejected';
      const { project } = await client.request(m.projectWhere, { root: context.root });
      if (
        !context.args.flag('yes') &&
        !(await ask(context, `Write all checkpoints to ${directory} and delete ${project.store}?`))
      ) {
        console.error('Nothing was changed. --yes does it without asking.');
        return 1;
      }
      const result = await client.request(m.storeEject, { root: context.root, directory });
      context.answer(result, [
        `${integer(result.checkpoints)} checkpoints (${bytes(result.bytes)}) are in ${result.directory}; ${project.store} is gone.`,
      ]);
      return 0;
    },
  },
  daemon: {
    summary: 'status, stop or logs of the background process',
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
    const { live } = await client.request(m.daemonStop, {});
    await client.closed;
    context.answer({ running: false, live }, [
      live > 0 ? `Stopped. ${live} trainings go on without it; the next command takes them over again.` : 'Stopped.',
    ]);
    return 0;
  }
  const status = await client.request(m.daemonStatus, {});
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
