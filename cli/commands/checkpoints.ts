/** Commands for one checkpoint. */
import { resolve } from 'node:path';
import { checkpointRestore, checkpointTag, checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { codeRestore } from '../../protocol/messages/diff.ts';
import { bytes, counted } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { paint, safe } from '../format.ts';
import { inspectionLines, readInspection } from '../inspection.ts';
import { printError } from '../output.ts';
import { checkpointTable, field, gradeText } from '../views.ts';

/** Option that `eject` and `stash restore` have too; it may also be given as the second argument. */
const TO = { to: { type: 'string' } } as const;

export const checkpointCommands: Record<string, Command> = {
  inspect: {
    summary: 'list what a checkpoint file contains, without running any of it',
    usage: 'FILE [--stats] [--all]',
    options: { stats: { type: 'boolean' }, all: { type: 'boolean' } },
    words: [1, 1],
    async run(context) {
      const client = await context.client();
      const path = resolve(context.root, context.args.words[0]!);
      const all = context.args.flag('all');
      const statistics = context.args.flag('stats');
      const inspection = await readInspection(client, { path, statistics, all: all || context.json });
      context.answer(inspection, inspectionLines(inspection, context.width, all));
      return 0;
    },
  },
  verify: {
    summary: 'replay to the next checkpoint and compare the states bit for bit',
    usage: 'CHECKPOINT | RUN[@STEP] [--trust]',
    options: TRUST_OPTION,
    words: [1, 1],
    async run(context) {
      const client = await context.project('run');
      const checkpoint = context.args.words[0]!;
      if (!context.json) printError('Replaying…\n');
      const result = await client.request(checkpointVerify, {
        root: context.root,
        checkpoint,
        environment: context.environment(),
      });
      const { verdict, steps, fingerprint, cause } = result.proof;
      const words = {
        equal: paint('green', `✔ verified: ${counted(steps, 'step')} recomputed to the same state, bit for bit.`),
        'state missing': paint(
          'red',
          '! The replays match each other but not the record: the checkpoint lacks part of the state.',
        ),
        'not deterministic': paint('yellow', '! Two replays differ: the training is not deterministic on this device.'),
      };
      context.answer(result, [
        words[verdict],
        ...(cause ? [field('cause', cause)] : []),
        field('checkpoint', `${result.checkpoint.id}, ${gradeText(result.checkpoint)}`),
        field('valid for', fingerprint),
      ]);
      return verdict === 'equal' ? 0 : 1;
    },
  },
  tag: {
    summary: 'name a checkpoint; tagged checkpoints are never pruned',
    usage: 'CHECKPOINT|RUN@STEP NAME [--remove]',
    options: { remove: { type: 'boolean' } },
    words: [2, 2],
    async run(context) {
      const client = await context.project();
      const [checkpoint, tag] = context.args.words as [string, string];
      const tagged = await client.request(checkpointTag, {
        root: context.root,
        checkpoint,
        tag,
        remove: context.args.flag('remove'),
      });
      context.answer(tagged, checkpointTable([tagged], context.width));
      return 0;
    },
  },
  code: {
    summary: "write a run's code snapshot into a new folder",
    usage: 'RUN|CHECKPOINT|RUN@STEP --to FOLDER [--trust]',
    options: { ...TO, ...TRUST_OPTION },
    words: [1, 2],
    async run(context) {
      const client = await context.project('write');
      const [source, directory] = withFolder(context, 'code');
      const restored = await client.request(codeRestore, { root: context.root, source, directory });
      const { leftOut } = restored;
      context.answer(restored, [
        `${counted(restored.files, 'file')} in ${restored.directory}.`,
        ...(leftOut.length > 0 ? [`Not included, since too large for the snapshot: ${safe(leftOut.join(', '))}`] : []),
      ]);
      return 0;
    },
  },
  restore: {
    summary: "write a checkpoint's own files into a new folder",
    usage: 'CHECKPOINT|RUN@STEP --to FOLDER [--trust]',
    options: { ...TO, ...TRUST_OPTION },
    words: [1, 2],
    async run(context) {
      const client = await context.project('write');
      const [checkpoint, directory] = withFolder(context, 'restore');
      const restored = await client.request(checkpointRestore, { root: context.root, checkpoint, directory });
      context.answer(restored, [
        `${counted(restored.files.length, 'file')}, ${bytes(restored.bytes)}, verified, in ${restored.directory}.`,
      ]);
      return 0;
    },
  },
};

/** Returns the source and the target folder, in either spelling. */
function withFolder({ args }: Context, name: 'code' | 'restore'): [source: string, folder: string] {
  const [source, folder = args.text('to')] = args.words;
  if (source !== undefined && folder !== undefined && (args.words[1] === undefined) !== (args.text('to') === undefined))
    return [source, folder];
  throw new UsageError(`Usage: trainstash ${name} ${checkpointCommands[name]!.usage}`);
}
