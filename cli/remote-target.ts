/** Checkpoints of remotes in place of those that are here: `box/7@best`. */
import type { Client } from '../client/connect.ts';
import { remoteList, remotePull } from '../protocol/messages/remote.ts';
import { isModelName } from '../protocol/model-names.ts';
import { credentials, pulledLines } from './commands/remotes.ts';
import type { Context } from './context.ts';
import { requestTask } from './task.ts';

/** Pulls what a word names on a remote, and says so. Null: the word names nothing on a remote. */
export async function pullNamed(
  context: Context,
  client: Client,
  word: string | undefined,
): Promise<{ run: string; from: string } | null> {
  const [, name, rest] = /^([\w-]+)\/(.+)$/.exec(word ?? '') ?? [];
  if (!name || !rest || isModelName(word!)) return null;
  const { root } = context;
  const { remotes } = await client.request(remoteList, { root });
  if (!remotes.some((remote) => remote.name === name)) return null;
  const target = rest.includes('@') ? word! : `${word}@last`;
  const report = await requestTask(
    client,
    remotePull,
    { root, targets: [target], environment: credentials() },
    'Pulling',
  );
  if (!context.json) for (const line of pulledLines(report, context.width)) context.write(`${line}\n`);
  return report.checkpoint && { run: report.checkpoint.run, from: report.checkpoint.id };
}
