/** Kills pushes and pulls at random moments, and looks at what they leave. */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../trainer/random.ts';
import { afterwards } from './cleanup.ts';
import { makeCheckpoint, save } from './random-checkpoints.ts';
import { emptyMachine, machine, UNWATCHED, urlOf } from './remotes.ts';

const CHECKPOINTS = 3;
const MEBIBYTES = 6;

/** Half of the kills hit a push, the others a pull. Returns what was broken after one, and how many transfers it has cut off. */
export async function killedTransfers(
  folder: string,
  kills: number,
): Promise<{ broken: string[]; unfinished: number }> {
  const random = Random.seeded(Date.now() % 1_000_000);
  const broken: string[] = [];
  let unfinished = 0;
  const box = join(folder, 'box');
  const one = await machine(join(folder, 'one'));
  for (let step = 1; step <= CHECKPOINTS; step++)
    await save(one, makeCheckpoint(folder, one.session.id, step, step, MEBIBYTES));
  await one.remotes.add('box', { url: urlOf(box) }, folder);
  await one.store.close();
  const watcher = await emptyMachine(join(folder, 'watcher'));
  await watcher.remotes.add('box', { url: urlOf(box) }, folder);
  let usual = await transfer(join(folder, 'one'), 'push', Number.POSITIVE_INFINITY);
  const look = async (what: string) => {
    const { checkpoints, problems } = await watcher.remotes.check('box', true, UNWATCHED);
    if (problems.length > 0) broken.push(`${what}: ${JSON.stringify(problems)}`);
    return checkpoints;
  };
  for (let i = 0; i < Math.ceil(kills / 2); i++) {
    for (const name of ['objects', 'checkpoints', 'runs']) rmSync(join(box, name), { recursive: true, force: true });
    const after = (random.uint32() / 2 ** 32) * usual.ms;
    await transfer(join(folder, 'one'), 'push', after);
    if ((await look(`push killed after ${after} ms`)) < CHECKPOINTS) unfinished++;
  }
  await transfer(join(folder, 'one'), 'push', Number.POSITIVE_INFINITY);
  if ((await look('the last push')) !== CHECKPOINTS) broken.push('the last push has not sent everything');
  const two = join(folder, 'two');
  for (let i = 0; i < Math.floor(kills / 2); i++) {
    rmSync(two, { recursive: true, force: true });
    const fresh = await emptyMachine(two);
    await fresh.remotes.add('box', { url: urlOf(box) }, folder);
    await fresh.store.close();
    if (i === 0) usual = await transfer(two, 'pull', Number.POSITIVE_INFINITY);
    if (i === 0) rmSync(two, { recursive: true, force: true });
    if (i === 0) {
      const again = await emptyMachine(two);
      await again.remotes.add('box', { url: urlOf(box) }, folder);
      await again.store.close();
    }
    const after = (random.uint32() / 2 ** 32) * usual.ms;
    await transfer(two, 'pull', after);
    const opened = await emptyMachine(two);
    const { problems, checkpoints } = await opened.store.fsck(false);
    if (problems.length > 0) broken.push(`pull killed after ${after} ms: ${JSON.stringify(problems)}`);
    if (checkpoints < CHECKPOINTS) unfinished++;
    const rest = await opened.remotes.pull(['box'], UNWATCHED);
    if (rest.checkpoints + rest.present !== CHECKPOINTS)
      broken.push(`after a kill at ${after} ms a pull was not complete`);
    await opened.store.close();
  }
  return { broken, unfinished };
}

/** Runs a transfer in a process of its own, and kills it that long after it has opened its store. */
async function transfer(path: string, does: 'push' | 'pull', killAfterMs: number): Promise<{ ms: number }> {
  const script = join(import.meta.dirname, 'push-process.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, path, does, 'box'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  afterwards(() => void child.kill('SIGKILL'));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const said = await ready(child);
  const started = performance.now();
  const timer = Number.isFinite(killAfterMs) ? setTimeout(() => child.kill('SIGKILL'), killAfterMs) : null;
  await ended;
  if (timer) clearTimeout(timer);
  if (!Number.isFinite(killAfterMs) && !said().includes('done')) throw new Error(`${does}: ${said()}`);
  return { ms: performance.now() - started };
}

async function ready(child: ChildProcess): Promise<() => string> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.once('close', () => reject(new Error(`it has ended: ${said}`)));
    child.stdout!.on('data', (data) => {
      said += data;
      if (said.includes('ready')) resolve(() => said);
    });
  });
}
