/** Commands about remotes: push checkpoints there, see what is there, pull them here. */
import { resolve } from 'node:path';
import type { Client } from '../../client/connect.ts';
import {
  type FetchReport,
  type PullReport,
  type RemoteSettings,
  type RemoteSummary,
  type RemoteTest,
  remoteAdd,
  remoteChange,
  remoteCheck,
  remoteCollect,
  remoteFetch,
  remoteKey,
  remoteList,
  remotePull,
  remotePush,
  remoteRemove,
  remoteTest,
} from '../../protocol/messages/remote.ts';
import { PUSH_CHOICES } from '../../protocol/pushing.ts';
import { age, bytes, counted, integer } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { paint, safe, table, wrapped } from '../format.ts';
import { credentials } from '../remote-environment.ts';
import { acceptOffer, type OfferWishes, offerLines } from '../remote-offers.ts';
import { pullLastOf } from '../remote-target.ts';
import { pulledLines } from '../remote-views.ts';
import { parseSize } from '../sizes.ts';
import { requestTask } from '../task.ts';

const MOST_TARGETS = 1_000;
const USAGE =
  '[list] | add NAME [URL] [--endpoint URL] [--region NAME] [--profile NAME] [--push WHICH] [--limit RATE] [--encrypt] [--key FILE] [--trust] [--yes] | set NAME [--push WHICH] [--limit RATE] | key NAME | test NAME | rm NAME | gc NAME [--dry-run] | fsck NAME [--data]';
/** Options that say where an S3 server is, and who asks. */
const PLACE_OPTIONS = {
  endpoint: { type: 'string' },
  region: { type: 'string' },
  profile: { type: 'string' },
} as const;

export const remoteCommands: Record<string, Command> = {
  remote: {
    summary: 'add, try, check or remove places to push checkpoints to',
    usage: USAGE,
    options: {
      ...PLACE_OPTIONS,
      push: { type: 'string' },
      limit: { type: 'string' },
      encrypt: { type: 'boolean' },
      key: { type: 'string' },
      'dry-run': { type: 'boolean' },
      data: { type: 'boolean' },
      yes: { type: 'boolean', short: 'y' },
      ...TRUST_OPTION,
    },
    words: [0, 3],
    run: remote,
  },
  push: {
    summary: 'send checkpoints to a remote: those named, or all that it lacks',
    usage: '[RUN | RUN@STEP…] [--to NAME]',
    options: { to: { type: 'string' } },
    words: [0, MOST_TARGETS],
    async run(context) {
      const { root, args } = context;
      const client = await context.project('write');
      const report = await requestTask(
        client,
        remotePush,
        { root, to: args.text('to'), targets: args.words, environment: credentials() },
        'Pushing',
      );
      const { remote: name, checkpoints, present, objects, bytes: size, withoutCode } = report;
      const lines =
        checkpoints === 0
          ? [`${safe(name)} has ${present === 1 ? 'this checkpoint' : `all ${integer(present)} checkpoints`} already.`]
          : [
              `${paint('green', '✔')} ${counted(checkpoints, 'checkpoint')} sent to ${safe(name)}: ${bytes(size)} in ${counted(objects, 'new object')}.${present > 0 ? ` ${counted(present, 'other was', 'others were')} there.` : ''}`,
            ];
      for (const run of withoutCode) lines.push(`The code of ${safe(run)} was not kept here, so it was not sent.`);
      context.answer(report, lines);
      return 0;
    },
  },
  fetch: {
    summary: 'read what runs and checkpoints remotes have, not their content',
    usage: '[NAME]',
    options: {},
    words: [0, 1],
    async run(context) {
      const client = await context.project('write');
      const request = { root: context.root, name: context.args.words[0], environment: credentials() };
      const { fetched } = await requestTask(client, remoteFetch, request, 'Fetching');
      const lines = fetched.flatMap((one) => fetchLines(one, context.width));
      context.answer(fetched, lines.length > 0 ? lines : [NO_REMOTES]);
      return fetched.some(({ problems }) => problems.length > 0) ? 1 : 0;
    },
  },
  pull: {
    summary: 'take runs and checkpoints of a remote into the store here',
    usage: 'NAME | NAME/RUN | NAME/RUN@STEP… | --job NAME [--branch NAME]',
    options: { job: { type: 'string' }, branch: { type: 'string' } },
    words: [0, MOST_TARGETS],
    async run(context) {
      const { root, args } = context;
      const job = args.text('job');
      if ((args.words.length === 0) === (job === undefined))
        throw new UsageError('Name what to pull (`trainstash pull box/14@best`), or a job with --job.');
      const client = await context.project('write');
      if (job !== undefined) return pullLastOf(context, client, job, args.text('branch'));
      return pulled(
        context,
        await requestTask(client, remotePull, { root, targets: args.words, environment: credentials() }, 'Pulling'),
      );
    },
  },
  clone: {
    summary: 'take the whole history of a remote into a fresh clone',
    usage: 'URL [--name NAME] [--endpoint URL] [--region NAME] [--profile NAME] [--key FILE] [--trust]',
    options: { name: { type: 'string' }, key: { type: 'string' }, ...PLACE_OPTIONS, ...TRUST_OPTION },
    words: [1, 1],
    async run(context) {
      const { root } = context;
      const client = await context.project('write', { create: true });
      const name = context.args.text('name') ?? 'origin';
      const { isNew } = await client.request(remoteAdd, {
        root,
        name,
        keyFile: keyFileOf(context),
        ...placeOf(context, context.args.words[0]!),
      });
      if (isNew) context.write(`The place was empty. It is the remote ${name} now; \`trainstash push\` fills it.\n`);
      return pulled(
        context,
        await requestTask(client, remotePull, { root, targets: [name], environment: credentials() }, 'Pulling'),
      );
    },
  },
};

function placeOf({ args }: Context, url: string) {
  const [endpoint, region, profile] = [args.text('endpoint'), args.text('region'), args.text('profile')];
  return { url, endpoint, region, profile, environment: credentials() };
}

const NO_REMOTES = 'No remotes. `trainstash remote add NAME URL` adds one.';

async function remote(context: Context): Promise<number> {
  const [action = 'list', name, url, ...more] = context.args.words;
  const { root } = context;
  const wanted = { list: [0, 1], add: [2, 3], set: [2], key: [2], test: [2], rm: [2], gc: [2], fsck: [2] }[action];
  if (more.length > 0 || !wanted?.includes(context.args.words.length))
    throw new UsageError(`Usage: trainstash remote ${USAGE}`);
  refuseOthers(context, action, url !== undefined);
  const client = await context.project('write');
  if (action === 'list') return list(context, client);
  const wishes = { ...settingsOf(context), encrypt: context.args.flag('encrypt'), keyFile: keyFileOf(context) };
  if (action === 'add' && url === undefined) return accept(context, client, name!, wishes);
  if (action === 'add') {
    const added = await client.request(remoteAdd, { root, name: name!, ...placeOf(context, url!), ...wishes });
    const { remote: made, test, isNew } = added;
    const first = isNew
      ? 'It was empty: `trainstash push` fills it.'
      : `\`trainstash fetch ${made.name}\` reads what it has.`;
    context.answer(added, [
      `${paint('green', '✔')} Added ${safe(made.name)} (${safe(made.url)}). ${first}`,
      ...testLines(test),
    ]);
    return failed(test) ? 1 : 0;
  }
  if (action === 'key') {
    const { key } = await client.request(remoteKey, { root, name: name!, environment: credentials() });
    context.answer({ key }, [key]);
    return 0;
  }
  if (action === 'set') {
    const changed = await client.request(remoteChange, { root, name: name!, ...settingsOf(context) });
    context.answer(changed, [settingsLine(changed)]);
    return 0;
  }
  if (action === 'test') {
    const test = await client.request(remoteTest, { root, name: name!, environment: credentials() });
    context.answer(test, testLines(test));
    return failed(test) ? 1 : 0;
  }
  if (action === 'rm') {
    await client.request(remoteRemove, { root, name: name! });
    context.answer({ removed: name }, [
      `${safe(name!)} is no remote of this project any more. What is stored there stays there.`,
    ]);
    return 0;
  }
  if (action === 'gc') return collect(context, name!);
  const report = await requestTask(
    client,
    remoteCheck,
    { root, name: name!, data: context.args.flag('data'), environment: credentials() },
    'Checking',
  );
  const { checkpoints, objects, bytes: size, unused, problems } = report;
  const extra = context.args.flag('data')
    ? ', each byte compared with its hash'
    : ', each object there; --data compares the bytes, too';
  context.answer(report, [
    ...problems.flatMap(({ key, problem }) => [`${paint('red', '!')} ${safe(key)}: ${safe(problem)}`]),
    `${counted(checkpoints, 'whole checkpoint')} in ${counted(objects, 'object')} (${bytes(size)})${extra}.`,
    ...(unused.objects > 0
      ? [
          `${counted(unused.objects, 'object')} (${bytes(unused.bytes)}) unused; \`trainstash remote gc ${safe(name!)}\` frees them.`,
        ]
      : []),
  ]);
  return problems.length === 0 ? 0 : 1;
}

async function list(context: Context, client: Client): Promise<number> {
  const { remotes, offers } = await client.request(remoteList, { root: context.root });
  const open = offers.filter(({ accepted }) => accepted === null);
  context.answer({ remotes, offers }, [
    ...(remotes.length > 0 ? remoteTable(remotes, context.width) : open.length > 0 ? [] : [NO_REMOTES]),
    ...remotes.flatMap((one) => stateLines(one, context.width)),
    ...offers.flatMap((offer) =>
      wrapped(
        `${offerLines(offer).join(' ')} ${offer.accepted === null ? `\`trainstash remote add ${offer.name}\` accepts it.` : ''}`.trim(),
        context.width,
      ),
    ),
  ]);
  return 0;
}

/** Throws a usage error for an option that the action would ignore: somebody relies on what it says. */
function refuseOthers({ args }: Context, action: string, hasUrl: boolean): void {
  const place = hasUrl ? Object.keys(PLACE_OPTIONS) : [];
  const own: Record<string, string[]> = {
    add: [...place, 'push', 'limit', 'encrypt', 'key', 'yes'],
    set: ['push', 'limit'],
    gc: ['dry-run'],
    fsck: ['data'],
  };
  const all = [...Object.keys(PLACE_OPTIONS), 'push', 'limit', 'encrypt', 'key', 'dry-run', 'data', 'yes'];
  const other = all.find(
    (option) => !own[action]?.includes(option) && (args.flag(option) || args.text(option) !== undefined),
  );
  if (other === undefined) return;
  const isPlace = action === 'add' && other in PLACE_OPTIONS;
  throw new UsageError(
    isPlace
      ? `--${other} belongs to a URL, and trainstash.json says where the remote leads. Nothing was added. Name the place: trainstash remote add NAME URL --${other} …`
      : `\`trainstash remote ${action}\` does nothing with --${other}. Nothing was changed.${other === 'encrypt' || other === 'key' ? ' Encryption is chosen when a remote is added.' : ''}`,
  );
}

async function accept(context: Context, client: Client, name: string, wishes: OfferWishes): Promise<number> {
  const test = await acceptOffer(context, client, name, wishes);
  if (!test) return 1;
  context.answer(test, [`${paint('green', '✔')} Added ${safe(name)}.`, ...testLines(test)]);
  return failed(test) ? 1 : 0;
}

/** Returns the key file that was named; the daemon runs in another folder. */
function keyFileOf({ args }: Context): string | undefined {
  const path = args.text('key');
  return path === undefined ? undefined : resolve(path);
}

/** Reads the options about automatic pushes. */
function settingsOf({ args }: Context): Partial<RemoteSettings> {
  const [push, limit] = [args.text('push'), args.text('limit')];
  const choice = PUSH_CHOICES.find((one) => one === push);
  if (push !== undefined && !choice) throw new UsageError(`--push takes one of: ${PUSH_CHOICES.join(' | ')}`);
  const rate = limit === undefined || limit === 'none' ? null : parseSize(limit.replace(/\/s$/, ''));
  return { ...(choice ? { push: choice } : {}), ...(limit === undefined ? {} : { bytesPerSecond: rate }) };
}

function settingsLine({ name, push, bytesPerSecond }: RemoteSummary): string {
  const sends = push === 'none' ? 'only what jobs or you push is sent' : `sends ${push} of runs whose job does not say`;
  const limit = bytesPerSecond === null ? 'without a limit' : `at most ${bytes(bytesPerSecond)} a second`;
  return `${safe(name)}: ${sends}, ${limit}.`;
}

/** Says what is being sent, what waits, and what is wrong. */
function stateLines({ name, waiting, sending, failing }: RemoteSummary, width: number): string[] {
  if (failing)
    return wrapped(
      `${paint('red', '!')} ${safe(name)}: nothing could be sent since ${age(failing.since)}; ${counted(waiting, 'run waits', 'runs wait')}. ${safe(failing.message)}`,
      width,
    );
  if (sending) return [`${safe(name)}: sending ${bytes(sending.done)} of ${bytes(sending.total)}.`];
  return waiting > 0 ? [`${safe(name)}: ${counted(waiting, 'run waits', 'runs wait')} to be sent.`] : [];
}

async function collect(context: Context, name: string): Promise<number> {
  const { root } = context;
  const dryRun = context.args.flag('dry-run');
  const report = await requestTask(
    await context.client(),
    remoteCollect,
    { root, name, dryRun, environment: credentials() },
    'Collecting',
  );
  const { deleted, noted, deletableAt } = report;
  const words = (count: { objects: number; bytes: number }) =>
    `${counted(count.objects, 'object')} (${bytes(count.bytes)})`;
  const hours = deletableAt === null ? 0 : Math.max(1, Math.ceil((deletableAt - Date.now()) / 3_600_000));
  context.answer(report, [
    `${words(deleted)} ${dryRun ? 'would be deleted' : 'deleted'}.`,
    ...(noted.objects > 0
      ? [
          `${words(noted)} ${dryRun ? 'are' : 'are now'} unused. A \`trainstash remote gc ${safe(name)}\` in ${counted(hours, 'hour')} deletes what is unused then.`,
        ]
      : []),
  ]);
  return 0;
}

function pulled(context: Context, report: PullReport): number {
  context.answer(report, pulledLines(report, context.width));
  return report.problems.length === 0 ? 0 : 1;
}

function remoteTable(remotes: readonly RemoteSummary[], width: number): string[] {
  return table(
    remotes,
    [
      { title: 'REMOTE', cell: ({ name }) => safe(name) },
      { title: 'URL', cell: ({ url }) => safe(url), flexible: 'end' },
      { title: 'RUNS', cell: ({ runs, fetchedAt }) => (fetchedAt === null ? '' : integer(runs)), right: true },
      {
        title: 'CHECKPOINTS',
        cell: ({ checkpoints, fetchedAt }) => (fetchedAt === null ? '' : integer(checkpoints)),
        right: true,
      },
      { title: 'FETCHED', cell: ({ fetchedAt }) => (fetchedAt === null ? 'never' : age(fetchedAt)) },
    ],
    width,
  );
}

function fetchLines({ remote: name, runs, checkpoints, fresh, problems }: FetchReport, width: number): string[] {
  const news =
    fresh > 0 ? `, ${integer(fresh)} of them new. \`trainstash ls --remote ${name}\` lists them.` : '; nothing new.';
  return [
    ...problems.flatMap((problem) => wrapped(`${paint('red', '!')} ${safe(problem)}`, width)),
    `${safe(name)}: ${counted(runs, 'run')} with ${counted(checkpoints, 'checkpoint')}${safe(news)}`,
  ];
}

function failed({ steps }: RemoteTest): boolean {
  return steps.some(({ error }) => error !== null);
}

function testLines({ steps }: RemoteTest): string[] {
  const done = steps
    .filter(({ error }) => error === null)
    .map(({ does, ms }) => `${does} ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
  return [
    ...(done.length > 0 ? [`  works: ${done.join(', ')}`] : []),
    ...steps.flatMap(({ does, error }) =>
      error ? [`${paint('red', '!')} ${does} fails: ${safe(error.message)}`] : [],
    ),
  ];
}
