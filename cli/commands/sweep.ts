/** The command that starts sweeps, shows them and changes them. */
import { resolve } from 'node:path';
import type { Client } from '../../client/connect.ts';
import type { ParamValue, Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import type { Request } from '../../protocol/messages/request.ts';
import { sweepChange, sweepList, sweepShow, sweepStart } from '../../protocol/messages/sweep.ts';
import { MOST_RUNS, objectiveOf, PRUNERS, progressOf, SAMPLERS, type SweepSummary } from '../../protocol/sweep.ts';
import { age, counted, integer, metric, orDash } from '../../protocol/words.ts';
import { type Parsed, parseParams, UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { parseGpu, parsePriority } from '../control.ts';
import { paint, safe, table, wrapped } from '../format.ts';
import { printError } from '../output.ts';
import { parseRanges } from '../ranges.ts';
import { ask } from '../terminal.ts';

/** Runs that `sweep show` lists; JSON has all. */
const LISTED = 100;
export const SWEEP_ACTIONS = ['ls', 'show', 'pause', 'resume', 'stop'] as const;
type Action = (typeof SWEEP_ACTIONS)[number];
type StartRequest = typeof sweepStart extends Request<infer P, SweepSummary> ? P : never;

export const sweepCommands: Record<string, Command> = {
  sweep: {
    summary: 'train a job with many values of its params, and find the best',
    usage:
      'JOB [--set NAME=VALUES]… [-p|--param NAME=VALUE]… [--samples N] [--sampler grid|random|optuna] [--metric max:val_acc] [--pruner asha|hyperband|median] [--min-steps N] [--seed N] [--parallel N] [--on ENGINE] [--nodes N] [--gpu 1|0,1|shared] [--priority N] [--python PATH] [--backend NAME] [--yes] [--trust] | ls | show [SWEEP] | pause [SWEEP] | resume [SWEEP] | stop [SWEEP]',
    options: {
      set: { type: 'string', multiple: true },
      param: { type: 'string', multiple: true, short: 'p' },
      samples: { type: 'string' },
      sampler: { type: 'string' },
      metric: { type: 'string' },
      pruner: { type: 'string' },
      'min-steps': { type: 'string' },
      seed: { type: 'string' },
      parallel: { type: 'string' },
      on: { type: 'string' },
      nodes: { type: 'string' },
      gpu: { type: 'string' },
      priority: { type: 'string' },
      python: { type: 'string' },
      backend: { type: 'string' },
      yes: { type: 'boolean', short: 'y' },
      ...TRUST_OPTION,
    },
    words: [1, 2],
    run: sweep,
  },
};

async function sweep(context: Context): Promise<number> {
  const { args } = context;
  const [first, second] = args.words;
  const action = SWEEP_ACTIONS.find((one) => one === first);
  if (action) return act(context, action, second);
  if (second !== undefined) throw new UsageError(`Name one job, or one of ${SWEEP_ACTIONS.join(', ')} and a sweep.`);
  return start(context, first!);
}

async function start(context: Context, job: string): Promise<number> {
  const request = startRequest(context, job);
  const client = await context.project('run');
  const started = await begin(context, client, request);
  if (started === null) return 1;
  context.answer(started, [
    ...wrapped(
      `Started sweep ${started.number} of ${safe(job)}: ${counted(started.runs, 'run')} over ${safe(started.varies.join(', '))}.`,
      context.width,
    ),
    ...wrapped(
      `\`trainstash sweep show ${started.number}\` shows it, \`trainstash sweep pause ${started.number}\` pauses it.`,
      context.width - 2,
    ).map((line) => `  ${line}`),
  ]);
  return 0;
}

/** Starts the sweep; asks first if it has many runs. Returns null if that was refused. */
async function begin(context: Context, client: Client, request: StartRequest): Promise<SweepSummary | null> {
  const accept = context.args.flag('yes');
  try {
    return await client.request(sweepStart, { ...request, accept });
  } catch (error) {
    if (!isError(error, 'sweepLarge')) throw error;
    const runs = integer(error.data.runs);
    if (await ask(context, `The sweep has ${runs} runs. Start it?`))
      return client.request(sweepStart, { ...request, accept: true });
    printError(`Nothing was started: the sweep has ${runs} runs. --yes starts it, --samples 30 draws some of them.\n`);
    return null;
  }
}

function startRequest({ args, root, environment }: Context, job: string): StartRequest {
  const gpu = args.text('gpu');
  const priority = args.text('priority');
  const python = args.text('python');
  return {
    ...{ root, job, environment: environment() },
    interpreter: python === undefined ? undefined : /[/\\]/.test(python) ? resolve(python) : python,
    ...(args.texts('set').length > 0 ? { set: parseRanges(args.texts('set')) } : {}),
    params: parseParams(args.texts('param'), 'param'),
    sampler: oneOf(args, 'sampler', SAMPLERS),
    samples: args.count('samples', 1, MOST_RUNS),
    metric: args.text('metric'),
    pruner: oneOf(args, 'pruner', PRUNERS),
    minSteps: args.count('min-steps', 1),
    seed: args.count('seed'),
    parallel: args.count('parallel', 1, 64),
    engine: args.text('on'),
    nodes: args.count('nodes', 1),
    gpu: gpu === undefined ? undefined : parseGpu(gpu),
    priority: priority === undefined ? undefined : parsePriority(priority),
    backend: args.text('backend'),
  };
}

function oneOf<T extends string>(args: Parsed, option: string, known: readonly T[]): T | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const found = known.find((one) => one === text);
  if (found) return found;
  throw new UsageError(`--${option} is ${known.slice(0, -1).join(', ')} or ${known.at(-1)}, not "${text}".`);
}

async function act(context: Context, action: Action, query: string | undefined): Promise<number> {
  const { root, width } = context;
  if (action === 'ls') {
    const { sweeps } = await (await context.project()).request(sweepList, { root });
    context.answer({ sweeps }, sweepTable(sweeps, width));
    return 0;
  }
  if (action === 'show') {
    const shown = await (await context.project()).request(sweepShow, { root, sweep: query });
    context.answer(shown, [...sweepLines(shown.sweep, width), '', ...trialTable(shown.sweep, shown.runs, width)]);
    return 0;
  }
  const client = await context.project(action === 'resume' ? 'run' : 'write');
  const python = context.args.text('python');
  const environment = action === 'resume' ? { environment: context.environment(), interpreter: python } : {};
  const changed = await client.request(sweepChange, { root, sweep: query, to: action, ...environment });
  context.answer(changed, sweepLines(changed, width));
  return 0;
}

/** Lists sweeps as a table. */
export function sweepTable(sweeps: readonly SweepSummary[], width: number): string[] {
  if (sweeps.length === 0) return ['There are no sweeps yet. `trainstash sweep JOB --set lr=1e-3,3e-4` starts one.'];
  return table(
    sweeps,
    [
      { title: 'SWEEP', cell: ({ number }) => String(number) },
      { title: 'JOB', cell: (one) => safe(`${one.job} · ${one.varies.join(', ')}`), flexible: true },
      { title: 'STATE', cell: stateWord },
      { title: 'RUNS', cell: progressOf },
      { title: 'BEST', cell: bestWords },
      { title: 'AGE', cell: ({ createdAt }) => age(createdAt) },
    ],
    width,
  );
}

function stateWord({ state }: SweepSummary): string {
  const style = state === 'running' ? 'green' : state === 'finished' ? 'blue' : 'yellow';
  return paint(style, state);
}

function bestWords({ best, metric: monitor }: SweepSummary): string {
  return best && monitor ? `${safe(monitor.metric)} ${metric(best.value)} (#${best.runNumber})` : '';
}

function sweepLines(one: SweepSummary, width: number): string[] {
  const head = `${paint('bold', `Sweep ${one.number} of ${safe(one.job)}`)}  ${stateWord(one)}`;
  const params = one.best
    ? Object.entries(one.best.params)
        .filter(([name]) => one.varies.includes(name))
        .map(([name, value]) => `${name}=${short(value)}`)
        .join('  ')
    : '';
  return [
    head,
    ...(one.reason ? wrapped(safe(one.reason), width - 2).map((line) => `  ${line}`) : []),
    `  ${one.sampler} over ${safe(one.varies.join(', '))}: ${progressOf(one)}`,
    ...(one.best ? [`  best  ${bestWords(one)}  ${safe(params)}`] : []),
  ];
}

/** Lists the runs of a sweep, the best first. */
function trialTable(one: SweepSummary, runs: readonly Run[], width: number): string[] {
  const sign = one.metric?.mode === 'max' ? -1 : 1;
  const place = (run: Run) => {
    const value = objectiveOf(run, one.metric);
    return value === null ? Number.POSITIVE_INFINITY : sign * value;
  };
  const sorted = [...runs].sort((a, b) => place(a) - place(b) || a.number - b.number);
  const rows = table(
    sorted.slice(0, LISTED),
    [
      { title: 'RUN', cell: (run) => `${run.id === one.best?.run ? '★' : ' '} #${run.number}` },
      {
        title: one.metric ? safe(one.metric.metric) : 'VALUE',
        cell: (run) => orDash(objectiveOf(run, one.metric)),
        right: true,
      },
      { title: 'PARAMS', cell: (run) => safe(paramsText(run, one.varies)), flexible: true },
      {
        title: 'STATUS',
        cell: (run) => (run.status === 'paused' && run.sweep?.mark === 'pruned' ? 'ended early' : run.status),
      },
      { title: 'STEP', cell: ({ step }) => integer(step), right: true },
    ],
    width,
  );
  return runs.length > LISTED ? [...rows, `… and ${integer(runs.length - LISTED)} more; --json lists all.`] : rows;
}

function paramsText({ params, seed }: Run, varies: readonly string[]): string {
  return varies
    .map((name) => `${name} ${short(name === 'seed' && !(name in params) ? seed : (params[name] ?? null))}`)
    .join('  ');
}

/** Writes a value as people compare it: Optuna draws numbers with all digits. */
function short(value: ParamValue): string {
  return typeof value === 'number' && !Number.isInteger(value) ? metric(value) : JSON.stringify(value);
}
