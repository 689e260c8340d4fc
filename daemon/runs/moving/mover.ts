/**
 * Moves the CUDA state of processes off their GPUs and back, by NVIDIA's `cuda-checkpoint`. Each process goes the way from `running`
 * to `locked` to `checkpointed`, and the same way back. The program does not promise to leave a process in a good state after an error
 * in between, so every error is followed by the question in what state it is.
 */
import { execFile } from 'node:child_process';
import { startTimeOf } from '../../../session/directory.ts';

/** Time that the work which a GPU has begun may take. Processes that wait for each other never get there. */
const LOCK_MS = 10_000;
const ANSWER_MS = LOCK_MS + 5_000;
/** Time for the copy of a whole GPU's memory, also to a busy machine. */
const COPY_MS = 300_000;

/** A process, with its start: its id is given again. */
export interface Mobile {
  pid: number;
  started: string;
}

type Action = 'lock' | 'checkpoint' | 'restore' | 'unlock';

/** Adds the start of each process. Those that have ended are left out. */
export function mobiles(pids: readonly number[]): Mobile[] {
  return pids.flatMap((pid) => {
    const started = startTimeOf(pid);
    return started === null ? [] : [{ pid, started }];
  });
}

/** Says why processes could not be moved as they are; null: nothing is known against it. Changes nothing. */
export async function whyNotRunning(program: string, processes: readonly Mobile[]): Promise<string | null> {
  for (const one of processes) {
    const state = await stateOf(program, one);
    if (state !== 'running') return `the CUDA state of process ${one.pid} is "${state}"`;
  }
  return null;
}

/** Moves processes off their GPUs. Rejects if one could not be moved; then some may have been. */
export async function moveOff(program: string, processes: readonly Mobile[]): Promise<void> {
  const not = await whyNotRunning(program, processes);
  if (not !== null) throw new Error(not);
  // All are locked before the first is moved: a lock can be taken back.
  for (const one of processes) await act(program, 'lock', one);
  for (const one of processes) await act(program, 'checkpoint', one);
  for (const one of processes) {
    const state = await stateOf(program, one);
    if (state !== 'checkpointed') throw new Error(`the CUDA state of process ${one.pid} is "${state}" afterwards`);
  }
}

/** Moves back whatever of the processes is not running, from any state. Rejects if one does not come back. */
export async function moveBack(program: string, processes: readonly Mobile[]): Promise<void> {
  const present = processes.filter(isThere);
  for (const one of present) if ((await stateOf(program, one)) === 'checkpointed') await act(program, 'restore', one);
  for (const one of present) if ((await stateOf(program, one)) === 'locked') await act(program, 'unlock', one);
  const not = await whyNotRunning(program, present.filter(isThere));
  if (not !== null) throw new Error(not);
}

function isThere({ pid, started }: Mobile): boolean {
  return startTimeOf(pid) === started;
}

async function stateOf(program: string, one: Mobile): Promise<string> {
  const said = await ask(program, ['--get-state', '--pid', String(one.pid)], ANSWER_MS, one);
  return said.trim().split('\n').at(-1)!.trim();
}

async function act(program: string, action: Action, one: Mobile): Promise<void> {
  const words = ['--action', action, '--pid', String(one.pid)];
  if (action === 'lock') await ask(program, [...words, '--timeout', String(LOCK_MS)], ANSWER_MS, one);
  else await ask(program, words, action === 'unlock' ? ANSWER_MS : COPY_MS, one);
}

function ask(program: string, words: readonly string[], timeout: number, one: Mobile): Promise<string> {
  if (!isThere(one)) return Promise.reject(new Error(`process ${one.pid} has ended`));
  return new Promise((resolve, reject) => {
    execFile(program, words, { timeout, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const [said] = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '');
      const why = error.killed ? `did not answer within ${timeout / 1000} s` : `says: ${said ?? error.message}`;
      reject(new Error(`\`cuda-checkpoint ${words.join(' ')}\` ${why}`));
    });
  });
}
