/** Runs Python scripts with the package on session directories, without a daemon. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Launch } from '../../protocol/session.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { makeLaunch, output, type Trained } from './trainer.ts';

/** Python with torch; empty if there is none, and the tests that need it are skipped. */
export const PYTHON = process.env.TRAINSTASH_TEST_PYTHON ?? '';
export const SCRIPTS = resolve(import.meta.dirname, '../python');
export const PACKAGE = resolve(import.meta.dirname, '../../python/src');

export function pythonLaunch(overrides: Partial<Launch> = {}): Launch {
  return makeLaunch({
    job: 'train',
    module: '',
    root: SCRIPTS,
    cwd: SCRIPTS,
    backend: '',
    checkpoint: { everySeconds: 0, everySteps: 8, everyEpochs: null, onBest: false },
    ...overrides,
  });
}

export interface PythonRun extends Trained {
  /** Line that a script prints at its end, or an empty text. */
  final: string;
  output: string;
}

/** Runs a script on a session directory, and waits for its end. */
export type RunPython = (
  sessions: string,
  launch: Launch,
  words: readonly string[],
  env?: Record<string, string>,
) => Promise<PythonRun>;

export const runPython: RunPython = async (sessions, launch, words, env = {}) => {
  const directory = SessionDirectory.create(sessions, launch);
  const file = openSync(directory.file('output'), 'a');
  const child = spawn(PYTHON, ['-W', 'ignore', ...words], {
    cwd: SCRIPTS,
    stdio: ['ignore', file, file],
    env: { ...process.env, ...variablesOf(directory), ...env },
  });
  closeSync(file);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) =>
    child.once('exit', (...end) => done(end)),
  );
  return whatEnded(directory, code, signal);
};

/** Returns the variables of a script with a session. */
export function variablesOf(directory: SessionDirectory): Record<string, string> {
  return { PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1', TRAINSTASH_SESSION: directory.path };
}

/** Reads what a script has printed that has ended. */
export function whatEnded(directory: SessionDirectory, code: number | null, signal: NodeJS.Signals | null): PythonRun {
  const text = output(directory);
  const final = text
    .split('\n')
    .filter((line) => line.startsWith('FINAL'))
    .sort()
    .join('\n');
  return { directory, code, signal, final, output: text };
}

export const script = (name: string): string => join(SCRIPTS, name);
