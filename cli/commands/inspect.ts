/** Commands that show runs, and name them. */

import type { Client } from '../../client/connect.ts';
import { LogFilter } from '../../client/log-filter.ts';
import type { Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { checkpointList, checkpointShow } from '../../protocol/messages/checkpoint.ts';
import { usageQuery } from '../../protocol/messages/metrics.ts';
import { remoteRuns } from '../../protocol/messages/remote.ts';
import { runList, runShow, runUpdate } from '../../protocol/messages/run.ts';
import { storeTrash } from '../../protocol/messages/store.ts';
import { sweepList } from '../../protocol/messages/sweep.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { counted } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { copyLog } from '../follow.ts';
import { paint, safe, wrapped } from '../format.ts';
import { hookAdvice } from '../hook.ts';
import { printJson, printRaw } from '../output.ts';
import { remoteRunTable } from '../remote-views.ts';
import { interrupted } from '../terminal.ts';
import { trashLines } from '../trash.ts';
import { checkpointDetails, checkpointTable, runDetails, runTable, waitingLines } from '../views.ts';
import { sweepTable } from './sweep.ts';

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
      const none = trashed.length === 0 ? ['It has no checkpoints in the trash.'] : checkpointTable(trashed, width);
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
async function liveElsewhere(client: Client, root: string, branch: string | null): Promise<Run[]> {
  const { runs } = await client.request(runList, { root, drafts: true });
  return runs.filter((run) => run.branch !== branch && LIVE_STATUSES.includes(run.status));
}

/** Lists runs page by page, until there are no more or enough. */
async function pagesOf(
  client: Client,
  which: { root: string; branch?: string | null; drafts: boolean },
  most: number,
): Promise<{ runs: Run[]; total: number }> {
  const runs: Run[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: { runs: Run[]; next: string | null; total: number } = await client.request(runList, {
      ...which,
      cursor,
    });
    runs.push(...page.runs);
    cursor = page.next;
    if (cursor === null || runs.length >= most) return { runs, total: page.total };
  }
}

/** Returns the writer for a log. A terminal gets text, colours and bars; files, pipes and `--raw` get the raw output. */
function logWriter(context: Context): (text: string) => void {
  if (context.json) return (text) => printJson({ text });
  if (context.args.flag('raw') || !context.isTerminal) return printRaw;
  const filter = new LogFilter();
  return (text) => printRaw(filter.take(text));
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

/** Shows runs as a table; those of a sweep are one row in a table of their own. */
async function runLines(context: Context, runs: readonly Run[]): Promise<string[]> {
  const { root, width } = context;
  const hasSweeps = runs.some(({ sweep }) => sweep);
  const { sweeps } = hasSweeps ? await (await context.client()).request(sweepList, { root }) : { sweeps: [] };
  const shown = sweeps.filter(({ id }) => runs.some(({ sweep }) => sweep?.id === id));
  const others = runs.filter(({ sweep }) => !shown.some(({ id }) => id === sweep?.id));
  const own = others.length > 0 ? runTable(others, width, new Set(others.map(({ branch }) => branch)).size > 1) : [];
  if (shown.length === 0) return own;
  const hint = `\`trainstash sweep show ${shown[0]!.number}\` lists the runs of a sweep`;
  return [...own, ...(own.length > 0 ? [''] : []), ...sweepTable(shown, width), paint('dim', hint)];
}

async function listRuns(context: Context): Promise<number> {
  const { args, root } = context;
  if (args.flag('remote')) return listRemoteRuns(context);
  if (args.words.length > 0)
    throw new UsageError('ls takes a name only with --remote; `--branch NAME` lists a branch.');
  if (args.flag('trash')) return listTrash(context);
  const { client, project } = await context.opened();
  if (project.gitProblem) throw new TrainstashError('gitUnusable', project.gitProblem.message, project.gitProblem.data);
  const branch = args.flag('all') ? undefined : (args.text('branch') ?? project.branch);
  const drafts = args.flag('drafts');
  const most = args.count('limit') ?? (context.json ? Number.POSITIVE_INFINITY : LISTED);
  // Asked for together: each answer that is waited for costs a round trip.
  const [{ runs, total }, everything, elsewhere] = await Promise.all([
    pagesOf(client, { root, branch, drafts }, most),
    client.request(runList, { root, branch, drafts: true, limit: 1 }),
    branch === undefined ? [] : liveElsewhere(client, root, branch),
  ]);
  // A user who has just started a run looks for the newest, which may still be a draft.
  const first = everything.runs[0];
  const newest = !drafts && first?.draft && first.id !== runs[0]?.id ? first : undefined;
  const shown = [...(newest ? [newest] : []), ...runs].slice(0, most);
  const all = drafts ? total : everything.total;
  const hidden = all - total - (newest ? 1 : 0);
  const name = branch === undefined ? 'all branches' : (branch ?? (project.git ? 'a detached HEAD' : '(no git)'));
  const lines =
    shown.length > 0
      ? await runLines(context, shown)
      : [
          `No runs on ${safe(name)}. \`trainstash run JOB\` starts one${branch === undefined ? '' : '; `trainstash ls --all` shows other branches'}.`,
        ];
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
