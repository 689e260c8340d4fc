/** Commands that start, continue and end trainings. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { LIVE_STATUSES, type Run } from '../../protocol/domain.ts';
import type { PreflightDifference } from '../../protocol/errors.ts';
import * as m from '../../protocol/messages.ts';
import { bytes, duration, integer } from '../../protocol/words.ts';
import { parseParams } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, hint } from '../context.ts';
import { followRun } from '../follow.ts';
import { paint, safe } from '../format.ts';
import { ask, interrupted } from '../terminal.ts';
import { field } from '../views.ts';

const START_OPTIONS = {
  detach: { type: 'boolean', short: 'd' },
  queue: { type: 'boolean' },
  restarts: { type: 'string' },
  backend: { type: 'string' },
} as const;
const RESUME_OPTIONS = {
  ...START_OPTIONS,
  from: { type: 'string' },
  set: { type: 'string', multiple: true },
  current: { type: 'string', multiple: true },
  yes: { type: 'boolean', short: 'y' },
} as const;

export const runningCommands: Record<string, Command> = {
  run: {
    summary: 'start a training',
    usage: 'JOB [--param NAME=VALUE]… [--seed N] [--detach] [--queue] [--restarts N] [--no-daemon]',
    options: {
      ...START_OPTIONS,
      param: { type: 'string', multiple: true, short: 'p' },
      seed: { type: 'string' },
      'no-daemon': { type: 'boolean' },
    },
    words: [1, 1],
    async run(context) {
      const { args, root } = context;
      const params = parseParams(args.texts('param'), 'param');
      if (args.flag('no-daemon')) return runWithoutDaemon(context, params);
      const client = await context.project();
      const { warnings } = await client.request(m.projectJobs, { root });
      for (const warning of warnings) console.error(paint('yellow', warning));
      const started = await client.request(m.runStart, {
        root,
        job: args.words[0]!,
        params,
        environment: context.environment(),
        ...startOptions(context),
        seed: args.count('seed'),
      });
      return afterStart(context, started, 'Started');
    },
  },
  resume: {
    summary: 'go on with a run from a checkpoint',
    usage: '[RUN] [--from STEP|CHECKPOINT|TAG|best] [--set NAME=VALUE]… [--current NAME]… [--yes] [--detach]',
    options: RESUME_OPTIONS,
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const options = resumeOptions(context);
      const { run, checkpoint, differences } = await client.request(m.runPreflight, options);
      const accept = context.args.flag('yes') || differences.length === 0 || (await confirm(context, differences));
      if (!accept) return refused(context, run, differences);
      const resumed = await client.request(m.runResume, { ...options, run: run.id, accept });
      return afterStart(
        context,
        resumed,
        checkpoint ? `Resumed from step ${integer(checkpoint.step)}:` : 'Started again from the beginning:',
      );
    },
  },
  fork: {
    summary: 'start a new run from a checkpoint of another',
    usage: 'RUN [--from STEP|CHECKPOINT|TAG|best] [--set NAME=VALUE]… [--yes] [--detach]',
    options: RESUME_OPTIONS,
    words: [1, 1],
    async run(context) {
      const client = await context.project();
      const fork = await client.request(m.runFork, { ...resumeOptions(context), accept: context.args.flag('yes') });
      return afterStart(context, fork, `Forked at step ${integer(fork.parent?.step ?? 0)}:`);
    },
  },
  pause: {
    summary: 'save and end a run, to be resumed later',
    usage: '[RUN] [--detach]',
    options: { detach: { type: 'boolean', short: 'd' } },
    words: [0, 1],
    run: (context) => endRun(context, m.runPause, {}),
  },
  stop: {
    summary: 'save and end a run for good; --force kills one that hangs',
    usage: '[RUN] [--force] [--detach]',
    options: { force: { type: 'boolean' }, detach: { type: 'boolean', short: 'd' } },
    words: [0, 1],
    run: (context) => endRun(context, m.runStop, { force: context.args.flag('force') }),
  },
  checkpoint: {
    summary: 'take a checkpoint of a running run now',
    usage: '[RUN] [--tag NAME]',
    options: { tag: { type: 'string' } },
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const run = await context.runOrDefault(context.args.words[0]);
      const checkpoint = await client.request(m.runCheckpoint, {
        root: context.root,
        run,
        tag: context.args.text('tag'),
      });
      context.answer(checkpoint, [
        `Checkpoint ${checkpoint.id} of step ${integer(checkpoint.step)} is stored (${bytes(checkpoint.bytes)}).`,
      ]);
      return 0;
    },
  },
};

async function endRun(context: Context, message: typeof m.runPause | typeof m.runStop, extra: object): Promise<number> {
  const client = await context.project();
  const run = await context.runOrDefault(context.args.words[0]);
  let state: Run = await client.request(message, { root: context.root, run, ...extra });
  if (!context.args.flag('detach')) {
    const isTerminal = context.isTerminal && !context.json;
    const write = context.json ? () => {} : context.write;
    state = await followRun(client, state, {
      ...followOptions(context),
      isTerminal,
      write,
      until: ({ status }) => !LIVE_STATUSES.includes(status),
    });
  }
  const at = state.lastCheckpoint ? ` Its newest checkpoint is of step ${integer(state.lastCheckpoint.step)}.` : '';
  context.answer(state, [
    `${safe(state.name)} is ${state.status}${state.reason ? ` (${safe(state.reason)})` : ''}.${at}`,
  ]);
  return 0;
}

async function afterStart(context: Context, run: Run, verb: string): Promise<number> {
  if (context.json || context.args.flag('detach') || run.status === 'queued') {
    context.answer(run, [
      `${verb} ${safe(run.name)} (${run.status}).`,
      `  \`trainstash log ${hint(run)} -f\` follows it, \`trainstash pause ${hint(run)}\` pauses it.`,
    ]);
    return 0;
  }
  context.write(
    `${verb} ${paint('bold', safe(run.name))}${run.label ? ` · ${safe(run.label)}` : ''}. Ctrl-C leaves it running.\n`,
  );
  const client = await context.client();
  const ended = await followRun(client, run, {
    ...followOptions(context),
    isTerminal: context.isTerminal,
    write: context.write,
    until: ({ status }) => !LIVE_STATUSES.includes(status),
  });
  if (LIVE_STATUSES.includes(ended.status)) {
    context.write(`${safe(ended.name)} goes on. \`trainstash pause ${hint(ended)}\` pauses it.\n`);
    return 0;
  }
  const seconds = ((ended.endedAt ?? Date.now()) - (ended.startedAt ?? ended.createdAt)) / 1000;
  context.write(
    `${safe(ended.name)} ${ended.status} after ${duration(seconds)}${ended.reason ? `: ${safe(ended.reason)}` : ''}.\n`,
  );
  if (['failed', 'lost', 'paused'].includes(ended.status) && ended.lastCheckpoint)
    context.write(`\`trainstash resume ${hint(ended)}\` goes on from step ${integer(ended.lastCheckpoint.step)}.\n`);
  return ended.status === 'failed' || ended.status === 'lost' ? 1 : 0;
}

function followOptions(context: Context) {
  return { root: context.root, width: context.width, detached: interrupted(), reconnect: () => context.reconnect() };
}

function startOptions(context: Context) {
  const { args } = context;
  return { queue: args.flag('queue'), restarts: args.count('restarts'), backend: args.text('backend') };
}

function resumeOptions(context: Context) {
  const { args } = context;
  return {
    root: context.root,
    environment: context.environment(),
    run: args.words[0],
    from: args.text('from'),
    set: parseParams(args.texts('set'), 'set'),
    current: args.texts('current'),
    ...startOptions(context),
  };
}

async function confirm(context: Context, differences: readonly PreflightDifference[]): Promise<boolean> {
  if (!context.isTerminal || context.json) return false;
  for (const line of differenceLines(differences)) context.write(`${line}\n`);
  return ask(context, 'Resume all the same?');
}

function refused(context: Context, run: Run, differences: PreflightDifference[]): number {
  if (context.json)
    context.write(`${JSON.stringify({ error: { code: 'preflightDiffers', data: { differences } } })}\n`);
  else {
    console.error(`${safe(run.name)} was not resumed. Since its checkpoint something has changed:`);
    for (const line of differenceLines(differences)) console.error(line);
    console.error('Nothing was started. --yes resumes all the same; --current NAME takes the new value of a param.');
  }
  return 3;
}

function differenceLines(differences: readonly PreflightDifference[]): string[] {
  return differences.map(({ kind, name, checkpoint, current }) =>
    field(`${kind} ${name}`.trim(), `${safe(checkpoint)} then, ${paint('yellow', safe(current))} now`),
  );
}

/** The trainer does everything itself; a daemon takes the run over when one is started later. */
function runWithoutDaemon(context: Context, params: object): number {
  const { args, dist, root } = context;
  const request = JSON.stringify({
    root,
    job: args.words[0],
    params,
    seed: args.count('seed'),
    backend: args.text('backend'),
  });
  const { status } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(dist, 'standalone.js'), request],
    { stdio: 'inherit' },
  );
  return status ?? 1;
}
