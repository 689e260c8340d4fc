/** Commands that show runs, and name them. */

import { LogFilter } from '../../client/log-filter.ts';
import { LIVE_STATUSES, type Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { checkpointList, checkpointShow } from '../../protocol/messages/checkpoint.ts';
import { usageQuery } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { remoteRuns } from '../../protocol/messages/remote.ts';
import { runList, runShow, runUpdate } from '../../protocol/messages/run.ts';
import { storeTrash } from '../../protocol/messages/store.ts';
import { counted } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { copyLog } from '../follow.ts';
import { paint, safe, wrapped } from '../format.ts';
import { hookAdvice } from '../hook.ts';
import { printJson, printRaw } from '../output.ts';
import { interrupted } from '../terminal.ts';
import { trashLines } from '../trash.ts';
import { checkpointDetails, checkpointTable, runDetails, runTable, waitingLines } from '../views.ts';
import { remoteRunTable } from './remotes.ts';

/** Number of runs that are listed for people by default. */
const LISTED = 100;

export const lookingCommands: Record<string, Command> = {
  ls: {
    summary: 'list runs',
    usage: '[--branch NAME] [--all] [--drafts] [--limit N] [--trash] | --remote [NAME]',
    options: {
      branch: { type: 'string' },
      all: { type: 'boolean' },
      drafts: { type: 'boolean' },
      limit: { type: 'string' },
      trash: { type: 'boolean' },
      remote: { type: 'boolean' },
    },
    words: [0, 1],
    run: listRuns,
  },
  show: {
    summary: 'show a run, or the state in one of its checkpoints',
    usage: '[RUN | RUN@STEP] [--trash]',
    options: { trash: { type: 'boolean' } },
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const { root, width } = context;
      const [word] = context.args.words;
      if (word?.includes('@')) {
        const checkpoint = await client.request(checkpointShow, { root, checkpoint: word });
        context.answer(checkpoint, checkpointDetails(checkpoint, width));
        return 0;
      }
      const run = await context.runOrDefault(word);
      const shown = await client.request(runShow, { root, run });
      const { series } = await client.request(usageQuery, { root, run: shown.run.id });
      const lines = runDetails(shown.run, shown.sessions, shown.checkpoints, width, series);
      if (!context.args.flag('trash')) {
        const usage = series.map(({ times: _, values, ...summary }) => ({ ...summary, last: values.at(-1) }));
        context.answer({ ...shown, usage }, lines);
        return 0;
      }
      const trash = await client.request(checkpointList, { root, run: shown.run.id, trashed: true });
      const trashed = trash.checkpoints;
      const none =
        trashed.length === 0 ? ['None of its checkpoints is in the trash.'] : checkpointTable(trashed, width);
      context.answer({ ...shown, trashed }, [...lines, '', paint('dim', 'IN THE TRASH'), ...none]);
      return 0;
    },
  },
  log: {
    summary: "print a run's output",
    usage: '[RUN] [-f] [--raw]',
    options: { follow: { type: 'boolean', short: 'f' }, raw: { type: 'boolean' } },
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const run = await context.runOrDefault(context.args.words[0]);
      await copyLog(client, context.root, run, {
        follow: context.args.flag('follow'),
        raw: context.json || context.args.flag('raw'),
        width: context.isTerminal ? context.width : 0,
        write: logWriter(context),
        detached: interrupted(),
      });
      return 0;
    },
  },
  rename: {
    summary: 'rename a run, or attach a note to it',
    usage: 'RUN [NAME] [--note TEXT]',
    options: { note: { type: 'string' } },
    words: [1, 2],
    async run(context) {
      const client = await context.project();
      const [run, name] = context.args.words as [string, string | undefined];
      const renamed = await client.request(runUpdate, {
        root: context.root,
        run,
        name,
        note: context.args.text('note'),
      });
      context.answer(renamed, runTable([renamed], context.width));
      return 0;
    },
  },
};

/** Lists live and queued runs of other branches, since they occupy the device. */
async function liveElsewhere(context: Context, branch: string | null): Promise<Run[]> {
  const client = await context.client();
  const { runs } = await client.request(runList, { root: context.root, drafts: true });
  return runs.filter((run) => run.branch !== branch && LIVE_STATUSES.includes(run.status));
}

/** Returns the writer for a log. A terminal gets text, colours and bars; files, pipes and `--raw` get the raw output. */
function logWriter(context: Context): (text: string) => void {
  if (context.json) return (text) => printJson({ text });
  if (context.args.flag('raw') || !context.isTerminal) return printRaw;
  const filter = new LogFilter();
  return (text) => printRaw(filter.take(text));
}

/** Finds the newest run of a branch if it is a draft, which lists leave out. `listed`: the newest run that is not a draft. */
async function newestDraft(
  context: Context,
  branch: string | null | undefined,
  listed: Run | undefined,
): Promise<Run | undefined> {
  const client = await context.client();
  const { runs } = await client.request(runList, { root: context.root, branch, drafts: true, limit: 1 });
  return runs[0]?.draft && runs[0].id !== listed?.id ? runs[0] : undefined;
}

async function listTrash(context: Context): Promise<number> {
  const client = await context.project();
  const trash = await client.request(storeTrash, { root: context.root });
  context.answer(trash, trashLines(trash, context.width, context.args.text('branch')));
  return 0;
}

async function listRemoteRuns(context: Context): Promise<number> {
  const client = await context.project('write');
  const { root, args, width } = context;
  const limit = args.count('limit');
  const { runs, total } = await client.request(remoteRuns, { root, name: args.words[0], limit });
  const left = total - runs.length;
  context.answer(runs, [
    ...(runs.length > 0
      ? remoteRunTable(runs, width)
      : ['Nothing is known of remotes. `trainstash fetch` reads what they have.']),
    ...(left > 0 ? [paint('dim', `${counted(left, 'older run')} not listed`)] : []),
  ]);
  return 0;
}

async function listRuns(context: Context): Promise<number> {
  const { args, root } = context;
  if (args.flag('remote')) return listRemoteRuns(context);
  if (args.words.length > 0)
    throw new UsageError('ls takes a name only with --remote; `--branch NAME` lists a branch.');
  if (args.flag('trash')) return listTrash(context);
  const client = await context.project();
  const project = await client.request(projectOpen, { root, trusted: false });
  if (project.gitProblem) throw new TrainstashError('gitUnusable', project.gitProblem.message, project.gitProblem.data);
  const branch = args.flag('all') ? undefined : (args.text('branch') ?? project.branch);
  const drafts = args.flag('drafts');
  const most = args.count('limit') ?? (context.json ? Number.POSITIVE_INFINITY : LISTED);
  const runs: Run[] = [];
  let total = 0;
  for (let cursor: string | null = null; ; ) {
    const page: { runs: Run[]; next: string | null; total: number } = await client.request(runList, {
      root,
      branch,
      drafts,
      cursor,
    });
    runs.push(...page.runs);
    total = page.total;
    cursor = page.next;
    if (cursor === null || runs.length >= most) break;
  }
  // A user who has just started a run looks for the newest.
  const newest = drafts ? undefined : await newestDraft(context, branch, runs[0]);
  const shown = [...(newest ? [newest] : []), ...runs].slice(0, most);
  const all = drafts ? total : (await client.request(runList, { root, branch, drafts: true, limit: 1 })).total;
  const hidden = all - total - (newest ? 1 : 0);
  const name = branch === undefined ? 'all branches' : (branch ?? (project.git ? 'a detached HEAD' : '(no git)'));
  const lines =
    shown.length > 0
      ? runTable(shown, context.width, new Set(shown.map((run) => run.branch)).size > 1)
      : [
          `No runs on ${safe(name)}. \`trainstash run JOB\` starts one${branch === undefined ? '' : '; `trainstash ls --all` shows other branches'}.`,
        ];
  const elsewhere = branch === undefined ? [] : await liveElsewhere(context, branch);
  if (elsewhere.length > 0)
    lines.push('', paint('dim', 'On other branches'), ...runTable(elsewhere, context.width, true));
  lines.push(...waitingLines([...shown, ...elsewhere], context.width));
  const left = total + (newest ? 1 : 0) - shown.length;
  if (left > 0) lines.push(paint('dim', `${counted(left, 'older run')} not listed; --limit N lists more`));
  if (hidden > 0) {
    const text = `${counted(hidden, 'draft')} hidden (ended within a minute, without a checkpoint); \`trainstash ls --drafts\` shows ${hidden === 1 ? 'it' : 'them'}`;
    lines.push(...wrapped(text, context.width).map((line) => paint('dim', line)));
  }
  for (const text of [...project.advice, ...hookAdvice(root, project)]) lines.push(paint('yellow', `! ${text}`));
  context.answer(shown, lines);
  return 0;
}
