/** Commands about remotes: push checkpoints there, see what is there, pull them here. */
import {
  type FetchReport,
  type PullReport,
  type RemoteRun,
  type RemoteSummary,
  type RemoteTest,
  remoteAdd,
  remoteCheck,
  remoteCollect,
  remoteFetch,
  remoteList,
  remotePull,
  remotePush,
  remoteRemove,
  remoteTest,
} from '../../protocol/messages/remote.ts';
import { age, bytes, counted, integer } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { paint, safe, table, wrapped } from '../format.ts';
import { requestTask } from '../task.ts';

const MOST_TARGETS = 1_000;
const USAGE =
  '[list] | add NAME URL [--endpoint URL] [--region NAME] [--profile NAME] [--trust] | test NAME | rm NAME | gc NAME [--dry-run] | fsck NAME [--data]';
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
    options: { ...PLACE_OPTIONS, 'dry-run': { type: 'boolean' }, data: { type: 'boolean' }, ...TRUST_OPTION },
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
    usage: 'NAME | NAME/RUN | NAME/RUN@STEP…',
    options: {},
    words: [1, MOST_TARGETS],
    async run(context) {
      const client = await context.project('write');
      const { root, args } = context;
      return pulled(
        context,
        await requestTask(client, remotePull, { root, targets: args.words, environment: credentials() }, 'Pulling'),
      );
    },
  },
  clone: {
    summary: 'take the whole history of a remote into a fresh clone',
    usage: 'URL [--name NAME] [--endpoint URL] [--region NAME] [--profile NAME] [--trust]',
    options: { name: { type: 'string' }, ...PLACE_OPTIONS, ...TRUST_OPTION },
    words: [1, 1],
    async run(context) {
      const { root } = context;
      const client = await context.project('write', { create: true });
      const name = context.args.text('name') ?? 'origin';
      const { isNew } = await client.request(remoteAdd, { root, name, ...placeOf(context, context.args.words[0]!) });
      if (isNew) context.write(`The place was empty. It is the remote ${name} now; \`trainstash push\` fills it.\n`);
      return pulled(
        context,
        await requestTask(client, remotePull, { root, targets: [name], environment: credentials() }, 'Pulling'),
      );
    },
  },
};

/** Returns the variables of this shell that a remote needs: for credentials, proxies of ssh, and the home folder. */
export function credentials(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && /^(AWS_|SSH_|RCLONE_|XDG_CONFIG_HOME$|HOME$|PATH$|USER$)/.test(entry[0]),
    ),
  );
}

function placeOf({ args }: Context, url: string) {
  const [endpoint, region, profile] = [args.text('endpoint'), args.text('region'), args.text('profile')];
  return { url, endpoint, region, profile, environment: credentials() };
}

const NO_REMOTES = 'No remotes. `trainstash remote add NAME URL` adds one.';

async function remote(context: Context): Promise<number> {
  const [action = 'list', name, url, ...more] = context.args.words;
  const { root } = context;
  const wanted = { list: 1, add: 3, test: 2, rm: 2, gc: 2, fsck: 2 }[action];
  if (
    wanted === undefined ||
    more.length > 0 ||
    context.args.words.length !== (context.args.words.length === 0 ? 0 : wanted)
  )
    throw new UsageError(`Usage: trainstash remote ${USAGE}`);
  const client = await context.project('write');
  if (action === 'list') {
    const { remotes } = await client.request(remoteList, { root });
    context.answer(remotes, remotes.length > 0 ? remoteTable(remotes, context.width) : [NO_REMOTES]);
    return 0;
  }
  if (action === 'add') {
    const added = await client.request(remoteAdd, { root, name: name!, ...placeOf(context, url!) });
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

export function pulledLines(
  { checkpoints, present, bytes: size, runs, problems }: PullReport,
  width: number,
): string[] {
  const names = runs
    .slice(0, 5)
    .map(({ name, number }) => `${name}${name.endsWith(`#${number}`) ? '' : ` (#${number})`}`);
  const of =
    names.length > 0
      ? ` of ${safe(names.join(', '))}${runs.length > names.length ? ` and ${runs.length - names.length} more` : ''}`
      : '';
  return [
    ...problems.flatMap((problem) => wrapped(`${paint('red', '!')} ${safe(problem)}`, width)),
    checkpoints > 0
      ? `${paint('green', '✔')} ${counted(checkpoints, 'checkpoint')}${of} came in (${bytes(size)}), each byte verified.${present > 0 ? ` ${counted(present, 'other was', 'others were')} here.` : ''}`
      : present > 0
        ? `Nothing new: ${counted(present, 'checkpoint is', 'checkpoints are')} here already.`
        : 'No checkpoints are there.',
  ];
}

export function remoteRunTable(runs: readonly RemoteRun[], width: number): string[] {
  return table(
    runs,
    [
      { title: 'RUN', cell: ({ remote: name, run }) => safe(`${name}/${run.number}`) },
      { title: 'NAME', cell: ({ run }) => safe(run.name), flexible: true },
      { title: 'STATUS', cell: ({ run }) => run.status },
      { title: 'STEP', cell: ({ run }) => integer(run.step), right: true },
      {
        title: 'CHECKPOINTS',
        cell: ({ checkpoints, missing }) => `${checkpoints}${missing > 0 ? ` (${missing} not here)` : ''}`,
      },
      { title: 'FROM', cell: ({ machine }) => safe(machine) },
      { title: 'SENT', cell: ({ sentAt }) => age(sentAt) },
      { title: 'HERE', cell: ({ number }) => (number === null ? '' : `#${number}`) },
    ],
    width,
  );
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
