/** Commands that look at runs, and give them names. */

import type { Run } from '../../protocol/domain.ts';
import * as m from '../../protocol/messages.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { copyLog } from '../follow.ts';
import { paint, safe } from '../format.ts';
import { interrupted } from '../terminal.ts';
import { checkpointDetails, runDetails, runTable } from '../views.ts';

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
    summary: 'show a run, or what one of its checkpoints is made of',
    usage: '[RUN | RUN@STEP]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project();
      const [word] = context.args.words;
      if (word?.includes('@')) {
        const checkpoint = await client.request(m.checkpointShow, { root: context.root, checkpoint: word });
        context.answer(checkpoint, checkpointDetails(checkpoint, context.width));
        return 0;
      }
      const run = await context.runOrDefault(word);
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
  if (hidden > 0)
    lines.push(paint('dim', `${hidden} ${hidden === 1 ? 'draft' : 'drafts'} hidden; --drafts shows them`));
  context.answer(runs, lines);
  return 0;
}
