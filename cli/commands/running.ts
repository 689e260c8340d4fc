/** Commands that start, continue and end trainings. */
import { allocationHere } from '../../base/allocation.ts';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Notice, Run } from '../../protocol/domain.ts';
import { isError, type PreflightDifference, type TrainstashError } from '../../protocol/errors.ts';
import { projectJobs } from '../../protocol/messages/project.ts';
import {
  noticeRaised,
  runCheckpoint,
  runFork,
  runPause,
  runPreflight,
  runResume,
  runShow,
  runStart,
  runStartArray,
  runStop,
} from '../../protocol/messages/run.ts';
import { isModelName } from '../../protocol/model-names.ts';
import { INTERRUPTED_STATUSES, isCrash, LIVE_STATUSES } from '../../protocol/status.ts';
import { bytes, duration, integer, resumeWords } from '../../protocol/words.ts';
import { arraySets, parseParams, UsageError } from '../arguments.ts';
import { attach } from '../attach.ts';
import type { Command } from '../command.ts';
import { type Context, hint, TRUST_OPTION } from '../context.ts';
import { CONTROL_OPTIONS, controlOptions, startUrgent } from '../control.ts';
import { copyLog, followRun } from '../follow.ts';
import { refuseInside, requireOutside, runWithoutDaemon } from '../foreground.ts';
import { paint, safe, wrapped } from '../format.ts';
import { codeOption, environmentOfThen } from '../original-code.ts';
import { printError, printJson, printRaw } from '../output.ts';
import { askAboutPush } from '../remote-offers.ts';
import { pullNamed } from '../remote-target.ts';
import { afterArray, afterSubmitting } from '../submitted.ts';
import { ask, interrupted } from '../terminal.ts';
import { field } from '../views.ts';

const START_OPTIONS = {
  detach: { type: 'boolean', short: 'd' },
  queue: { type: 'boolean' },
  on: { type: 'string' },
  nodes: { type: 'string' },
  ...CONTROL_OPTIONS,
  restarts: { type: 'string' },
  backend: { type: 'string' },
  python: { type: 'string' },
  ...TRUST_OPTION,
} as const;
const START_USAGE =
  '[--on ENGINE] [--nodes N] [--backend NAME] [--python PATH] [--detach] [--queue] [--gpu 1|0,1|shared] [--priority N] [--after RUN] [--at 22:00] [--max-hours N] [--max-steps N] [--restarts N] [--trust]';
const RESUME_USAGE = `[--from STEP|CHECKPOINT|TAG|best] [--set NAME=VALUE]… [--current NAME]… [--yes] ${START_USAGE}`;

const RESUME_OPTIONS = {
  ...START_OPTIONS,
  from: { type: 'string' },
  set: { type: 'string', multiple: true },
  current: { type: 'string', multiple: true },
  yes: { type: 'boolean', short: 'y' },
} as const;

export const runningCommands: Record<string, Command> = {
  run: {
    summary: 'start a training: a job, or any command after --',
    usage: `JOB | -- COMMAND…  [-p|--param NAME=VALUE]… [--array NAME=A,B] [--seed N] ${START_USAGE} [--urgent [--yes]] [--no-daemon]`,
    acceptsCommand: true,
    options: {
      ...START_OPTIONS,
      param: { type: 'string', multiple: true, short: 'p' },
      array: { type: 'string' },
      seed: { type: 'string' },
      urgent: { type: 'boolean' },
      yes: { type: 'boolean', short: 'y' },
      'no-daemon': { type: 'boolean' },
    },
    words: [0, 1],
    async run(context) {
      const { args, root } = context;
      const { command } = args;
      if ((args.words.length === 0) === (command === null) || command?.length === 0)
        throw new UsageError(
          'Name a job (`trainstash run train`), or give a command: `trainstash run -- python train.py`.',
        );
      const params = parseParams(args.texts('param'), 'param');
      const allocation = allocationHere();
      const isSent = args.text('on') !== undefined;
      if (allocation && !isSent) refuseInside(context, allocation);
      if (args.flag('no-daemon') || (allocation && !isSent)) return runWithoutDaemon(context, params);
      const client = await context.project('run');
      const { warnings } = await client.request(projectJobs, { root });
      for (const warning of warnings) printError(`${paint('yellow', safe(warning))}\n`);
      await askAboutPush(context, client, args.words[0]);
      client.on(noticeRaised, ({ notice }) => {
        if (notice.code === 'tryingBackends' && context.isTerminal) printError(`${paint('dim', safe(notice.text))}\n`);
      });
      const request = {
        root,
        job: args.words[0] ?? 'command',
        ...(command ? { command, cwd: root } : {}),
        params,
        environment: context.environment(),
        ...startOptions(context),
        seed: args.count('seed'),
      };
      if (args.text('array') !== undefined) {
        const sets = arraySets(args.text('array')!);
        return afterArray(context, await client.request(runStartArray, { ...request, sets }));
      }
      if (args.flag('urgent')) return afterStart(context, await startUrgent(context, client, request), 'Started');
      return afterStart(context, await client.request(runStart, request), 'Started');
    },
  },
  resume: {
    summary: 'continue a run from a checkpoint',
    usage: `[RUN[@STEP] | REMOTE/RUN[@STEP]] ${RESUME_USAGE} [--code then [--environment then]] [-- COMMAND…]`,
    acceptsCommand: true,
    options: { ...RESUME_OPTIONS, code: { type: 'string' }, environment: { type: 'string' } },
    words: [0, 1],
    async run(context) {
      if (context.args.text('on') === undefined) requireOutside('resume');
      const client = await context.project('run');
      const pulled = await pullNamed(context, client, context.args.words[0]);
      const code = codeOption(context);
      const named = { ...resumeOptions(context), ...pulled, ...code };
      const options = { ...named, ...(await environmentOfThen(context, client, named)) };
      const { run, checkpoint, differences } = await client.request(runPreflight, options);
      const accept = context.args.flag('yes') || differences.length === 0 || (await confirm(context, differences));
      if (!accept) return refused(context, run, differences);
      const resumed = await client.request(runResume, { ...options, run: run.id, accept });
      return afterStart(context, resumed, resumedAs(resumed, checkpoint));
    },
  },
  fork: {
    summary: 'start a new run from a checkpoint of another run',
    usage: `RUN[@STEP] | REMOTE/RUN[@STEP] ${RESUME_USAGE}`,
    options: RESUME_OPTIONS,
    words: [1, 1],
    async run(context) {
      if (context.args.text('on') === undefined) requireOutside('fork');
      const client = await context.project('run');
      const pulled = await pullNamed(context, client, context.args.words[0]);
      const accept = context.args.flag('yes');
      const fork = await client.request(runFork, { ...resumeOptions(context), ...pulled, accept });
      return afterStart(context, fork, `Forked at step ${integer(fork.parent?.step ?? 0)}:`);
    },
  },
  pause: {
    summary: 'save and end a run, to resume it later',
    usage: '[RUN] [--yes] [--detach]',
    options: { detach: { type: 'boolean', short: 'd' }, yes: { type: 'boolean', short: 'y' } },
    words: [0, 1],
    run: (context) => endRun(context, runPause, { accept: context.args.flag('yes') }),
  },
  attach: {
    summary: 'attach to the terminal of a running command',
    usage: '[RUN]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      if (!context.isTerminal || !process.stdin.isTTY)
        throw new UsageError('attach needs a terminal; `trainstash log -f` follows the output without one.');
      const run = await context.runOrDefault(context.args.words[0]);
      const end = await attach(client, context.root, run, printRaw);
      const { run: shown } = await client.request(runShow, { root: context.root, run });
      const after = end === 'left' ? 'continues' : shown.status;
      context.write(
        `${safe(shown.name)} ${after}${end === 'ended' && shown.reason ? `: ${safe(shown.reason)}` : ''}.\n`,
      );
      return 0;
    },
  },
  stop: {
    summary: 'save and end a run; --force kills one that hangs',
    usage: '[RUN] [--force] [--detach]',
    options: { force: { type: 'boolean' }, detach: { type: 'boolean', short: 'd' } },
    words: [0, 1],
    run: (context) => endRun(context, runStop, { force: context.args.flag('force') }),
  },
  checkpoint: {
    summary: 'take a checkpoint of a live run now',
    usage: '[RUN] [--tag NAME]',
    options: { tag: { type: 'string' } },
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const run = await context.runOrDefault(context.args.words[0]);
      const checkpoint = await client.request(runCheckpoint, {
        root: context.root,
        run,
        tag: context.args.text('tag'),
      });
      context.answer(checkpoint, [
        `Checkpoint ${checkpoint.id} at step ${integer(checkpoint.step)} is stored (${bytes(checkpoint.bytes)}).`,
      ]);
      return 0;
    },
  },
};

async function endRun(context: Context, message: typeof runPause | typeof runStop, extra: object): Promise<number> {
  const client = await context.project();
  const run = await context.runOrDefault(context.args.words[0]);
  const request = (more: object) => client.request(message, { root: context.root, run, ...extra, ...more });
  let state: Run;
  try {
    state = await request({});
  } catch (error) {
    // The user has been told what the pause loses and may want it anyway.
    if (!isError(error, 'pauseLoses') || !(await confirmLoss(context, error))) throw error;
    state = await request({ accept: true });
  }
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
  const at = state.lastCheckpoint ? ` Its newest checkpoint is at step ${integer(state.lastCheckpoint.step)}.` : '';
  context.answer(state, [
    `${safe(state.name)} is ${state.status}${state.reason ? ` (${safe(state.reason)})` : ''}.${at}`,
  ]);
  return 0;
}

async function afterStart(context: Context, run: Run, verb: string): Promise<number> {
  if (run.status === 'queued') return afterQueueing(context, run);
  if (context.json || context.args.flag('detach')) {
    context.answer(run, [
      `${verb} ${safe(run.name)} (${run.status}).`,
      `  \`trainstash log ${hint(run)} -f\` follows it, \`trainstash pause ${hint(run)}\` pauses it.`,
    ]);
    return 0;
  }
  context.write(
    `${verb} ${paint('bold', safe(run.name))}${run.label ? ` · ${safe(run.label)}` : ''}. Ctrl-C leaves it running.\n`,
  );
  // The backend is chosen once; a run keeps it.
  if (run.backendReason && run.sessions === 1)
    for (const line of wrapped(`On ${run.backend}: ${safe(run.backendReason)}.`, context.width))
      context.write(`${paint('dim', line)}\n`);
  const client = await context.client();
  if (run.kind === 'command') return afterCommand(context, client, run);
  const ended = await followRun(client, run, {
    ...followOptions(context),
    isTerminal: context.isTerminal,
    write: context.write,
    until: ({ status }) => !LIVE_STATUSES.includes(status),
  });
  return reportEnd(context, ended);
}

function afterQueueing(context: Context, run: Run): number {
  if (run.engine) return afterSubmitting(context, run);
  context.answer(run, [
    `Queued ${safe(run.name)}. It starts automatically when its turn comes, provided that its code is in the tree then.`,
    `  \`trainstash queue\` shows what it waits for; \`trainstash stop ${hint(run)}\` removes it from the queue.`,
  ]);
  return 0;
}

/** Describes a resume. A script that is only started again is not said to be resumed. */
function resumedAs({ startsAnew }: Run, checkpoint: Checkpoint | null): string {
  if (!checkpoint) return 'Started again from the beginning:';
  const step = `step ${integer(checkpoint.step)}`;
  return startsAnew ? `Started again from the beginning, with the files of ${step} in place:` : `Resumed from ${step}:`;
}

/** Shows a command's own output, and the notices about its files. */
async function afterCommand(context: Context, client: Client, run: Run): Promise<number> {
  const { root } = context;
  const said = new Set<string>();
  const say = (notice: Notice) => {
    // Notices of earlier sessions were shown then.
    const isOld = notice.at < performance.timeOrigin;
    if (isOld || said.has(keyOf(notice)) || notice.level === 'info') return;
    said.add(keyOf(notice));
    printError(`${paint('yellow', '!')} ${safe(notice.text)}\n`);
  };
  client.on(noticeRaised, (raised) => void (raised.run === run.id && say(raised.notice)));
  // In a terminal, progress bars move as if the script were started by hand.
  const session = run.session ?? undefined;
  const options = {
    session,
    follow: true,
    raw: context.isTerminal,
    width: 0,
    write: printRaw,
    detached: interrupted(),
  };
  if (!(await copyLog(client, root, run.id, options))) printRaw('\n');
  const { run: ended } = await client.request(runShow, { root, run: run.id });
  for (const notice of ended.notices) say(notice);
  return reportEnd(context, ended);
}

function keyOf({ at, code, text }: Notice): string {
  return `${at} ${code} ${text}`;
}

function reportEnd(context: Context, ended: Run): number {
  if (LIVE_STATUSES.includes(ended.status)) {
    context.write(`${safe(ended.name)} continues. \`trainstash pause ${hint(ended)}\` pauses it.\n`);
    return 0;
  }
  const seconds = ((ended.endedAt ?? Date.now()) - (ended.startedAt ?? ended.createdAt)) / 1000;
  context.write(
    `${safe(ended.name)} ${ended.status} after ${duration(seconds)}${ended.reason ? `: ${safe(ended.reason.replace(/\.$/, ''))}` : ''}.\n`,
  );
  const words = resumeWords(ended);
  if (INTERRUPTED_STATUSES.includes(ended.status) && words)
    for (const line of wrapped(`\`trainstash resume ${hint(ended)}\` ${words}.`, context.width))
      context.write(`${line}\n`);
  return isCrash(ended.status) ? 1 : 0;
}

async function confirmLoss(context: Context, error: TrainstashError<'pauseLoses'>): Promise<boolean> {
  context.write(`${error.data.question}\n`);
  return ask(context, 'Stop it?');
}

function followOptions(context: Context) {
  return { root: context.root, width: context.width, detached: interrupted(), reconnect: () => context.reconnect() };
}

function startOptions(context: Context) {
  const { args } = context;
  return {
    queue: args.flag('queue'),
    engine: args.text('on'),
    nodes: args.count('nodes', 1),
    restarts: args.count('restarts'),
    backend: args.text('backend'),
    interpreter: args.text('python'),
    ...controlOptions(args),
  };
}

function resumeOptions(context: Context) {
  const { args } = context;
  // The spelling of all other commands: `3@1200`.
  const [word] = args.words;
  const [, named, at] = isModelName(word ?? '') ? [word, undefined, word] : (/^(.+)@([^@]+)$/.exec(word ?? '') ?? []);
  if (at && args.text('from')) throw new UsageError(`Give ${args.words[0]} or --from, not both.`);
  return {
    root: context.root,
    environment: context.environment(),
    run: at === undefined ? word : named,
    from: at ?? args.text('from'),
    set: parseParams(args.texts('set'), 'set'),
    current: args.texts('current'),
    ...(args.command ? { command: args.command } : {}),
    ...startOptions(context),
  };
}

async function confirm(context: Context, differences: readonly PreflightDifference[]): Promise<boolean> {
  if (!context.isTerminal || context.json) return false;
  for (const line of differenceLines(differences)) context.write(`${line}\n`);
  return ask(context, 'Resume anyway?');
}

function refused(context: Context, run: Run, differences: PreflightDifference[]): number {
  if (context.json) printJson({ error: { code: 'preflightDiffers', data: { differences } } });
  else {
    const [verb, since] = run.status === 'queued' ? ['started', 'it was queued'] : ['resumed', 'its checkpoint'];
    printError(`${safe(run.name)} was not ${verb}. These things have changed since ${since}:\n`);
    for (const line of differenceLines(differences)) printError(`${line}\n`);
    printError('Nothing was started. --yes resumes anyway; --current NAME uses the current value of a param.\n');
  }
  return 3;
}

function differenceLines(differences: readonly PreflightDifference[]): string[] {
  return differences.map(({ kind, name, checkpoint, current }) =>
    field(`${kind} ${name}`.trim(), `${safe(checkpoint)} then, ${paint('yellow', safe(current))} now`),
  );
}
