/** The command that shows the queue and the devices of this machine, and changes them. */
import { demandWords, type GpuDemand } from '../../protocol/devices.ts';
import type { Run } from '../../protocol/domain.ts';
import {
  type AwayRun,
  type QueuedRun,
  type QueueState,
  queueChange,
  queueList,
} from '../../protocol/messages/queue.ts';
import { bytes, counted } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { parsePriority, parseTime } from '../control.ts';
import { paint, safe, table } from '../format.ts';

export const queueCommands: Record<string, Command> = {
  queue: {
    summary: 'show the queue and the GPUs, and reorder, pause or widen the queue',
    usage:
      '[RUN [--first | --last | --before RUN] [--priority N] [--at TIME|now] [--after RUN|none]] [--pause | --continue] [--width N]',
    options: {
      first: { type: 'boolean' },
      last: { type: 'boolean' },
      before: { type: 'string' },
      priority: { type: 'string' },
      at: { type: 'string' },
      after: { type: 'string' },
      pause: { type: 'boolean' },
      continue: { type: 'boolean' },
      width: { type: 'string' },
    },
    words: [0, 1],
    run: queue,
  },
};

async function queue(context: Context): Promise<number> {
  const { args, root } = context;
  const [run] = args.words;
  const change = changeOf(context);
  const isChange = Object.values(change).some((value) => value !== undefined);
  if (run !== undefined && !isChange)
    throw new UsageError('Say what to change, such as `trainstash queue 14 --first`.');
  if (
    run === undefined &&
    (change.move !== undefined ||
      change.priority !== undefined ||
      change.at !== undefined ||
      change.after !== undefined)
  )
    throw new UsageError('Name the queued run to change, such as `trainstash queue 14 --first`.');
  const client = await context.project(isChange ? 'write' : 'look');
  const state = isChange
    ? await client.request(queueChange, { root, run, ...change })
    : await client.request(queueList, { root });
  context.answer(state, queueLines(state, root, context.width));
  return 0;
}

function changeOf({ args }: Context) {
  const before = args.text('before');
  const moves = [
    ...(args.flag('first') ? ['first' as const] : []),
    ...(args.flag('last') ? ['last' as const] : []),
    ...(before === undefined ? [] : [{ before }]),
  ];
  if (moves.length > 1) throw new UsageError('--first, --last and --before exclude each other.');
  if (args.flag('pause') && args.flag('continue')) throw new UsageError('--pause and --continue exclude each other.');
  const [at, after, priority, width] = [
    args.text('at'),
    args.text('after'),
    args.text('priority'),
    args.count('width', 1, 64),
  ];
  return {
    move: moves[0],
    priority: priority === undefined ? undefined : parsePriority(priority),
    at: at === undefined ? undefined : at === 'now' ? null : parseTime(at, new Date()),
    after: after === undefined ? undefined : after === 'none' ? null : after,
    paused: args.flag('pause') ? true : args.flag('continue') ? false : undefined,
    width,
  };
}

function queueLines(state: QueueState, root: string, width: number): string[] {
  const { devices, queued, away, problem } = state;
  // Those that come back go before all that is not urgent.
  const waiting = [...queued.filter((one) => one.urgent), ...away, ...queued.filter((one) => !one.urgent)];
  return [
    ...(problem === null ? [] : [paint('yellow', `! nvidia-smi fails: ${safe(problem)}`)]),
    ...(devices.length === 0
      ? []
      : table(
          devices,
          [
            {
              title: 'DEVICE',
              cell: (one) => (one.totalBytes > 0 ? `GPU ${one.index}  ${safe(one.name)}` : safe(one.name)),
            },
            {
              title: 'MEMORY',
              cell: (one) => (one.totalBytes > 0 ? `${bytes(one.usedBytes)} of ${bytes(one.totalBytes)}` : ''),
            },
            { title: 'USED BY', cell: (one) => safe(one.runs.join(', ') || one.taken || 'nobody'), flexible: 'wrap' },
          ],
          width,
        )),
    '',
    ...(state.paused ? [paint('yellow', '! The queue is paused: `trainstash queue --continue`.')] : []),
    ...(state.width > 1 ? [`Up to ${counted(state.width, 'run')} use a device at once.`] : []),
    ...(waiting.length === 0
      ? ['Nothing is queued.']
      : table(
          waiting,
          [
            { title: 'RUN', cell: (one) => `#${one.run.number}` },
            { title: 'NAME', cell: (one) => safe(one.run.name) },
            { title: 'WANTS', cell: (one) => demandWords('phase' in one ? held(one.run) : one.gpu) },
            { title: 'STATE', cell: (one) => safe(textOf(one, root)), flexible: 'wrap' },
          ],
          width,
        )),
  ];
}

/** Returns what a run comes back to: the devices that it was given. */
function held({ devices, gpu }: Run): GpuDemand | undefined {
  return devices?.length ? [...devices] : gpu;
}

function textOf(one: AwayRun | QueuedRun, root: string): string {
  const state = 'phase' in one ? awayState(one) : stateOf(one);
  return one.root === root ? state : `in ${one.root}: ${state}`;
}

function awayState({ run, for: urgent, phase }: AwayRun): string {
  if (phase === 'leaving') return `moves off its GPU for ${urgent}`;
  return phase === 'returning' ? `moves back to its GPU, after ${urgent}` : run.reason;
}

function stateOf({ run, urgent, priority }: QueuedRun): string {
  const marks = [...(urgent ? ['urgent'] : []), ...(priority === 0 ? [] : [`priority ${priority}`])];
  return [...marks, run.reason].filter(Boolean).join(', ');
}
