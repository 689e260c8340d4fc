/**
 * `npm run demo`: trains a conv net on 10,000 real handwritten digits twice, once without interruption and once killed in the middle
 * of an epoch and resumed, and shows that both end with the same bits. It works in a temporary folder, which `--keep` does not remove.
 * `--editor` opens the project in VS Code instead.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Checkpoint, Run } from '../protocol/domain.ts';
import { fromWireNumber } from '../protocol/numbers.ts';
import { SessionDirectory } from '../session/directory.ts';
import { demoInEditor } from './demo-editor.ts';
import { makeDigits } from './digits.ts';

const repository = resolve(import.meta.dirname, '..');
const cli = join(repository, 'dist/trainstash.js');
if (process.argv.includes('--editor')) {
  await demoInEditor(join(repository, '.cache/demo'), makeDigits);
  process.exit(0);
}
const keep = process.argv.includes('--keep');
const folder = mkdtempSync(join(tmpdir(), 'trainstash-demo-'));
const project = join(folder, 'digits');
const env = { ...process.env, TRAINSTASH_STATE: join(folder, 'state') };
const started = performance.now();
const running = new Set<ChildProcess>();

try {
  makeDigits(project);
  say('A training without interruption');
  await trainstash('run', 'digits');
  const whole = lastCheckpoint(1);

  say('The same training, killed with SIGKILL in the middle of an epoch');
  const training = trainstash('run', 'digits');
  await killInMidEpoch();
  await training;

  say('Resumed');
  await trainstash('resume');
  await trainstash('show', '2');

  say('Both runs');
  await trainstash('ls');
  const resumed = lastCheckpoint(2);
  const run = show(2).run;
  const accuracy = fromWireNumber(run.metrics.val_accuracy!.last);
  const proof = run.notices.findLast(({ code }) => code === 'verified' || code === 'notReproduced');
  const minutes = ((performance.now() - started) / 60_000).toFixed(1);
  console.log();
  check(proof?.code === 'verified', `after the kill: ${proof?.text ?? 'no step was computed twice'}`);
  check(
    whole.stateDigest === resumed.stateDigest,
    `the final checkpoints are bit-identical (${whole.stateDigest.slice(0, 16)} and ${resumed.stateDigest.slice(0, 16)}: weights, optimizer, random numbers, data position)`,
  );
  check(accuracy >= 0.96, `${(accuracy * 100).toFixed(2)} % of the held-out digits are recognised`);
  console.log(
    `\n${minutes} minutes.${keep ? ` The project is in ${project}; set TRAINSTASH_STATE=${env.TRAINSTASH_STATE} for commands there.` : ''}`,
  );
} finally {
  for (const child of running) child.kill();
  spawnSync(process.execPath, [cli, 'daemon', 'stop'], { cwd: folder, env, stdio: 'ignore' });
  if (!keep) rmSync(folder, { recursive: true, force: true });
}

/** Runs the command line as a user would, with its output on the terminal. */
async function trainstash(...args: string[]): Promise<void> {
  console.log(`$ trainstash ${args.join(' ')}`);
  const child = spawn(process.execPath, [cli, ...args], { cwd: project, env, stdio: 'inherit' });
  running.add(child);
  await new Promise((done) => child.once('exit', done));
  running.delete(child);
}

function show(run: number): { run: Run; checkpoints: Checkpoint[] } {
  const { stdout } = spawnSync(process.execPath, [cli, 'show', String(run), '--json'], {
    cwd: project,
    env,
    encoding: 'utf8',
  });
  return JSON.parse(stdout);
}

function lastCheckpoint(run: number): Checkpoint {
  const checkpoint = show(run).checkpoints.at(-1);
  if (!checkpoint) throw new Error(`run ${run} has no checkpoint`);
  return checkpoint;
}

async function killInMidEpoch(): Promise<void> {
  for (;;) {
    await delay(200);
    const { stdout } = spawnSync(process.execPath, [cli, 'show', '2', '--json'], {
      cwd: project,
      env,
      encoding: 'utf8',
    });
    if (!stdout || stdout.includes('"error":')) continue;
    const { run } = JSON.parse(stdout) as { run: Run };
    const perEpoch = run.stepsPerEpoch ?? 0;
    const inEpoch = perEpoch > 0 ? run.step % perEpoch : 0;
    // Some steps after a checkpoint, so that steps are computed twice.
    if (run.step < perEpoch * 1.3 || inEpoch > perEpoch * 0.9 || run.step - (run.lastCheckpoint?.step ?? 0) < 5)
      continue;
    const { pid } = new SessionDirectory(join(project, '.git/trainstash/sessions', run.session!)).process()!;
    process.kill(pid, 'SIGKILL');
    return;
  }
}

function say(title: string): void {
  console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 74 - title.length))}`);
}

function check(holds: boolean, text: string): void {
  console.log(`${holds ? '✔' : '✘'} ${text}`);
  if (!holds) process.exitCode = 1;
}
