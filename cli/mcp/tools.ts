/** Tools for agents: they can look at everything, and, with a person's consent, start, pause, resume and fork runs. */
import {
  acceptedContent,
  type CallToolResult,
  type InputRequiredResult,
  inputRequired,
  McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Client } from '../../client/connect.ts';
import { LogFilter } from '../../client/log-filter.ts';
import type { Params, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { diffShow, diffWeights } from '../../protocol/messages/diff.ts';
import { logRead, metricsQuery } from '../../protocol/messages/metrics.ts';
import { type JobSummary, projectJobs } from '../../protocol/messages/project.ts';
import { runFork, runList, runPause, runPreflight, runResume, runShow, runStart } from '../../protocol/messages/run.ts';
import { maskParams } from '../../protocol/secrets.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { visibleJson } from '../../protocol/visible.ts';
import { requestTask } from '../task.ts';
import type { Budget } from './budget.ts';
import { continueQuestion, pauseQuestion, startQuestion } from './question.ts';

export interface ToolContext {
  /** The only project that the tools can act on. */
  root: string;
  /** Connects to the daemon. `run`: a person has agreed to start something of the project. */
  client(purpose?: 'look' | 'run'): Promise<Client>;
  environment(): Record<string, string>;
  budget: Budget;
  /** True if a person has allowed everything in advance. */
  allowAll: boolean;
  version: string;
}

const MAX_POINTS = 200;
const MAX_LOG_BYTES = 64 << 10;
const MAX_RUNS = 50;

const run = z.string().describe('A run: its number, name or id');
const checkpoint = z.string().describe('A step, tag, "best", "last", or a checkpoint’s id');
const params = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
const READS = { readOnlyHint: true, openWorldHint: false };
const CHANGES = { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false };

export function makeServer(context: ToolContext): McpServer {
  const server = new McpServer({ name: 'trainstash', version: context.version }, { capabilities: { tools: {} } });
  registerReading(server, context);
  registerActing(server, context);
  return server;
}

// biome-ignore lint/complexity/noExcessiveLinesPerFunction: a table of tools.
function registerReading(server: McpServer, context: ToolContext): void {
  const { root } = context;
  server.registerTool(
    'list_runs',
    {
      description: 'Training runs of this project, the newest first, with params, metrics and status',
      inputSchema: z.object({
        branch: z.string().optional().describe('Only those of this git branch'),
        limit: z.number().int().min(1).max(MAX_RUNS).optional(),
      }),
      annotations: READS,
    },
    ({ branch, limit }) =>
      answered(async () => {
        const client = await context.client();
        const { runs, total } = await client.request(runList, {
          root,
          limit: limit ?? 20,
          ...(branch ? { branch } : {}),
        });
        return { total, runs: runs.map(summaryOf) };
      }),
  );
  server.registerTool(
    'show_run',
    {
      description: 'One run with its checkpoints: step, metrics, size, grade (verified, complete, partial)',
      inputSchema: z.object({ run }),
      annotations: READS,
    },
    (args) =>
      answered(async () => {
        const shown = await (await context.client()).request(runShow, { root, run: args.run });
        const checkpoints = shown.checkpoints.map(({ id, step, epoch, tags, grade, metrics, bytes }) => ({
          id,
          step,
          epoch,
          tags,
          grade,
          metrics,
          bytes,
        }));
        return {
          ...summaryOf(shown.run),
          command: shown.run.command?.words ?? null,
          notices: shown.run.notices,
          checkpoints,
        };
      }),
  );
  server.registerTool(
    'read_metrics',
    {
      description: `Curves of a run, reduced to at most ${MAX_POINTS} points each; those of a fork begin with its parent’s. Values that JSON cannot express are strings: "NaN", "Infinity", "-Infinity", "-0"`,
      inputSchema: z.object({
        run,
        names: z.array(z.string()).optional().describe('Only these metrics'),
        from_step: z.number().optional(),
        to_step: z.number().optional(),
      }),
      annotations: READS,
    },
    ({ names, from_step: fromStep, to_step: toStep, run: query }) =>
      answered(async () => {
        const client = await context.client();
        const range = { names, fromStep, toStep, buckets: MAX_POINTS / 2 };
        const { series } = await client.request(metricsQuery, { root, run: query, ...range });
        return series.map(({ name, steps, values, total }) => ({ name, points: total, steps, values }));
      }),
  );
  server.registerTool(
    'diff',
    {
      description:
        'Differences between runs or checkpoints: params, metrics, code line by line, environment, data, lineage; with `weights`, also tensor by tensor',
      inputSchema: z.object({
        sides: z
          .array(z.string())
          .min(1)
          .max(8)
          .describe('Two or more of RUN, RUN@STEP, RUN@best, a checkpoint’s id; or one BRANCH..BRANCH'),
        weights: z.boolean().optional(),
      }),
      annotations: READS,
    },
    ({ sides, weights }) =>
      answered(async () => {
        const client = await context.client();
        const diff = await client.request(diffShow, { root, sides });
        const [first, second] = diff.sides.map(({ checkpoint: id }) => id);
        if (!weights || !first || !second) return diff;
        const compared = await requestTask(client, diffWeights, { root, sides: [first, second] }, 'Comparing');
        return { ...diff, weights: { ...compared, tensors: compared.tensors.slice(0, 50) } };
      }),
  );
  server.registerTool(
    'read_log',
    {
      description: "The end of a run's output",
      inputSchema: z.object({ run, bytes: z.number().int().min(1).max(MAX_LOG_BYTES).optional() }),
      annotations: READS,
    },
    (args) =>
      answered(async () => {
        const client = await context.client();
        const last = args.bytes ?? 8_192;
        let text = '';
        for (let place: { offset: number; last?: number } = { offset: 0, last }; ; ) {
          const page = await client.request(logRead, { root, run: args.run, ...place });
          if (page.text === '') break;
          text = (text + page.text).slice(-last);
          place = { offset: page.offset };
        }
        return new LogFilter().take(text);
      }),
  );
}

function registerActing(server: McpServer, context: ToolContext): void {
  const { root, budget } = context;
  const environment = () => context.environment();
  server.registerTool(
    'start_run',
    {
      description: 'Start a training of a job in trainstash.json. A person is asked first.',
      inputSchema: z.object({ job: z.string(), params: params.optional(), seed: z.number().int().min(0).optional() }),
      annotations: CHANGES,
    },
    async ({ job, params: given, seed }, call) => {
      // Errors come first: nobody is asked about a job that does not exist.
      const look = await attempt(async () => {
        budget.check(Date.now());
        return startQuestion(await jobOf(context, job), root, given ?? {});
      });
      if ('error' in look) return look.error;
      return confirmed(context, server, call, look.value, async (client) => {
        const request = { root, job, params: (given ?? {}) as Params, environment: environment() };
        const seeded = { ...request, ...(seed === undefined ? {} : { seed }) };
        return summaryOf(await budget.spend(() => client.request(runStart, seeded)));
      });
    },
  );
  server.registerTool(
    'pause_run',
    {
      description:
        'Save a live run at its next step and end its process; resume_run continues it. A person is asked first.',
      inputSchema: z.object({ run }),
      annotations: CHANGES,
    },
    async (args, call) => {
      const look = await attempt(async () => {
        const client = await context.client();
        return (await client.request(runShow, { root, run: args.run })).run;
      });
      if ('error' in look) return look.error;
      const { id } = look.value;
      return confirmed(context, server, call, pauseQuestion(look.value, root), async (client) =>
        summaryOf(await client.request(runPause, { root, run: id })),
      );
    },
  );
  const from = { run, from: checkpoint.optional(), set: params.optional().describe('Params to change') };
  for (const [name, message, verb] of [
    ['resume_run', runResume, 'Resume'],
    ['fork_run', runFork, 'Fork'],
  ] as const)
    server.registerTool(
      name,
      {
        description:
          verb === 'Fork'
            ? 'Start a new run from a checkpoint of another. A person is asked first.'
            : 'Continue a run from a checkpoint, by default its newest. A person is asked first and sees what has changed since.',
        inputSchema: z.object(from),
        annotations: CHANGES,
      },
      async (args, call) => {
        const options = {
          root,
          run: args.run,
          ...(args.from === undefined ? {} : { from: args.from }),
          ...(args.set === undefined ? {} : { set: args.set as Params }),
          environment: environment(),
        };
        const look = await attempt(async () => {
          budget.check(Date.now());
          const found = await (await context.client()).request(runPreflight, options);
          const what = found.run.command?.words.join(' ') ?? (await jobOf(context, found.run.job)).what;
          return { ...found, what };
        });
        if ('error' in look) return look.error;
        const { run: found, checkpoint: origin, differences, what } = look.value;
        const step = origin?.step ?? 0;
        const question = continueQuestion(verb, {
          name: found.name,
          what,
          step,
          root,
          set: args.set ?? {},
          differences,
        });
        return confirmed(context, server, call, question, async (client) => {
          const same = { ...options, run: found.id };
          return summaryOf(await budget.spend(() => client.request(message, { ...same, accept: true })));
        });
      },
    );
}

/** Finds a job. Throws `jobUnknown`. */
async function jobOf({ root, client }: ToolContext, name: string): Promise<JobSummary> {
  const { jobs } = await (await client()).request(projectJobs, { root });
  const job = jobs.find((each) => each.name === name);
  if (job) return job;
  const known = jobs.map((each) => each.name);
  throw new TrainstashError(
    'jobUnknown',
    `There is no job ${JSON.stringify(name)}. ${known.length > 0 ? `Known jobs: ${known.join(', ')}.` : 'trainstash.json names none.'} Nothing was started.`,
    { job: name, known },
  );
}

const CONFIRMATION = z.object({ go: z.boolean().describe('Yes, do it') });

/** Questions that were asked and are not answered yet: a yes holds only for the question shown, and only once. */
const asked = new WeakMap<ToolContext, Set<string>>();

/** Asks a person through the client. If the client cannot ask, nothing is done unless it was allowed in advance. */
async function confirmed(
  context: ToolContext,
  server: McpServer,
  call: ServerContext,
  words: string,
  act: (client: Client) => Promise<unknown>,
): Promise<CallToolResult | InputRequiredResult> {
  if (!context.allowAll) {
    const open = asked.get(context) ?? new Set();
    asked.set(context, open);
    const response = call.mcpReq.inputResponses;
    if (response?.confirm === undefined) {
      if (!server.server.getClientCapabilities()?.elicitation)
        return failed(
          'Nothing was done: this client cannot ask a person. The person who starts `trainstash mcp` can allow it with --yes.',
        );
      open.add(words);
      return inputRequired({
        inputRequests: { confirm: inputRequired.elicit({ message: words, requestedSchema: CONFIRMATION }) },
      });
    }
    const wasAsked = open.delete(words);
    if (acceptedContent(response, 'confirm', CONFIRMATION)?.go !== true)
      return failed('Nothing was done: the person declined.');
    if (!wasAsked)
      return failed(
        'Nothing was done: the call differs from the question that the person answered. Call the tool again to ask anew.',
      );
  }
  return answered(async () => act(await context.client('run')));
}

async function answered(work: () => Promise<unknown>): Promise<CallToolResult> {
  const done = await attempt(work);
  if ('error' in done) return done.error;
  // Records of older versions and output of scripts may contain secrets and control characters.
  const value = maskParams({ answer: done.value as never }).answer;
  const text = typeof value === 'string' ? value : visibleJson(JSON.stringify(value));
  return { content: [{ type: 'text', text }] };
}

/** Reports failures to the agent, which can react to them; only bugs become errors of the protocol. */
async function attempt<T>(work: () => Promise<T>): Promise<{ value: T } | { error: CallToolResult }> {
  try {
    return { value: await work() };
  } catch (error) {
    if (error instanceof TrainstashError) return { error: failed(`${error.code}: ${error.message}`) };
    throw error;
  }
}

function failed(text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}

function summaryOf(one: Run) {
  const { id, number, name, label, job, branch, commit, dirty, status, reason, step, totalSteps, epoch, note } = one;
  const metrics = Object.fromEntries(
    Object.entries(one.metrics).map(([key, { last, min, minStep, max, maxStep }]) => [
      key,
      { last, min, minStep, max, maxStep },
    ]),
  );
  return {
    id,
    number,
    name,
    label,
    job,
    branch,
    commit,
    dirty,
    status,
    live: LIVE_STATUSES.includes(status),
    reason,
    step,
    totalSteps,
    epoch,
    note,
    params: one.params,
    metrics,
    checkpoints: one.checkpoints,
  };
}
