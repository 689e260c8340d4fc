/** Commands that look at runs, and give them names. */

import { LIVE_STATUSES, type Run } from '../../protocol/domain.ts';
import * as m from '../../protocol/messages.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { copyLog } from '../follow.ts';
import { paint, safe, wrapped } from '../format.ts';
import { interrupted } from '../terminal.ts';
import { runDetails, runTable, waitingLines } from '../views.ts';

export const lookingCommands: Record<string, Command> = {
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
        write: context.json ? (text) => context.write(`${JSON.stringify({ text })}\n`) : context.write,
        detached: interrupted(),
      });
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
};

/** What lives or is queued takes the device, whatever branch is looked at. */
async function liveElsewhere(context: Context, branch: string | null): Promise<Run[]> {
  const client = await context.client();
  const { runs } = await client.request(m.runList, { root: context.root, drafts: true });
  return runs.filter((run) => run.branch !== branch && LIVE_STATUSES.includes(run.status));
}

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
  // The newest is what somebody looks for who has just started it.
  const shown = args.flag('drafts') ? runs : runs.filter((run, i) => !run.draft || i === 0);
  const hidden = runs.length - shown.length;
  const name = branch === undefined ? 'all branches' : (branch ?? (project.git ? 'a detached HEAD' : '(no git)'));
  const lines =
    shown.length > 0
      ? runTable(shown, context.width)
      : [
          `No runs on ${safe(name)}. \`trainstash run JOB\` starts one${branch === undefined ? '' : '; `trainstash ls --all` shows other branches'}.`,
        ];
  const elsewhere = branch === undefined || trashed ? [] : await liveElsewhere(context, branch);
  if (elsewhere.length > 0) lines.push('', paint('dim', 'On other branches'), ...runTable(elsewhere, context.width));
  lines.push(...waitingLines([...shown, ...elsewhere], context.width));
  if (hidden > 0) {
    const [drafts, them] = hidden === 1 ? ['draft', 'it'] : ['drafts', 'them'];
    const text = `${hidden} ${drafts} hidden (ended within a minute, without a checkpoint); \`trainstash ls --drafts\` shows ${them}`;
    lines.push(...wrapped(text, context.width).map((line) => paint('dim', line)));
  }
  context.answer(runs, lines);
  return 0;
}
