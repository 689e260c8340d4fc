/** Commands that decide what is kept and what is deleted. */
import { isAbsolute, resolve } from 'node:path';
import { isError } from '../../protocol/errors.ts';
import {
  type GcPlan,
  modelPromote,
  type Pinned,
  pinSet,
  type Quota,
  storePlan,
  storeQuota,
} from '../../protocol/messages/keep.ts';
import { type Removal, runRemove } from '../../protocol/messages/run.ts';
import { storeGc, storeKept, storePack, storeTrash, TRASH_DAYS } from '../../protocol/messages/store.ts';
import { lossLines } from '../../protocol/trash-words.ts';
import { age, bytes, counted, integer } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { bar, paint, safe, table, wrapped } from '../format.ts';
import { printError } from '../output.ts';
import { parseSize } from '../sizes.ts';
import { requestTask } from '../task.ts';
import { ask } from '../terminal.ts';
import { field, keptLines } from '../views.ts';

const MOST_TARGETS = 1_000;
const LISTED = 20;

export const keepingCommands: Record<string, Command> = {
  pin: {
    summary: 'pin runs or checkpoints: nothing deletes them until unpin',
    usage: 'RUN|CHECKPOINT|RUN@STEP…',
    options: {},
    words: [1, MOST_TARGETS],
    run: (context) => setPins(context, false),
  },
  unpin: {
    summary: 'take the pin away from runs or checkpoints',
    usage: 'RUN|CHECKPOINT|RUN@STEP…',
    options: {},
    words: [1, MOST_TARGETS],
    run: (context) => setPins(context, true),
  },
  promote: {
    summary: 'promote a checkpoint to a named model with a card',
    usage: 'CHECKPOINT|RUN@STEP|RUN NAME[@VERSION] [--format F] [--license NAME] [--note TEXT] [--to FOLDER] [--trust]',
    options: {
      format: { type: 'string' },
      license: { type: 'string' },
      note: { type: 'string' },
      to: { type: 'string' },
      ...TRUST_OPTION,
    },
    words: [2, 2],
    run: promote,
  },
  rm: {
    summary: 'move runs or checkpoints to the trash; --undo restores them',
    usage: 'RUN|CHECKPOINT|RUN@STEP… [--undo]',
    options: { undo: { type: 'boolean' } },
    words: [1, MOST_TARGETS],
    async run(context) {
      const client = await context.project();
      const { words } = context.args;
      const undo = context.args.flag('undo');
      const result = await client.request(runRemove, { root: context.root, target: words, undo });
      context.answer(
        result,
        result.each.map((one, i) => removalLine(one, result.each.length === words.length ? words[i]! : null, undo)),
      );
      return 0;
    },
  },
  gc: {
    summary: 'delete expired checkpoints and free disk space',
    usage: '[--plan] [--empty-trash [--yes]] [--pack] | --why [RUN]',
    options: {
      plan: { type: 'boolean' },
      'empty-trash': { type: 'boolean' },
      yes: { type: 'boolean', short: 'y' },
      pack: { type: 'boolean' },
      why: { type: 'boolean' },
    },
    words: [0, 1],
    run: collect,
  },
  quota: {
    summary: 'show or set how much disk space the store may use',
    usage: '[200GB | default] [--yes]',
    options: { yes: { type: 'boolean', short: 'y' } },
    words: [0, 1],
    run: quota,
  },
};

async function setPins(context: Context, remove: boolean): Promise<number> {
  const client = await context.project();
  const { root } = context;
  const result = await client.request(pinSet, { root, targets: context.args.words, remove });
  context.answer(
    result,
    result.pinned.map((one) => pinLine(one, remove)),
  );
  return 0;
}

function pinLine({ run, checkpoint }: Pinned, remove: boolean): string {
  const what = run ? safe(run.name) : `Checkpoint ${checkpoint!.id} (step ${integer(checkpoint!.step)})`;
  if (remove) return `${what} is no longer pinned.`;
  return `${what} is pinned: nothing deletes ${run ? 'it or its checkpoints' : 'it'} until \`trainstash unpin ${run ? run.number : checkpoint!.id}\`.`;
}

async function promote(context: Context): Promise<number> {
  const { args, root } = context;
  const [given, named] = args.words as [string, string];
  const [, name = named, version] = /^([^@]*)@(.*)$/.exec(named) ?? [];
  const client = await context.project('write');
  const to = args.text('to');
  const request = {
    root,
    source: given,
    name: name.replace(/^models\//, ''),
    version,
    format: args.text('format'),
    directory: to === undefined ? undefined : isAbsolute(to) ? to : resolve(root, to),
    license: args.text('license'),
    note: args.text('note'),
    environment: context.environment(),
  };
  const write = () => requestTask(client, modelPromote, request, `Promoting ${name}`);
  const model = await write().catch(async (error: unknown) => {
    if (!isError(error, 'untrusted')) throw error;
    // Only now is it known that this format needs code of the project.
    await context.project('run');
    return write();
  });
  const { checkpoint } = model;
  context.answer(model, [
    `${paint('green', '✔')} ${model.model}  ${bytes(model.bytes)}, step ${integer(checkpoint.step)} (${checkpoint.id})`,
    field('folder', safe(model.directory)),
    field('licence', model.license === null ? 'not stated; --license writes one on the card' : safe(model.license)),
    ...model.notes.map((note) => field('note', safe(note))),
    ...wrapped(
      `Its checkpoint is never deleted. \`trainstash restore ${model.model} FOLDER\` and \`trainstash fork ${model.model}\` take the model by its name.`,
      context.width,
    ),
  ]);
  return 0;
}

function removalLine({ removed, bytes: size }: Removal, target: string | null, undo: boolean): string {
  const [name, ...checkpoints] = removed;
  const several = checkpoints.length > 0;
  const what = `${safe(name!)}${several ? ` and ${counted(checkpoints.length, 'checkpoint')}` : ''}`;
  if (undo) return `${what} ${several ? 'are' : 'is'} restored.`;
  const back =
    target === null
      ? '`trainstash ls --trash` lists it'
      : `\`trainstash rm ${target} --undo\` restores ${several ? 'them' : 'it'}`;
  return `${what} (${bytes(size)}) ${several ? 'are' : 'is'} in the trash for ${TRASH_DAYS} days; ${back}.`;
}

async function collect(context: Context): Promise<number> {
  const { args, root } = context;
  const [run] = args.words;
  const why = args.flag('why');
  if (run !== undefined && !why) throw new UsageError('gc takes a run only with --why');
  const client = await context.project();
  if (why) {
    const { runs } = await client.request(storeKept, { root, run });
    context.answer(runs, keptLines(runs, context.width));
    return 0;
  }
  const emptyTrash = args.flag('empty-trash');
  if (args.flag('plan')) {
    const plan = await client.request(storePlan, { root, emptyTrash });
    context.answer(plan, planLines(plan, context.width));
    return 0;
  }
  if (emptyTrash && !(await mayEmptyTrash(context))) return 1;
  const result = await client.request(storeGc, { root, emptyTrash });
  const packed = args.flag('pack') ? await requestTask(client, storePack, { root }, 'Packing') : null;
  context.answer({ ...result, ...packed }, [
    `${counted(result.removedCheckpoints, 'checkpoint')} and ${counted(result.removedChunks, 'chunk')} deleted, ${bytes(result.returnedBytes)} freed.`,
    ...(packed ? [`Checkpoints take ${bytes(packed.savedBytes)} less than before.`] : []),
    ...(packed?.noRoom ? ['Some checkpoints were not packed: less than 512 MB are free on this disk.'] : []),
  ]);
  return 0;
}

function planLines(plan: GcPlan, width: number): string[] {
  const { counts, runs, checkpoints, later, atQuota } = plan;
  const listed = [
    ...runs.map(({ name, trashedAt }) => ({ what: name, size: '', trashedAt })),
    ...checkpoints.map(({ run, step, bytes: size, trashedAt }) => ({
      what: `step ${integer(step)} of ${run}`,
      size: bytes(size),
      trashedAt,
    })),
  ];
  const rows = listed.slice(0, LISTED);
  return [
    counts.checkpoints + counts.runs === 0
      ? `Nothing has expired. A collection would free ${bytes(plan.freedBytes)}.`
      : `A collection would delete ${counted(counts.checkpoints, 'checkpoint')} and ${counted(counts.runs, 'run')} for good, and free ${bytes(plan.freedBytes)}:`,
    ...(rows.length > 0
      ? table(
          rows,
          [
            { title: 'WHAT', cell: ({ what }) => safe(what), flexible: true },
            { title: 'SIZE', cell: ({ size }) => size, right: true },
            { title: 'REMOVED', cell: ({ trashedAt }) => age(trashedAt) },
          ],
          width,
        )
      : []),
    ...(listed.length > rows.length
      ? [`… ${integer(listed.length - rows.length)} more; --json lists more of them`]
      : []),
    ...(later.checkpoints > 0
      ? [
          `${counted(later.checkpoints, 'more checkpoint')} in the trash ${later.checkpoints === 1 ? 'stays' : 'stay'} until ${new Date(later.firstExpiresAt!).toLocaleString()} at least; --empty-trash deletes ${later.checkpoints === 1 ? 'it' : 'them'}, too.`,
        ]
      : []),
    ...wrapped(
      `${bytes(atQuota.usedBytes)} of ${bytes(atQuota.quotaBytes)} are used. If the quota is reached, up to ${counted(atQuota.checkpoints, 'checkpoint')} (${bytes(atQuota.bytes)} before deduplication) go as needed: first the trash, then all but the newest, the best and the protected ones of each run.`,
      width,
    ),
  ];
}

/** Shows what emptying the trash deletes for good, and asks. */
async function mayEmptyTrash(context: Context): Promise<boolean> {
  if (context.args.flag('yes')) return true;
  const client = await context.project();
  const lost = lossLines(await client.request(storeTrash, { root: context.root }));
  if (lost.length === 0) return true;
  if (!context.json) {
    context.write('Emptying the trash deletes for good:\n');
    for (const line of lost.flatMap((text) => wrapped(safe(text), context.width - 2))) context.write(`  ${line}\n`);
  }
  if (await ask(context, 'Delete it? This cannot be undone.')) return true;
  printError('Nothing was deleted. --yes skips the question.\n');
  return false;
}

async function quota(context: Context): Promise<number> {
  const { args, root } = context;
  const [given] = args.words;
  const asked = given === undefined ? undefined : given === 'default' ? null : parseSize(given);
  const client = await context.project();
  if (asked !== undefined && !args.flag('yes')) {
    const planned = await client.request(storeQuota, { root, bytes: asked, dryRun: true });
    if (!(await acceptsLoss(context, planned))) return 1;
  }
  const result = await client.request(storeQuota, { root, bytes: asked });
  context.answer(result, [
    field('quota', `${bytes(result.quotaBytes)}${result.isDefault ? ' (the default for this disk)' : ''}`),
    field('used', `${bytes(result.takenBytes)}  ${bar(Math.min(1, result.takenBytes / result.quotaBytes), 20)}`),
  ]);
  return 0;
}

/** Says what a smaller quota costs, and asks; true where it costs nothing. */
async function acceptsLoss(context: Context, { quotaBytes, takenBytes, atNextCheckpoint }: Quota): Promise<boolean> {
  const { checkpoints, bytes: size } = atNextCheckpoint;
  if (checkpoints === 0) return true;
  const text = `The store uses ${bytes(takenBytes)}. With ${bytes(quotaBytes)} the next checkpoint deletes about ${counted(checkpoints, 'checkpoint')} (${bytes(size)} before deduplication) for good: the trash first, then older ones that nothing protects.`;
  if (!context.json) for (const line of wrapped(text, context.width)) context.write(`${line}\n`);
  if (await ask(context, 'Set it?')) return true;
  printError('Nothing was changed. --yes skips the question.\n');
  return false;
}
