/** Entry for `trainstash run --no-daemon`: a session directory is made and trained in the foreground. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Params } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { findProject, readHead } from './code/project.ts';
import { findJob, readConfig } from './runs/config.ts';
import { newLaunch, newRun, newSession } from './runs/records.ts';
import { SessionDirectory } from './sessions/directory.ts';

interface StandaloneRequest {
  root: string;
  job: string;
  params: Params;
  seed?: number;
  backend?: string;
}

async function main({ root: folder, job: name, params, seed, backend }: StandaloneRequest): Promise<number> {
  const place = await findProject(folder);
  const job = findJob(readConfig(place.root), name);
  const head = place.git ? await readHead(place.root) : { branch: null, commit: null };
  const run = newRun({
    job: name,
    params: { ...(job.params as Params), ...params },
    overrides: Object.keys(params),
    seed: seed ?? job.seed ?? 0,
    backend: backend ?? job.backend ?? 'auto',
    // A snapshot would write into a store that another daemon may own.
    identity: { ...head, dirty: false, code: null, codeLeftOut: [] },
    restarts: 0,
  });
  const launch = newLaunch(run, newSession(run, 'train', null), job, place.root, { run: null, runNumber: null });
  const sessions = join(place.store, 'sessions');
  mkdirSync(sessions, { recursive: true, mode: 0o700 });
  const directory = SessionDirectory.create(sessions, launch);
  console.log(`Training without a daemon in ${directory.path}\nThe next \`trainstash ls\` takes it over.`);
  const trainer = fileURLToPath(new URL('./trainer.js', import.meta.url));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', trainer, directory.path], {
    cwd: place.root,
    stdio: 'inherit',
  });
  // The terminal sends Ctrl-C to both: the trainer saves and ends, and then so do we.
  process.on('SIGINT', () => {});
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  const exit = directory.exit();
  if (exit) console.log(`${name} ${exit.outcome} at step ${exit.step}${exit.reason ? `: ${exit.reason}` : ''}.`);
  return code ?? 1;
}

try {
  process.exitCode = await main(JSON.parse(process.argv[2] ?? '{}'));
} catch (error) {
  console.error(error instanceof TrainstashError ? `error: ${error.message}` : error);
  process.exitCode = 1;
}
