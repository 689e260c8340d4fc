/** Commands for files that follow branches. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import {
  branchFollow,
  branchSync,
  type StashSummary,
  type SyncResult,
  stashDrop,
  stashList,
  stashRestore,
  stashShow,
} from '../../protocol/messages/branch.ts';
import { projectWhere } from '../../protocol/messages/project.ts';
import { age, bytes, counted, integer, stashReason } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { type Column, paint, safe, table } from '../format.ts';
import { installHook, removeHook } from '../hook.ts';

export const branchCommands: Record<string, Command> = {
  sync: {
    summary: "bring the files of HEAD's branch into place, and wait for that",
    usage: '[--follow yes|no] [--files move|stay] [--quiet] [--trust]',
    options: { follow: { type: 'string' }, files: { type: 'string' }, quiet: { type: 'boolean' }, ...TRUST_OPTION },
    words: [0, 0],
    run: async (context) => {
      const follow = choice(context, 'follow', ['yes', 'no']);
      const files = choice(context, 'files', ['move', 'stay']);
      const client = await context.project('run');
      const { root } = context;
      const result = follow
        ? await client.request(branchFollow, { root, follow: follow === 'yes' })
        : await client.request(branchSync, { root, files });
      return answerSync(context, result, context.args.flag('quiet'));
    },
  },
  switch: {
    summary: 'run `git switch`, and wait for the files of the branch',
    usage: 'BRANCH [--create] [--trust]',
    options: { create: { type: 'boolean', short: 'c' }, ...TRUST_OPTION },
    words: [1, 1],
    run: async (context) => {
      const client = await context.project('run');
      // The files in the tree count as this branch's, even if another daemon missed a switch: the user is here now.
      await client.request(branchSync, { root: context.root });
      const args = ['switch', ...(context.args.flag('create') ? ['-c'] : []), context.args.words[0]!];
      const { status, error } = spawnSync('git', args, {
        cwd: context.root,
        stdio: ['inherit', context.json ? 'ignore' : 'inherit', 'inherit'],
      });
      if (error) throw new UsageError(`git could not be started: ${error.message}. Nothing was switched.`);
      if (status !== 0) return status ?? 1;
      return answerSync(context, await client.request(branchSync, { root: context.root }), false);
    },
  },
  stash: {
    summary: 'list, restore or drop files that left the tree with a branch',
    usage: '[list | show STASH | restore STASH [--to FOLDER] [--trust] | drop STASH | undo [STASH]]',
    options: { to: { type: 'string' }, ...TRUST_OPTION },
    words: [0, 2],
    run: async (context) => {
      const [verb = 'list', stash] = context.args.words;
      const client = await context.project(verb === 'restore' ? 'write' : 'look');
      const { root } = context;
      if (verb === 'list') {
        const { stashes } = await client.request(stashList, { root });
        const none = 'Nothing is stashed.';
        context.answer({ stashes }, stashes.length > 0 ? stashTable(stashes, context.width) : [none]);
        return 0;
      }
      if (verb === 'undo') {
        const undone = await client.request(stashDrop, { root, stash, undo: true });
        context.answer(undone, [`Stash ${undone.stash.id} of ${safe(undone.stash.branch)} is restored to the list.`]);
        return 0;
      }
      if (stash === undefined || !['show', 'restore', 'drop'].includes(verb))
        throw new UsageError(`Usage: trainstash stash ${branchCommands.stash!.usage}`);
      if (verb === 'show') {
        const shown = await client.request(stashShow, { root, stash });
        const lines = shown.files.map(
          (file) =>
            `  ${safe(file.path)}  ${bytes(file.bytes)}${file.stored ? '' : paint('dim', '  not in the store')}`,
        );
        context.answer(shown, [...stashTable([shown.stash], context.width), ...lines]);
        return 0;
      }
      if (verb === 'drop') {
        const dropped = await client.request(stashDrop, { root, stash });
        context.answer(dropped, [
          `Stash ${dropped.stash.id} of ${safe(dropped.stash.branch)} is in the trash for 7 days; \`trainstash stash undo\` takes it out again.`,
        ]);
        return 0;
      }
      const restored = await client.request(stashRestore, { root, stash, directory: context.args.text('to') });
      const conflicts = restored.conflicts.map((path) =>
        paint('yellow', `! ${safe(path)} exists already; the stashed file stays stashed.`),
      );
      context.answer(restored, [`${counted(restored.restored.length, 'file')} restored.`, ...conflicts]);
      return conflicts.length > 0 ? 1 : 0;
    },
  },
  hook: {
    summary: 'install or remove a post-checkout hook that calls sync',
    usage: 'install | remove [--shared]',
    options: { shared: { type: 'boolean' } },
    words: [1, 1],
    run: async (context) => {
      const verb = context.args.words[0];
      if (verb !== 'install' && verb !== 'remove') throw new UsageError('Usage: trainstash hook install | remove');
      const client = await context.project();
      const { root } = context;
      const { project } = await client.request(projectWhere, { root });
      if (project.gitProblem)
        throw new TrainstashError('gitUnusable', project.gitProblem.message, project.gitProblem.data);
      const shared = context.args.flag('shared');
      if (verb === 'remove') {
        const removed = removeHook(project, root, shared);
        context.answer({ removed }, [removed ? 'Removed the hook.' : 'No hook of Trainstash was installed.']);
        return 0;
      }
      const command = [process.execPath, join(context.dist, 'trainstash.js')];
      const installed = installHook(project, root, command, shared);
      const { path, kept, leftover } = installed;
      context.answer(installed, [
        `Installed ${path}: after a switch, git now waits until the files of the branch are in place. ${kept ? "The project's own hook still runs. " : ''}\`trainstash hook remove\` removes it.`,
        ...(leftover ? [`${leftover} is left from an earlier version of Trainstash and is no longer run.`] : []),
      ]);
      return 0;
    },
  },
};

/** Prints the result. Returns 0 if the files are where they belong, or stay by a person's decision. */
function answerSync(context: Context, result: SyncResult, quiet: boolean): number {
  const lines = syncLines(result);
  const isNews = result.movedIn + result.movedOut > 0 || result.state === 'waiting' || result.state === 'unclear';
  if (!quiet || context.json || isNews) context.answer(result, lines);
  return ['waiting', 'unclear', 'failed'].includes(result.state) ? 1 : 0;
}

function syncLines({ state, branch, inPlace, reason, movedIn, movedOut, late, conflicts }: SyncResult): string[] {
  const moved = [movedOut > 0 ? `${integer(movedOut)} stashed` : '', movedIn > 0 ? `${integer(movedIn)} restored` : ''];
  const did = moved.filter(Boolean).join(', ');
  const of = safe(inPlace ?? '');
  // Both sides have one name: the question is whether it is the same branch as before.
  const ways =
    inPlace === branch
      ? '`trainstash sync --files stay`: it is the same branch, and the files stay. `--files move`: it is another branch, and the files are stashed.'
      : `\`trainstash sync --files move\`: they belong to ${of} and are stashed. \`--files stay\`: they belong to ${safe(branch ?? '')} and stay.`;
  const lines = {
    inPlace: [paint('green', `✔ The files of ${safe(branch ?? 'this project')} are in place${did ? `: ${did}` : ''}.`)],
    detached: [`HEAD is detached: the files of ${of} stay in place.`],
    ask: [
      `${reason}.`,
      '`trainstash sync --follow yes`: checkpoint files follow `git switch`: they leave and return with their branch.',
      '`trainstash sync --follow no`: they stay where they are on every branch.',
    ],
    waiting: [paint('yellow', `! The files of ${of} stay in place until this has ended or paused: ${safe(reason)}.`)],
    unclear: [paint('yellow', `! ${safe(reason)}.`), ways],
    failed: [paint('red', `! ${safe(reason)}. Nothing is lost; Trainstash tries again.`)],
  }[state];
  for (const path of late) lines.push(paint('yellow', `! ${safe(path)} appeared after HEAD had moved, so it stayed.`));
  for (const path of conflicts)
    lines.push(paint('yellow', `! ${safe(path)} exists already; the file of ${of} stays stashed.`));
  return lines;
}

function stashTable(stashes: readonly StashSummary[], width: number): string[] {
  const columns: Column<StashSummary>[] = [
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
