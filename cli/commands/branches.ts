/** Commands about files that follow branches. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import * as m from '../../protocol/messages.ts';
import { age, bytes, counted, integer, stashReason } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { type Column, paint, safe, table } from '../format.ts';
import { installHook, removeHook } from '../hook.ts';

export const branchCommands: Record<string, Command> = {
  sync: {
    summary: "wait until the files in place are those of HEAD's branch",
    usage: '[--follow yes|no] [--files move|stay] [--quiet] [--trust]',
    options: { follow: { type: 'string' }, files: { type: 'string' }, quiet: { type: 'boolean' }, ...TRUST_OPTION },
    words: [0, 0],
    run: async (context) => {
      const follow = choice(context, 'follow', ['yes', 'no']);
      const files = choice(context, 'files', ['move', 'stay']);
      const client = await context.project('run');
      const { root } = context;
      const result = follow
        ? await client.request(m.branchFollow, { root, follow: follow === 'yes' })
        : await client.request(m.branchSync, { root, files });
      return answerSync(context, result, context.args.flag('quiet'));
    },
  },
  switch: {
    summary: '`git switch`, and the files are there when it returns',
    usage: 'BRANCH [--create] [--trust]',
    options: { create: { type: 'boolean', short: 'c' }, ...TRUST_OPTION },
    words: [1, 1],
    run: async (context) => {
      const client = await context.project('run');
      // Whoever types this wants the files of now to be this branch's, and not what another daemon has missed.
      await client.request(m.branchSync, { root: context.root });
      const args = ['switch', ...(context.args.flag('create') ? ['-c'] : []), context.args.words[0]!];
      const { status, error } = spawnSync('git', args, {
        cwd: context.root,
        stdio: ['inherit', context.json ? 'ignore' : 'inherit', 'inherit'],
      });
      if (error) throw new UsageError(`git cannot be run: ${error.message}`);
      if (status !== 0) return status ?? 1;
      return answerSync(context, await client.request(m.branchSync, { root: context.root }), false);
    },
  },
  stash: {
    summary: 'list, put back or drop files that branches left behind',
    usage: '[list | show STASH | restore STASH [--to FOLDER] [--trust] | drop STASH | undo [STASH]]',
    options: { to: { type: 'string' }, ...TRUST_OPTION },
    words: [0, 2],
    run: async (context) => {
      const [verb = 'list', stash] = context.args.words;
      const client = await context.project(verb === 'restore' ? 'write' : 'look');
      const { root } = context;
      if (verb === 'list') {
        const { stashes } = await client.request(m.stashList, { root });
        const none = 'Nothing is stashed.';
        context.answer({ stashes }, stashes.length > 0 ? stashTable(stashes, context.width) : [none]);
        return 0;
      }
      if (verb === 'undo') {
        const undone = await client.request(m.stashDrop, { root, stash, undo: true });
        context.answer(undone, [`Stash ${undone.stash.id} of ${safe(undone.stash.branch)} is back.`]);
        return 0;
      }
      if (stash === undefined || !['show', 'restore', 'drop'].includes(verb))
        throw new UsageError(`Usage: trainstash stash ${branchCommands.stash!.usage}`);
      if (verb === 'show') {
        const shown = await client.request(m.stashShow, { root, stash });
        const lines = shown.files.map(
          (file) =>
            `  ${safe(file.path)}  ${bytes(file.bytes)}${file.stored ? '' : paint('dim', '  on the shelf only')}`,
        );
        context.answer(shown, [...stashTable([shown.stash], context.width), ...lines]);
        return 0;
      }
      if (verb === 'drop') {
        const dropped = await client.request(m.stashDrop, { root, stash });
        context.answer(dropped, [
          `Stash ${dropped.stash.id} of ${safe(dropped.stash.branch)} is in the trash for 7 days; \`trainstash stash undo\` brings it back.`,
        ]);
        return 0;
      }
      const restored = await client.request(m.stashRestore, { root, stash, directory: context.args.text('to') });
      const conflicts = restored.conflicts.map((path) =>
        paint('yellow', `! ${safe(path)} is there already; the stashed one stays stashed.`),
      );
      context.answer(restored, [`${counted(restored.restored.length, 'file')} put back.`, ...conflicts]);
      return conflicts.length > 0 ? 1 : 0;
    },
  },
  hook: {
    summary: 'install or remove a post-checkout hook that calls sync',
    usage: 'install | remove  [--shared]',
    options: { shared: { type: 'boolean' } },
    words: [1, 1],
    run: async (context) => {
      const verb = context.args.words[0];
      if (verb !== 'install' && verb !== 'remove') throw new UsageError('Usage: trainstash hook install | remove');
      const client = await context.project();
      const { root } = context;
      const { project } = await client.request(m.projectWhere, { root });
      if (project.gitProblem)
        throw new TrainstashError('gitUnusable', project.gitProblem.message, project.gitProblem.data);
      const shared = context.args.flag('shared');
      if (verb === 'remove') {
        const removed = removeHook(project, root, shared);
        context.answer({ removed }, [removed ? 'The hook is gone.' : 'There was no hook of ours.']);
        return 0;
      }
      const command = [process.execPath, join(context.dist, 'trainstash.js')];
      const installed = installHook(project, root, command, shared);
      const { path, kept, leftover } = installed;
      context.answer(installed, [
        `git now waits, after a switch, until the files of the branch are in place (${path}). ${kept ? "The project's own hook there runs as before. " : ''}\`trainstash hook remove\` takes it away.`,
        ...(leftover ? [`${leftover} is left over from an earlier version of Trainstash; nothing runs it.`] : []),
      ]);
      return 0;
    },
  },
};

/** 0 when files are where they belong, or stay where they are by somebody's word. */
function answerSync(context: Context, result: m.SyncResult, quiet: boolean): number {
  const lines = syncLines(result);
  const isNews = result.movedIn + result.movedOut > 0 || result.state === 'waiting' || result.state === 'unclear';
  if (!quiet || context.json || isNews) context.answer(result, lines);
  return ['waiting', 'unclear', 'failed'].includes(result.state) ? 1 : 0;
}

function syncLines({ state, branch, inPlace, reason, movedIn, movedOut, late, conflicts }: m.SyncResult): string[] {
  const moved = [movedOut > 0 ? `${integer(movedOut)} stashed` : '', movedIn > 0 ? `${integer(movedIn)} put back` : ''];
  const did = moved.filter(Boolean).join(', ');
  const of = safe(inPlace ?? '');
  // Of one name: whether it is the branch of before is the question.
  const ways =
    inPlace === branch
      ? '`trainstash sync --files stay`: it is the same branch. `--files move`: it is another, and they leave.'
      : `\`trainstash sync --files move\`: they are ${of}'s, and leave. \`--files stay\`: they are ${safe(branch ?? '')}'s.`;
  const lines = {
    inPlace: [paint('green', `✔ Files are those of ${safe(branch ?? 'this project')}${did ? `: ${did}` : ''}.`)],
    detached: [`HEAD is detached: files stay those of ${of}.`],
    ask: [
      `${reason}.`,
      '`trainstash sync --follow yes`: checkpoint files follow `git switch`, and come back with it.',
      '`trainstash sync --follow no`: they stay where they are, whatever the branch.',
    ],
    waiting: [paint('yellow', `! Files stay those of ${of} until this has ended or paused: ${safe(reason)}.`)],
    unclear: [paint('yellow', `! ${safe(reason)}.`), ways],
    failed: [paint('red', `! ${safe(reason)}. Nothing is lost; it is tried again.`)],
  }[state];
  for (const path of late) lines.push(paint('yellow', `! ${safe(path)} appeared after HEAD had moved, and stayed.`));
  for (const path of conflicts)
    lines.push(paint('yellow', `! ${safe(path)} was in the way; the one of ${of} stays stashed.`));
  return lines;
}

function stashTable(stashes: readonly m.StashSummary[], width: number): string[] {
  const columns: Column<m.StashSummary>[] = [
    { title: 'STASH', cell: ({ id }) => id },
    {
      title: 'BRANCH',
      cell: ({ branch, branchExists }) => `${safe(branch)}${branchExists ? '' : ' (gone)'}`,
      flexible: true,
    },
    { title: 'WHY', cell: stashReason },
    { title: 'FILES', cell: ({ files }) => integer(files), right: true },
    { title: 'SIZE', cell: (stash) => bytes(stash.bytes), right: true },
    { title: 'AGE', cell: ({ createdAt }) => age(createdAt) },
  ];
  return table(stashes, columns, width);
}

function choice<T extends string>(context: Context, option: string, choices: readonly T[]): T | undefined {
  const text = context.args.text(option);
  if (text === undefined || choices.includes(text as T)) return text as T | undefined;
  throw new UsageError(`--${option} takes ${choices.join(' or ')}, not "${text}".`);
}
