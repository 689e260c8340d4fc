/** Measures the cost of checkpoints for a training. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { newLaunch, newRun, newSession } from '../daemon/runs/records.ts';
import { SessionDirectory } from '../session/directory.ts';
import { alternate, type Result, times } from './measure.ts';

const EPOCHS = 6;
const STEPS = EPOCHS * 64;
const ROUNDS = 5;

export async function trainerBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'trainer-'));
  try {
    const { stall, durable } = JSON.parse(await node([join(import.meta.dirname, 'trainer-child.ts'), 'capture', work]));
    const overhead = await alternate(
      ROUNDS,
      () => trainOurs(work, dist),
      async () =>
        JSON.parse(await node([join(import.meta.dirname, 'trainer-child.ts'), 'bare', work, String(STEPS)])).seconds,
    );
    return [
      times('trainer.durable', durable, 'raw write of the same bytes', 1.3),
      times('trainer.stall', stall, 'one memcpy of the state', 0.25),
      times('trainer.overhead', overhead, 'bare TF.js loop', 1.03),
    ];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Returns the seconds from the first step to the exit record, with a checkpoint every 100 steps and metrics every step. */
async function trainOurs(work: string, dist: string): Promise<number> {
  const identity = { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
  const run = newRun({
    job: 'bench',
    params: { epochs: EPOCHS },
    overrides: [],
    seed: 0,
    backend: 'wasm',
    identity,
    restarts: 0,
  });
  const job = {
    module: 'trainer-module.ts',
    params: {},
    checkpoint: { every: '100 steps' },
    keep: {},
    files: [],
    checkpoints: [],
    export: {},
    args: 'flags' as const,
    env: {},
  };
  const launch = newLaunch(run, newSession(run, 'train', null), job, import.meta.dirname);
  const directory = SessionDirectory.create(join(work, 'sessions'), launch);
  await node([join(dist, 'trainer.js'), directory.path]);
  const started = JSON.parse(readFileSync(directory.file('events'), 'utf8').split('\n')[0]!) as { t: number };
  const seconds = (directory.exit()!.at - started.t) / 1000;
  rmSync(directory.path, { recursive: true });
  return seconds;
}

/** Returns the output of a Node process; rejects if it fails. */
function node(args: string[]): Promise<string> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  return new Promise((resolve, reject) =>
    child.once('close', (code) =>
      code === 0 ? resolve(output.trim().split('\n').at(-1) ?? '') : reject(new Error(`${args[0]} ended with ${code}`)),
    ),
  );
}
