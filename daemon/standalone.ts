/**
 * Entry for `trainstash run --no-daemon`, and for `trainstash run` in the allocation of a scheduler: makes a session directory and
 * trains in the foreground.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { allocationHere, allocationTitle } from '../base/allocation.ts';
import { BUILD } from '../base/build.ts';
import { HeldLock } from '../base/lock.ts';
import { networkFileSystem } from '../base/network-file-systems.ts';
import { statePaths } from '../base/paths.ts';
import { unexpected } from '../base/unexpected.ts';
import type { Allocation } from '../protocol/allocation.ts';
import type { Params, Run } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { maskParams, maskWords } from '../protocol/secrets.ts';
import { isCrash } from '../protocol/status.ts';
import { AGAIN_CODE } from '../protocol/task.ts';
import { liveOnce } from '../runner/node/life.ts';
import { SessionDirectory } from '../session/directory.ts';
import { readPrinted } from '../session/printed.ts';
import { signalRunner } from '../session/processes.ts';
import { backendsOf } from './backend-selection/backends.ts';
import { findProject, readHead } from './code/project.ts';
import { findJob, readConfig } from './runs/config.ts';
import { jobOfCommand, paramsOf, withParams } from './runs/launch/ad-hoc.ts';
import { nameOfCommand } from './runs/launch/command.ts';
import { type PreparedSession, prepareSession } from './runs/launch/prepare.ts';
import { SecretParams } from './runs/launch/secret-params.ts';
import { newRun, newSession } from './runs/records.ts';

interface StandaloneRequest {
  root: string;
  /** Name of a job; absent with a command. */
  job?: string;
  /** Command to run instead of a job. */
  command?: string[];
  params: Params;
  seed?: number;
  backend?: string;
  interpreter?: string;
}

const LOOK_MS = 50;
const READ_BYTES = 256 << 10;

async function main({
  root: folder,
  params: given,
  command,
  interpreter,
  ...options
}: StandaloneRequest): Promise<number> {
  const place = await findProject(folder);
  const cwd = command ? relative(place.root, folder) : '';
  const job = command
    ? jobOfCommand(withParams(command, given), cwd)
    : findJob(readConfig(place.root), options.job ?? '');
  const head = place.git ? await readHead(place.root) : { branch: null, commit: null };
  const params = command ? paramsOf(maskWords(job.run as string[])) : { ...(job.params as Params), ...given };
  const run = newRun({
    job: command ? nameOfCommand(command) : options.job!,
    params: maskParams(params),
    overrides: Object.keys(given),
    seed: options.seed ?? job.seed ?? 0,
    backend: options.backend ?? job.backend ?? (job.module === undefined ? '' : 'auto'),
    // A snapshot would write into a store that a daemon may own.
    identity: { ...head, branchId: null, dirty: false, code: null, codeLeftOut: [] },
    restarts: 0,
  });
  const allocation = allocationHere();
  if (allocation) run.id = earlierRun(place.store, allocation, run) ?? run.id;
  const secrets = new SecretParams();
  secrets.remember(run.id, params);
  mkdirSync(join(place.store, 'sessions'), { recursive: true, mode: 0o700 });
  const bundle = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const backends = backendsOf(statePaths(), dirname(fileURLToPath(import.meta.url)), BUILD);
  const prepared = await prepareSession(
    { place, store: null, secrets, trainer: bundle('trainer'), runner: bundle('runner'), backends },
    {
      run,
      session: newSession(run, 'train', null),
      job,
      checkpoint: null,
      root: place.root,
      accept: [],
      environment: Object.fromEntries(
        Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
      ),
      interpreter,
      overrides: { run: null, runNumber: null, allocation },
    },
  );
  const { directory } = prepared;
  if (allocation) return inAllocation(prepared, allocation);
  console.log(`Training without a daemon in ${directory.path}\nThe next \`trainstash ls\` adds it to the store.`);
  const child = prepared.start();
  // On Ctrl-C the trainer saves and exits, a script does whatever it does, and then this process exits.
  process.on('SIGINT', () => signalRunner(directory, 'SIGINT'));
  await copyOutput(directory, new Promise((resolve) => child.once('exit', resolve)));
  const exit = directory.exit();
  if (exit) console.log(`${run.job} ${exit.outcome} at step ${exit.step}${exit.reason ? `: ${exit.reason}` : ''}.`);
  return exit && exit.outcome !== 'failed' && exit.outcome !== 'lost' ? 0 : 1;
}

/**
 * Runs a command as a child of this process: what the scheduler sends it reaches the training, and what it kills ends. Locks hold on
 * local disks only, where a daemon of the same user may look.
 */
async function inAllocation(
  { directory, launch, real, start }: PreparedSession,
  allocation: Allocation,
): Promise<number> {
  const { kind, job, node } = allocation;
  console.log(`Training in ${allocationTitle(kind)} ${job} on ${node}, recorded in ${directory.path}`);
  if (!real) return asChild(directory, start());
  const lock = networkFileSystem(directory.path) === null ? HeldLock.tryAcquire(directory.file('lock')) : null;
  try {
    const packages = fileURLToPath(new URL('./python', import.meta.url));
    return await liveOnce(directory, launch, { real, packages, graceSeconds: 0 });
  } finally {
    lock?.release();
  }
}

/** Waits for a trainer, and passes signals on to it. */
async function asChild(directory: SessionDirectory, child: ChildProcess): Promise<number> {
  let wasSignalled = false;
  for (const signal of ['SIGTERM', 'SIGUSR2', 'SIGINT'] as const)
    process.on(signal, () => {
      wasSignalled ||= signal !== 'SIGINT';
      signalRunner(directory, signal === 'SIGUSR2' ? 'SIGTERM' : signal);
    });
  await copyOutput(directory, new Promise((resolve) => child.once('exit', resolve)));
  const outcome = directory.exit()?.outcome ?? 'lost';
  if (wasSignalled && outcome !== 'completed') return AGAIN_CODE;
  return isCrash(outcome) ? 1 : 0;
}

/** Finds the run that an earlier life of this job has begun with the same command; null: this is its first. */
function earlierRun(store: string, { kind, job, restart }: Allocation, { job: name }: Run): string | null {
  const sessions = join(store, 'sessions');
  if (!restart || !existsSync(sessions)) return null;
  const earlier = readdirSync(sessions)
    .flatMap((id) => new SessionDirectory(join(sessions, id)).launch() ?? [])
    .filter(({ allocation: one, job: of }) => of === name && one?.kind === kind && one.job === job)
    .filter(({ allocation: one }) => (one?.restart ?? 0) < restart)
    .sort((a, b) => a.createdAt - b.createdAt)
    .at(-1);
  return earlier?.command ? basename(earlier.command.dir) : null;
}

/** Copies the session's output as it appears, until the session has ended. */
async function copyOutput(directory: SessionDirectory, ended: Promise<unknown>): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  for (let offset = 0; ; ) {
    const last = over;
    for (let page = readPrinted(directory, offset, READ_BYTES); page.bytes.length > 0; ) {
      process.stdout.write(page.bytes);
      offset = page.next;
      page = readPrinted(directory, offset, READ_BYTES);
    }
    if (last) return;
    await delay(LOOK_MS);
  }
}

// When the reader is gone only the copying ends; the training continues.
process.stdout.on('error', () => process.exit(141));

try {
  process.exitCode = await main(JSON.parse(process.argv[2] ?? '{}'));
} catch (error) {
  console.error(`error: ${error instanceof TrainstashError ? error.message : unexpected(error)}`);
  process.exitCode = 1;
}
