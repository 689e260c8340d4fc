/** Options that say when and where a run is to go, and the questions of an urgent one. */
import type { Client } from '../client/connect.ts';
import { demandWords, type GpuDemand, notMoved } from '../protocol/devices.ts';
import type { Run } from '../protocol/domain.ts';
import { isError, type TrainstashError } from '../protocol/errors.ts';
import type { Request } from '../protocol/messages/request.ts';
import { runStart } from '../protocol/messages/run.ts';
import { integer } from '../protocol/words.ts';
import { type Parsed, UsageError } from './arguments.ts';
import type { Context } from './context.ts';
import { followRun } from './follow.ts';
import { paint, safe, wrapped } from './format.ts';
import { printError } from './output.ts';
import { ask, interrupted } from './terminal.ts';

export const CONTROL_OPTIONS = {
  gpu: { type: 'string' },
  priority: { type: 'string' },
  after: { type: 'string' },
  at: { type: 'string' },
  'max-hours': { type: 'string' },
  'max-steps': { type: 'string' },
} as const;

const DAY_MS = 86_400_000;

export function controlOptions(args: Parsed) {
  const gpu = args.text('gpu');
  const at = args.text('at');
  const hours = args.text('max-hours');
  const priority = args.text('priority');
  return {
    gpu: gpu === undefined ? undefined : parseGpu(gpu),
    priority: priority === undefined ? undefined : parsePriority(priority),
    after: args.text('after'),
    at: at === undefined ? undefined : parseTime(at, new Date()),
    maxHours: hours === undefined ? undefined : parseHours(hours),
    maxSteps: args.count('max-steps', 1),
  };
}

/** Parses `1`, `[0]`, `0,1` and `shared`. */
export function parseGpu(text: string): GpuDemand {
  if (text === 'shared') return 'shared';
  if (/^\d{1,2}$/.test(text) && Number(text) <= 64) return Number(text);
  const inner = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  const indices = inner.split(',').map((part) => part.trim());
  const isList = text.startsWith('[') || indices.length > 1;
  if (isList && indices.every((part) => /^\d{1,2}$/.test(part)) && new Set(indices).size === indices.length)
    return indices.map(Number);
  throw new UsageError(`--gpu takes a number of GPUs (2), GPUs by index (0,1 or [0]) or shared, not "${text}".`);
}

export function parsePriority(text: string): number {
  if (/^-?\d{1,3}$/.test(text)) return Number(text);
  throw new UsageError(`--priority takes a whole number from -999 to 999, not "${text}".`);
}

/** Parses a time of the user's clock. One without a day is the next such time. */
export function parseTime(text: string, now: Date): number {
  const [, hour, minute] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  if (hour !== undefined && Number(hour) < 24 && Number(minute) < 60) {
    const today = new Date(now);
    today.setHours(Number(hour), Number(minute), 0, 0);
    if (today > now) return today.getTime();
    const tomorrow = new Date(today.getTime() + DAY_MS);
    // The clocks may change in between.
    tomorrow.setHours(Number(hour), Number(minute), 0, 0);
    return tomorrow.getTime();
  }
  const time = /^\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}/.test(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN;
  if (Number.isFinite(time)) return time;
  throw new UsageError(`--at takes a time such as 22:00 or 2030-01-31T22:00, not "${text}".`);
}

function parseHours(text: string): number {
  const hours = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (hours >= 0.001) return hours;
  throw new UsageError(`--max-hours takes hours such as 8 or 0.5, not "${text}".`);
}

type StartRequest = typeof runStart extends Request<infer P, Run> ? P : never;

/**
 * Starts an urgent run and waits until it has started. What others would lose is said first, and asked; without an answer nobody is
 * interrupted, and the run waits as the first one.
 */
export async function startUrgent(context: Context, client: Client, request: StartRequest): Promise<Run> {
  const start = (more: Partial<StartRequest>) => client.request(runStart, { ...request, urgent: 'interrupt', ...more });
  const run = await start({}).catch(async (error: unknown) => {
    if (!isError(error, 'interruptLoses')) throw error;
    if (context.args.flag('yes') || (await acceptsLoss(context, error)))
      return start({ accepted: error.data.runs.map((one) => one.run) });
    printError('Nobody is interrupted. It waits as the first in the queue; --yes interrupts them.\n');
    return start({ urgent: 'wait' });
  });
  if (run.status !== 'queued' || context.json || context.args.flag('detach')) return run;
  context.write(`${paint('bold', safe(run.name))} waits for ${demandWords(run.gpu)}; runs in the way save first.\n`);
  return followRun(client, run, {
    root: context.root,
    width: context.width,
    isTerminal: context.isTerminal,
    write: context.write,
    detached: interrupted(),
    reconnect: () => context.reconnect(),
    until: ({ status }) => status !== 'queued' && status !== 'starting',
  });
}

async function acceptsLoss(context: Context, error: TrainstashError<'interruptLoses'>): Promise<boolean> {
  const lines = error.data.runs.map(({ name, step, checkpointStep }) =>
    checkpointStep === null
      ? `${name} cannot save on request and has no checkpoint: it starts again from the beginning.`
      : `${name} cannot save on request: it loses ${integer(Math.max(0, step - checkpointStep))} steps since step ${integer(checkpointStep)}.`,
  );
  const { mover } = error.data;
  if (!context.json)
    for (const line of [...lines, ...(mover === null ? [] : [notMoved(mover)])].flatMap((text) =>
      wrapped(safe(text), context.width),
    ))
      printError(`${line}\n`);
  return ask(context, 'Interrupt?');
}
