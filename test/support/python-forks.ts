/** Runs scripts of the package in processes that are forked from one. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { afterAll } from 'vitest';
import { SessionDirectory } from '../../session/directory.ts';
import { PACKAGE, PYTHON, type RunPython, SCRIPTS, variablesOf, whatEnded } from './python.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../python/tests/launcher.py');

/**
 * Returns a `runPython` for the tests of a file that forks each script from one process that has imported torch, which takes longer than these
 * trainings. One at a time, and one file after the other.
 */
export function useForks(): RunPython {
  let forks: ChildProcessByStdio<Writable, Readable, null> | null = null;
  let answers: AsyncIterator<string> | null = null;
  afterAll(() => void forks?.stdin.end());
  const start = async () => {
    const words = ['-W', 'ignore', LAUNCHER, 'numpy', 'torch', 'torch.utils.data'];
    const env = { ...process.env, PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1' };
    forks = spawn(PYTHON, words, { stdio: ['pipe', 'pipe', 'inherit'], env });
    answers = createInterface(forks.stdout)[Symbol.asyncIterator]();
    if ((await answers.next()).value !== 'ready') throw new Error('the process that forks did not start');
  };
  return async (sessions, launch, [script, ...words], env = {}) => {
    if (!forks) await start();
    const directory = SessionDirectory.create(sessions, launch);
    const own = { ...variablesOf(directory), ...env };
    const request = { script, words, folder: SCRIPTS, env: own, output: directory.file('output') };
    forks!.stdin.write(`${JSON.stringify(request)}\n`);
    const { status } = JSON.parse((await answers!.next()).value) as { status: number };
    const signal = Object.entries(constants.signals).find(([, number]) => number === (status & 0x7f))?.[0] ?? null;
    return whatEnded(directory, signal === null ? status >> 8 : null, signal as NodeJS.Signals | null);
  };
}
