/** Writes a report about runs that can be sent to somebody. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { reportOf } from '../../client/report/report.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { bytes } from '../../protocol/words.ts';
import type { Command } from '../command.ts';
import { safe } from '../format.ts';

const DEFAULT_FILE = 'trainstash-report.html';

export const reportCommands: Record<string, Command> = {
  report: {
    summary: 'write an HTML report about runs, to be sent to somebody',
    usage: '[RUN…] [--to FILE] [--force]',
    options: { to: { type: 'string' }, force: { type: 'boolean' } },
    words: [0, Number.POSITIVE_INFINITY],
    async run(context) {
      const { args, root } = context;
      const client = await context.project();
      const runs = args.words.length > 0 ? args.words : [await context.runOrDefault(undefined)];
      const path = resolve(root, args.text('to') ?? DEFAULT_FILE);
      const page = await reportOf(client, root, runs);
      write(path, page, args.flag('force'));
      const size = Buffer.byteLength(page);
      context.answer({ path, bytes: size }, [
        `${safe(path)}: ${bytes(size)}. It is one file, loads nothing, and opens in any browser.`,
      ]);
      return 0;
    },
  },
};

function write(path: string, page: string, force: boolean): void {
  try {
    writeFileSync(path, page, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new TrainstashError(
        'outputExists',
        `${path} exists already and was not changed. Give another name with --to, or use --force to replace it.`,
        { path },
      );
    throw new TrainstashError('paramInvalid', `The report was not written: ${(error as Error).message}. Use --to.`, {
      param: 'to',
      expected: 'a file that can be written',
    });
  }
}
