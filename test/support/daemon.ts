/** A daemon of the test's own, with its own state directory, and a git project to use it on. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJson } from '../../base/files.ts';
import { type Client, connect } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runShow, runStart } from '../../protocol/messages/run.ts';
import type { Build } from '../../protocol/version.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder, until } from './folder.ts';
import { DIST, TRAINERS } from './trainer.ts';

export const BUILD: Build = JSON.parse(readFileSync(join(DIST, 'build.json'), 'utf8'));

export interface Fixture {
  folder: string;
  root: string;
  store: string;
  env: NodeJS.ProcessEnv;
  connect(options?: { start?: boolean; build?: Build; dist?: string }): Promise<Client>;
  /** Runs the command line; resolves with its output. */
  cli(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }>;
  daemonPid(): number;
}

export interface FixtureOptions {
  git?: boolean;
  config?: unknown;
  env?: Record<string, string>;
}

export const SMALL_JOB = { module: 'small.ts', checkpoint: { every: '4 steps' }, keep: { last: 20 } };

/** Makes a project with the small training module as job `small`. The daemon starts with the first connection. */
export function makeFixture(options: FixtureOptions = {}): Fixture {
  const folder = temporaryFolder();
  const root = join(folder, 'project');
  mkdirSync(root);
  cpSync(join(TRAINERS, 'small.ts'), join(root, 'small.ts'));
  writeFileSync(
    join(root, 'trainstash.json'),
    JSON.stringify(options.config ?? { jobs: { small: SMALL_JOB } }, null, 2),
  );
  if (options.git !== false) gitProject(root);
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TRAINSTASH_STATE: join(folder, 'state'),
    NO_COLOR: '1',
    ...options.env,
  };
  const fixture: Fixture = {
    folder,
    root,
    store: options.git === false ? join(root, '.trainstash') : join(root, '.git/trainstash'),
    env,
    async connect({ start = true, build = BUILD, dist = DIST } = {}) {
      const client = await connect({ name: 'test', build, dist: start ? dist : null, env });
      afterwards(() => client.close());
      return client;
    },
    cli: (...args) =>
      new Promise((resolve) => {
        const child = spawn(process.execPath, [join(DIST, 'trainstash.js'), ...args], {
          cwd: root,
          env,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let stdout = '';
        let stderr = '';
        child.stdout.on('data', (data) => {
          stdout += data;
        });
        child.stderr.on('data', (data) => {
          stderr += data;
        });
        child.once('close', (code) => resolve({ code, stdout, stderr }));
      }),
    daemonPid: () => JSON.parse(readFileSync(join(folder, 'state/daemon.json'), 'utf8')).pid,
  };
  afterwards(() => endProcesses(fixture));
  return fixture;
}

export function gitProject(root: string): void {
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.org', ...args], {
      cwd: root,
      stdio: 'pipe',
    });
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-qm', 'start');
}

export async function openProject(fixture: Fixture, more: { acceptStore?: boolean } = {}): Promise<Client> {
  const client = await fixture.connect();
  await client.request(projectOpen, { root: fixture.root, trusted: true, ...more });
  return client;
}

export function startSmall(
  client: Client,
  fixture: Fixture,
  params: Record<string, unknown> = {},
  extra: object = {},
): Promise<Run> {
  return client.request(runStart, {
    root: fixture.root,
    job: 'small',
    params,
    environment: shellEnvironment(),
    ...extra,
  });
}

/** A small training that does no more steps until it is released, paused or stopped: however slow the machine is, it lives when a test looks. */
export interface Held {
  run: Run;
  /** Lets it do all its steps, or those up to this one. */
  release(upTo?: number): void;
}

/** Starts one, and waits until it has done that many steps. */
export async function startHeld(
  client: Client,
  fixture: Fixture,
  steps: number,
  params: Record<string, unknown> = {},
  extra: object = {},
): Promise<Held> {
  const go = join(fixture.folder, `go-${randomId()}`);
  const { id } = await startSmall(client, fixture, { ...params, holdAfter: steps, go }, extra);
  const run = await untilStep(client, fixture, id, steps);
  return { run, release: (upTo) => writeJson(go, upTo ?? null) };
}

export function shellEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env;
  return { PATH, HOME, ...(NODE_COMPILE_CACHE ? { NODE_COMPILE_CACHE } : {}) };
}

export async function show(
  client: Client,
  fixture: Fixture,
  run: string,
): Promise<{ run: Run; checkpoints: Checkpoint[] }> {
  return client.request(runShow, { root: fixture.root, run });
}

export function untilStatus(client: Client, fixture: Fixture, run: string, ...statuses: string[]): Promise<Run> {
  return until(`run ${run} is ${statuses.join(' or ')}`, async () => {
    const shown = (await show(client, fixture, run)).run;
    if (['failed', 'lost'].includes(shown.status) && !statuses.includes(shown.status))
      throw new Error(`${shown.status}: ${shown.reason}`);
    return statuses.includes(shown.status) && shown;
  });
}

export function untilStep(client: Client, fixture: Fixture, run: string, step: number): Promise<Run> {
  return until(`run ${run} is past step ${step}`, async () => {
    const shown = (await show(client, fixture, run)).run;
    return shown.step >= step && shown;
  });
}

export function sessionDirectory(fixture: Fixture, run: Run): SessionDirectory {
  return new SessionDirectory(join(fixture.store, 'sessions', run.session!));
}

/** Waits for the trainer's pid. */
export function trainerPid(fixture: Fixture, run: Run): Promise<number> {
  return until('the trainer has written its pid', () => sessionDirectory(fixture, run).process()?.pid);
}

/** Ends the fixture's trainers, by their own records, then the daemon; no other process. */
async function endProcesses(fixture: Fixture): Promise<void> {
  for (const id of listed(join(fixture.store, 'sessions'))) {
    const pid = new SessionDirectory(join(fixture.store, 'sessions', id)).process()?.pid;
    if (pid !== undefined && isTrainer(pid)) kill(pid, 'SIGKILL');
  }
  try {
    const client = await connect({ name: 'test', build: BUILD, dist: null, env: fixture.env });
    await client.request(daemonStop, {});
    await client.closed;
    await until('the daemon is gone', () => !isAlive(client.daemon.pid), 10_000);
  } catch {
    // The daemon was not running.
  }
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended already.
  }
}

/** Tells whether that pid is still a trainer, and not a process that reuses its number. */
export function isTrainer(pid: number): boolean {
  try {
    return /trainer\.js|runner\.js/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  } catch {
    return false;
  }
}

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
