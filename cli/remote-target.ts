/** Checkpoints of remotes in place of those that are here: `box/7@best`. */
import type { Client } from '../client/connect.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { remoteFetch, remoteList, remotePull, remoteRuns } from '../protocol/messages/remote.ts';
import { isModelName } from '../protocol/model-names.ts';
import type { Context } from './context.ts';
import { credentials } from './remote-environment.ts';
import { pulledLines } from './remote-views.ts';
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

/**
 * Pulls the last checkpoint of the newest run of a job that any remote has. Throws `remoteDamaged` if there is none, and something damaged
 * may be one: whoever is told that there is none begins from the beginning.
 */
export async function pullLastOf(
  context: Context,
  client: Client,
  job: string,
  branch: string | undefined,
): Promise<number> {
  const { root } = context;
  const environment = credentials();
  const { fetched } = await requestTask(client, remoteFetch, { root, environment }, 'Fetching');
  const asked = fetched.map(({ remote }) => remote);
  const { runs } = await client.request(remoteRuns, { root, job, branch });
  const found = runs.find(({ newest }) => newest);
  const damaged = fetched.find(({ problems }) => problems.length > 0);
  if (!found && damaged) {
    const { remote, problems } = damaged;
    const text = `The remote ${remote} may have a checkpoint of ${job}, and something there is damaged: ${problems[0]}`;
    throw new TrainstashError('remoteDamaged', text, { remote, object: job });
  }
  if (!found) {
    context.answer({ checkpoint: null, remote: null, asked }, [
      asked.length === 0
        ? 'There are no remotes.'
        : `${asked.join(', ')} has no checkpoint of ${job}${branch ? ` on ${branch}` : ''}.`,
    ]);
    return 0;
  }
  const targets = [`${found.remote}/${found.run.id}@last`];
  const report = await requestTask(client, remotePull, { root, targets, environment }, 'Pulling');
  context.answer({ ...report, remote: found.remote, asked }, pulledLines(report, context.width));
  return report.problems.length === 0 ? 0 : 1;
}
