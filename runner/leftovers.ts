/**
 * Takes the checkpoints that a script had saved when its runner died, by the same rules and from the runner's records.
 * It continues until the script has ended, or until its files could be confused with those of other programs.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fromWireNumber, toWireNumbers, type WireNumber } from '../protocol/numbers.ts';
import type { Launch, LaunchCommand } from '../protocol/session.ts';
import { type SessionDirectory, startTimeOf } from '../session/directory.ts';
import { mayHaveLeftovers } from '../session/leftovers.ts';
import { Reporter } from '../session/reporter.ts';
import { Collector } from './collector.ts';
import { machineFacts } from './environment.ts';
import { History } from './history.ts';
import { Looker } from './looker.ts';
import { Progress } from './progress.ts';

/** The time limit for a script that outlives its runner. */
const MAX_WAIT_MS = 30_000;
const LOOK_MS = 1_000;
/** Files this much newer than the runner's last sign of life may come from another program. */
const SIGN_OF_LIFE_MS = 60_000;

/** `runtime`: the folder of the bundles; `wasSeen`: a daemon saw the script alive until now. */
export async function takeLeftovers(
  directory: SessionDirectory,
  launch: Launch,
  command: LaunchCommand,
  { runtime, wasSeen }: { runtime: string; wasSeen: boolean },
): Promise<void> {
  if (!mayHaveLeftovers(directory)) return;
  const past = eventsOf(directory);
  const reporter = new Reporter(directory, 'runnerEvents', past.at(-1)?.seq ?? 0);
  const lastSign = statSync(directory.file('files')).mtimeMs;
  const { root } = launch;
  const progress = progressOf(launch, past);
  const toldTo = past.reduce((most, { type, step }) => Math.max(most, type === 'metrics' ? (step ?? 0) : 0), 0);
  const history = new History(Math.max(toldTo, launch.resume?.step ?? 0), (time, step, epoch, values) => {
    progress.record(time, step, epoch, values);
    reporter.report({ type: 'metrics', step, epoch: progress.now.epoch, values: toWireNumbers(values) });
  });
  const looker = new Looker(runtime, { root, dir: command.dir, checkpoints: command.checkpoints });
  const collector = new Collector(
    {
      directory,
      root,
      command,
      environment: { ...machineFacts(), ...command.facts },
      parent: launch.resume?.checkpoint ?? null,
      looker,
      progress,
      logged: (logged, time) => history.record(logged, time),
      taken: ({ step, id }) => reporter.report({ type: 'checkpoint', step, name: id }),
      notice: (code, text) => reporter.report({ type: 'notice', code, level: 'warning', text, step: null }),
    },
    { notAfter: wasSeen ? Number.POSITIVE_INFINITY : lastSign + SIGN_OF_LIFE_MS },
  );
  try {
    if (!collector.knowsEarlierFiles) return;
    const until = performance.now() + MAX_WAIT_MS;
    while (isChildAlive(directory) && performance.now() < until) {
      await collector.look(false);
      await delay(LOOK_MS);
    }
    await collector.look(!isChildAlive(directory));
  } finally {
    looker.close();
    reporter.close();
  }
}

function isChildAlive(directory: SessionDirectory): boolean {
  const child = directory.process()?.child;
  if (!child) return false;
  const startTime = startTimeOf(child.pid);
  return startTime !== null && (child.startTime === null || child.startTime === startTime);
}

interface PastEvent {
  seq: number;
  t: number;
  type: string;
  step?: number;
  epoch?: number;
  values?: Record<string, WireNumber>;
}

function eventsOf(directory: SessionDirectory): PastEvent[] {
  if (!existsSync(directory.file('runnerEvents'))) return [];
  return readFileSync(directory.file('runnerEvents'), 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as PastEvent];
      } catch {
        return []; // Empty, or truncated.
      }
    });
}

function progressOf(launch: Launch, past: readonly PastEvent[]): Progress {
  const progress = new Progress(launch.resume?.step ?? 0);
  for (const { type, t, step, epoch, values } of past) {
    if (type !== 'metrics') continue;
    const numbers = Object.entries(values ?? {}).map(([name, value]) => [name, fromWireNumber(value)] as const);
    progress.record(t, step ?? null, epoch ?? null, Object.fromEntries(numbers));
  }
  return progress;
}
