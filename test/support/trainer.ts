/** Runs the real trainer process on a session directory, without a daemon. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { randomId } from '../../protocol/ids.ts';
import { CHECKPOINT_FILE, type CheckpointFile, type Launch, type SessionEvent } from '../../protocol/session.ts';
import { SESSION_FORMAT } from '../../protocol/version.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { afterwards } from './cleanup.ts';

export const DIST = resolve(import.meta.dirname, '../../dist');
export const WEBGPU_PACKAGE = resolve(import.meta.dirname, '../../node_modules/webgpu');
export const TRAINERS = resolve(import.meta.dirname, '../trainers');

export function makeLaunch(overrides: Partial<Launch> = {}): Launch {
  return {
    format: SESSION_FORMAT,
    session: randomId(),
    run: null,
    runNumber: null,
    job: 'small',
    purpose: 'train',
    exportAs: null,
    root: TRAINERS,
    cwd: TRAINERS,
    module: 'small.ts',
    command: null,
    params: {},
    seed: 7,
    backend: 'wasm',
    backendOptions: { from: null, threads: 1 },
    files: [],
    resume: null,
    untilStep: null,
    variables: null,
    untilEpoch: null,
    checkpoint: { everySeconds: 0, everySteps: null, everyEpochs: null, onBest: false },
    push: null,
    onNaN: 'ignore',
    onSpike: 'ignore',
    rollback: {},
    skip: null,
    recent: {},
    monitor: null,
    keep: { last: 3, every: null },
    stated: [],
    identity: { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] },
    createdAt: Date.now(),
    imported: false,
    ...overrides,
  };
}

export interface Trained {
  directory: SessionDirectory;
  code: number | null;
  signal: NodeJS.Signals | null;
}

export async function train(sessions: string, launch: Launch, env: Record<string, string> = {}): Promise<Trained> {
  const { directory, child } = startTrainer(sessions, launch, env);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) =>
    child.once('exit', (...end) => done(end)),
  );
  return { directory, code, signal };
}

export function startTrainer(sessions: string, launch: Launch, env: Record<string, string> = {}) {
  const directory = SessionDirectory.create(sessions, launch);
  const output = openSync(directory.file('output'), 'a');
  const child = spawn(process.execPath, [join(DIST, 'trainer.js'), directory.path], {
    stdio: ['ignore', output, output],
    env: { ...process.env, ...env },
  });
  closeSync(output);
  afterwards(() => void child.kill('SIGKILL'));
  return { directory, child };
}

/** Makes a launch that continues from a checkpoint in another session's inbox. */
export function resumeFrom(launch: Launch, from: { path: string; facts: CheckpointFile }): Launch {
  return {
    ...launch,
    session: randomId(),
    resume: {
      directory: from.path,
      checkpoint: from.facts.id,
      step: from.facts.step,
      expected: {
        data: from.facts.data?.fingerprint ?? null,
        backend: from.facts.environment.backend ?? null,
        framework: from.facts.environment.framework ?? null,
      },
      params: {},
      accept: [],
    },
  };
}

export function inbox(directory: SessionDirectory): { path: string; facts: CheckpointFile }[] {
  return directory.inbox().map((name) => {
    const path = join(directory.file('inbox'), name);
    return { path, facts: JSON.parse(readFileSync(join(path, CHECKPOINT_FILE), 'utf8')) as CheckpointFile };
  });
}

export function events(directory: SessionDirectory): SessionEvent[] {
  if (!existsSync(directory.file('events'))) return [];
  return readFileSync(directory.file('events'), 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as SessionEvent];
      } catch {
        return [];
      }
    });
}

/** Returns steps and losses, with the exact bits. */
export function losses(directory: SessionDirectory): [number, unknown][] {
  return events(directory).flatMap((event) =>
    event.type === 'metrics' && 'loss' in event.values ? [[event.step, event.values.loss] as [number, unknown]] : [],
  );
}

export function output(directory: SessionDirectory): string {
  return `${basename(directory.path)} ${readdirSync(directory.path)}\n${readFileSync(directory.file('output'), 'utf8')}`;
}
