/** Texts about runs that are moved off their GPUs, and the program that does it. */
import type { Run } from '../../../protocol/domain.ts';
import { duration, integer } from '../../../protocol/words.ts';
import { programOf } from '../launch/environments.ts';
import type { LaunchNotice } from '../live/notices.ts';
import type { MoveRecord } from './records.ts';

/** Finds NVIDIA's program that moves a process off its GPU, on the first PATH that has it. It is never downloaded. */
export function moverIn(...environments: readonly Record<string, string>[]): string | null {
  for (const environment of environments) {
    if (!environment.PATH) continue;
    const found = programOf(['cuda-checkpoint'], { cwd: '/', root: '/', environment, interpreter: undefined });
    if (found !== null) return found;
  }
  return null;
}

export function offReason({ byName }: MoveRecord): string {
  return `moved off its GPU for ${byName}, and goes on after it`;
}

/** Says what a run waits for after the end of the urgent one: another has its devices. */
export function offReasonAfter(waits: string): string {
  return `moved off its GPU, and ${waits}`;
}

export function offNotice({ byName, tookMs }: MoveRecord, { step }: Run): LaunchNotice {
  const text = `cuda-checkpoint moved it off its GPU at step ${integer(step)} for ${byName}, in ${seconds(tookMs)}. Its process waits in memory, and goes on by itself afterwards.`;
  return { code: 'movedOff', level: 'info', text };
}

export function backNotice({ byName, at, tookMs }: MoveRecord, { step }: Run, backMs: number): LaunchNotice {
  const text = `It is back on its GPU at step ${integer(step)}, ${seconds(Date.now() - at)} after it made way for ${byName}. No step was lost. Moving took ${seconds(tookMs)} there and ${seconds(backMs)} back.`;
  return { code: 'movedBack', level: 'info', text };
}

export function notBackNotice(
  { processes }: MoveRecord,
  { number, lastCheckpoint }: Run,
  problem: string,
): LaunchNotice {
  const pids = processes.map(({ pid }) => pid).join(' and ');
  const from = lastCheckpoint ? `its checkpoint at step ${integer(lastCheckpoint.step)}` : 'the beginning';
  const text = `It did not come back to its GPU: ${problem}. Its checkpoints are safe, and it is tried again while it lives. \`cuda-checkpoint --get-state --pid PID\` shows the state of process ${pids}; \`trainstash stop --force ${number}\` and \`trainstash resume ${number}\` start it again from ${from}.`;
  return { code: 'notMovedBack', level: 'error', text };
}

function seconds(milliseconds: number): string {
  return milliseconds < 10_000 ? `${(milliseconds / 1000).toFixed(1)} s` : duration(milliseconds / 1000);
}
