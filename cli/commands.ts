/** The commands: each with its usage, its options and what it does. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { statePaths } from '../client/paths.ts';
import { LIVE_STATUSES, type Run } from '../protocol/domain.ts';
import type { PreflightDifference } from '../protocol/errors.ts';
import * as m from '../protocol/messages.ts';
import { type CommandShape, parseParams, UsageError } from './arguments.ts';
import { type Context, hint } from './context.ts';
import { copyLog, followRun } from './follow.ts';
import { age, bytes, duration, integer, paint, safe } from './format.ts';
import { checkpointTable, field, fsckLines, gradeText, runDetails, runTable, usageLines } from './views.ts';

export interface Command extends CommandShape {
  summary: string;
  /** Resolves with the exit code. */
  run(context: Context): Promise<number>;
}

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

export const commands: Record<string, Command> = {
  init: {
    summary: 'make a trainstash.json for this project',
    usage: '[MODULE]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project({ create: true });
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
      const lines = result.jobs.map((job) => field(job.name, job.module));
      context.answer(result, [
        ...result.warnings,
        ...(lines.length > 0 ? lines : ['No jobs. `trainstash init` makes a trainstash.json.']),
      ]);
      return 0;
    },
  },
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
  ls: {
    summary: 'list runs',
    usage: '[--branch NAME] [--all] [--drafts] [--trash]',
    options: {
      branch: { type: 'string' },
      all: { type: 'boolean' },
      drafts: { type: 'boolean' },
      trash: { type: 'boolean' },
    },
    words: [0, 0],
    run: listRuns,
  },
  show: {
    summary: 'show a run: progress, params, metrics, checkpoints',
    usage: '[RUN]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const run = await context.runOrDefault(context.args.words[0]);
      const shown = await client.request(m.runShow, { root: context.root, run });
      context.answer(shown, runDetails(shown.run, shown.sessions, shown.checkpoints, context.width));
      return 0;
    },
  },
  log: {
    summary: "print a run's output",
    usage: '[RUN] [-f]',
    options: { follow: { type: 'boolean', short: 'f' } },
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const run = await context.runOrDefault(context.args.words[0]);
      const write = context.json ? (text: string) => context.write(`${JSON.stringify({ text })}\n`) : context.write;
      await copyLog(client, context.root, run, context.args.flag('follow'), write, interrupted());
      return 0;
    },
  },
  verify: {
    summary: 'replay up to the next checkpoint and compare every bit',
    usage: 'CHECKPOINT | RUN@STEP',
    options: {},
    words: [1, 1],
    async run(context) {
      const client = await context.project();
      const checkpoint = context.args.words[0]!;
      if (!context.json) console.error('Replaying…');
      const result = await client.request(m.checkpointVerify, {
        root: context.root,
        checkpoint,
        environment: context.environment(),
      });
      const { verdict, steps, fingerprint } = result.proof;
      const words = {
        equal: paint('green', `✔ verified: ${integer(steps)} steps computed again gave the same state, bit for bit.`),
        'state missing': paint(
          'red',
          '! The replays agree with each other, not with the record: the checkpoint lacks state.',
        ),
        'not deterministic': paint(
          'yellow',
          '! Two replays differ from each other: the training is not deterministic on this device.',
        ),
      };
      context.answer(result, [
        words[verdict],
        field('checkpoint', `${result.checkpoint.id}, ${gradeText(result.checkpoint)}`),
        field('holds for', fingerprint),
      ]);
      return verdict === 'equal' ? 0 : 1;
    },
  },
  tag: {
    summary: 'name a checkpoint; tagged ones are never pruned',
    usage: 'CHECKPOINT|RUN@STEP NAME [--remove]',
    options: { remove: { type: 'boolean' } },
    words: [2, 2],
    async run(context) {
      const client = await context.project();
      const [checkpoint, tag] = context.args.words as [string, string];
      const tagged = await client.request(m.checkpointTag, {
        root: context.root,
        checkpoint,
        tag,
        remove: context.args.flag('remove'),
      });
      context.answer(tagged, checkpointTable([tagged], context.width));
      return 0;
    },
  },
  rename: {
    summary: 'give a run another name, or a note',
    usage: 'RUN [NAME] [--note TEXT]',
    options: { note: { type: 'string' } },
    words: [1, 2],
    async run(context) {
      const client = await context.project();
      const [run, name] = context.args.words as [string, string | undefined];
      const renamed = await client.request(m.runUpdate, {
        root: context.root,
        run,
        name,
        note: context.args.text('note'),
      });
      context.answer(renamed, runTable([renamed], context.width));
      return 0;
    },
  },
  restore: {
    summary: "write a checkpoint's own files into a new folder",
    usage: 'CHECKPOINT|RUN@STEP FOLDER',
    options: {},
    words: [2, 2],
    async run(context) {
      const client = await context.project();
      const [checkpoint, directory] = context.args.words as [string, string];
      const restored = await client.request(m.checkpointRestore, { root: context.root, checkpoint, directory });
      context.answer(restored, [
        `${restored.files.length} files, ${bytes(restored.bytes)}, verified, in ${restored.directory}.`,
      ]);
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
    summary: 'delete what is expired and give space back',
    usage: '[--empty-trash]',
    options: { 'empty-trash': { type: 'boolean' } },
    words: [0, 0],
    async run(context) {
      const client = await context.project();
      const result = await client.request(m.storeGc, {
        root: context.root,
        emptyTrash: context.args.flag('empty-trash'),
      });
      context.answer(result, [
        `${integer(result.removedCheckpoints)} checkpoints and ${integer(result.removedChunks)} chunks deleted, ${bytes(result.returnedBytes)} given back.`,
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
      const client = await context.project();
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
        field('store', project.store),
        ...usageLines(usage),
      ]);
      return 0;
    },
  },
  eject: {
    summary: 'all checkpoints back as plain files, store gone',
    usage: '[--to FOLDER] [--yes]',
    options: { to: { type: 'string' }, yes: { type: 'boolean', short: 'y' } },
    words: [0, 0],
    async run(context) {
      const client = await context.project();
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

async function listRuns(context: Context): Promise<number> {
  const client = await context.project();
  const { args, root } = context;
  const project = await client.request(m.projectOpen, { root, trusted: true });
  const branch = args.flag('all') ? undefined : (args.text('branch') ?? project.branch);
  const trashed = args.flag('trash');
  const runs: Run[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: { runs: Run[]; next: string | null } = await client.request(m.runList, {
      root,
      branch,
      drafts: true,
      trashed,
      cursor,
    });
    runs.push(...page.runs);
    cursor = page.next;
    if (cursor === null || (!context.json && runs.length >= 100)) break;
  }
  const shown = args.flag('drafts') ? runs : runs.filter((run) => !run.draft);
  const hidden = runs.length - shown.length;
  const name = branch === undefined ? 'all branches' : (branch ?? (project.git ? 'a detached HEAD' : '(no git)'));
  const lines =
    shown.length > 0
      ? runTable(shown, context.width)
      : [
          `No runs on ${safe(name)}. \`trainstash run JOB\` starts one${branch === undefined ? '' : '; `trainstash ls --all` shows other branches'}.`,
        ];
  if (hidden > 0) lines.push(paint('dim', `${hidden} drafts hidden; --drafts shows them`));
  context.answer(runs, lines);
  return 0;
}

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

async function ask(context: Context, question: string): Promise<boolean> {
  if (!context.isTerminal || !process.stdin.isTTY || context.json) return false;
  const reader = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `)).trim());
  } finally {
    reader.close();
  }
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

function interrupted(): Promise<void> {
  return new Promise((resolve) => process.once('SIGINT', () => resolve()));
}
