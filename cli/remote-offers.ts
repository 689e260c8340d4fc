/** Remotes that `trainstash.json` names: they are shown, and used once a person has accepted them on this machine. */
import type { Client } from '../client/connect.ts';
import {
  type RemoteOffer,
  type RemoteSettings,
  type RemoteTest,
  remoteAdd,
  remoteDecline,
  remoteList,
} from '../protocol/messages/remote.ts';
import { offerSentences } from '../protocol/pushing.ts';
import { UsageError } from './arguments.ts';
import type { Context } from './context.ts';
import { paint, safe } from './format.ts';
import { printError } from './output.ts';
import { credentials } from './remote-environment.ts';
import { ask } from './terminal.ts';

/** Wishes of a person who accepts an offer. */
export type OfferWishes = Partial<RemoteSettings> & { encrypt?: boolean; keyFile?: string | undefined };

/** Describes an offer in lines. */
export function offerLines(offer: RemoteOffer): string[] {
  return offerSentences(offer).map(safe);
}

/** Asks about the offer of that name, and adds it. Throws a usage error if there is none. */
export async function acceptOffer(
  context: Context,
  client: Client,
  name: string,
  wishes: OfferWishes,
): Promise<RemoteTest | null> {
  const { root } = context;
  const { offers, remotes } = await client.request(remoteList, { root });
  const offer = offers.find((one) => one.name === name);
  if (!offer) {
    const known = remotes.find((one) => one.name === name);
    if (known) {
      context.write(`${safe(name)} is a remote of this project already (${safe(known.url)}).\n`);
      return null;
    }
    throw new UsageError(
      `trainstash.json offers no remote "${name}". Name its place: trainstash remote add ${name} URL`,
    );
  }
  for (const line of offerLines(offer)) context.write(`${line}\n`);
  if (offer.accepted !== null) {
    context.write(`\`trainstash remote rm ${name}\` removes the one in use first.\n`);
    return null;
  }
  if (!context.args.flag('yes') && !(await ask(context, 'Use it on this machine?'))) {
    context.write('Nothing was added, and nothing is sent. With --yes it is added without a question.\n');
    return null;
  }
  const { url, endpoint, region, profile } = offer;
  const added = await client.request(remoteAdd, {
    root,
    name,
    url,
    endpoint,
    region,
    profile,
    ...wishes,
    environment: credentials(),
  });
  return added.test;
}

/** Asks once about the remote that a job pushes to, before it starts. Where nobody can be asked, says that nothing is sent. */
export async function askAboutPush(context: Context, client: Client, job: string | undefined): Promise<void> {
  if (job === undefined) return;
  const { root } = context;
  const { offers } = await client.request(remoteList, { root }).catch(() => ({ offers: [] as RemoteOffer[] }));
  const offer = offers.find(({ jobs, accepted }) => jobs.includes(job) && accepted === null);
  if (!offer || offer.declined) return;
  const { name, url } = offer;
  if (!context.isTerminal || !process.stdin.isTTY || context.json) {
    printError(
      `${paint('yellow', `Nothing is sent to ${safe(name)} (${safe(url)}), which trainstash.json offers: it was not accepted on this machine. \`trainstash remote add ${safe(name)}\` accepts it.`)}\n`,
    );
    return;
  }
  for (const line of offerLines(offer)) context.write(`${line}\n`);
  if (!(await ask(context, 'Use it on this machine?'))) {
    await client.request(remoteDecline, { root, name, url });
    context.write(`Nothing is sent. \`trainstash remote add ${safe(name)}\` accepts it later.\n`);
    return;
  }
  const { endpoint, region, profile } = offer;
  await client.request(remoteAdd, { root, name, url, endpoint, region, profile, environment: credentials() });
}
