/** Options of a resume that bring back the code of a checkpoint, and its packages. */
import type { Client } from '../client/connect.ts';
import { runEnvironment } from '../protocol/messages/run.ts';
import { integer } from '../protocol/words.ts';
import { UsageError } from './arguments.ts';
import type { Context } from './context.ts';
import { safe } from './format.ts';
import { printError } from './output.ts';
import { requestTask } from './task.ts';

export function codeOption({ args }: Context): { code?: 'then' | 'now' } {
  const code = args.text('code');
  if (code === undefined) return {};
  if (code !== 'then' && code !== 'now') throw new UsageError('--code is then or now.');
  return { code };
}

/** Makes the environment that belongs to the original code, where that is asked for, and returns its interpreter. */
export async function environmentOfThen(
  context: Context,
  client: Client,
  { run, from, code, interpreter }: { run?: string; from?: string; code?: string; interpreter?: string },
): Promise<{ interpreter?: string }> {
  const wanted = context.args.text('environment');
  if (wanted === undefined || wanted === 'now') return {};
  if (wanted !== 'then') throw new UsageError('--environment is then or now.');
  if (code !== 'then') throw new UsageError('--environment then is for the original code only: add --code then.');
  const { root } = context;
  const asked = { root, environment: context.environment(), interpreter, run, from };
  printError('Making the original environment. This can take minutes; Ctrl-C ends it.\n');
  const made = await requestTask(client, runEnvironment, asked, 'packages', integer);
  const words = made.isNew ? 'Made from the original lock file' : 'It is there already';
  printError(`${words} (${made.lock}): ${safe(made.folder)}\n`);
  return { interpreter: made.python };
}
