/**
 * `npm run soak -- --rounds N`: an hour of a user at a real editor, without the pauses. Each round has a run, two switches of the
 * branch, an export, a sweep, and pages opened and closed. The memory of daemon and extension host must not grow with it, and nothing
 * may be left when all is closed.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isLocked } from '../../base/lock.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runList, runRemove } from '../../protocol/messages/run.ts';
import { runCleanups } from '../support/cleanup.ts';
import { isAlive, startSmall, untilStatus } from '../support/daemon.ts';
import { type Editor, editorParts, openEditor } from '../support/editor.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { makeRepository, type Repository } from '../support/repository.ts';
import { ANSWER, ASK, packHeapWatch } from './heap-watch.ts';

/** Share of the run before comparisons start: caches fill first, and threads that come and go leave memory to the next ones. */
const WARM_SHARE = 0.5;
/** Accepted growth since the warm state. The rest is the cost of more runs in the tree. */
const MAX_GROWTH = 0.1;
/** Accepted number of additional open files: a timer, a recreated watcher. */
const MAX_MORE_FILES = 4;

interface Sample {
  daemonMiB: number;
  daemonFiles: number;
  hostMiB: number;
  hostFiles: number;
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '120' } } });
const rounds = Number(values.rounds);
const problems: string[] = [];
try {
  const parts = await editorParts();
  if (!parts) throw new Error('There is no browser, and none can be installed.');
  const repository = await makeRepository();
  repository.git('branch', 'other');
  const others = [await packHeapWatch(temporaryFolder())];
  const state = join(repository.fixture.folder, 'state');
  const editor = await openEditor(parts, { folder: repository.root, state, others });
  await editor.showTrainstash();
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round++) {
    await oneRound(repository, editor, round);
    const sample = await measure(repository);
    samples.push(sample);
    console.log(
      `round ${round}: daemon ${sample.daemonMiB} MiB, ${sample.daemonFiles} files; extension host ${sample.hostMiB} MiB, ${sample.hostFiles} files`,
    );
  }
  compare(samples);
  await checkEnd(repository);
} finally {
  await runCleanups();
}
for (const problem of problems) console.log(`! ${problem}`);
console.log(`${rounds} rounds, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;

async function oneRound(repository: Repository, editor: Editor, round: number): Promise<void> {
  const { client, fixture, root } = repository;
  const run = await startSmall(client, fixture, { slow: 1 });
  await untilStatus(client, fixture, run.id, 'completed');
  await editor.row(new RegExp(`${run.name}\\b`)).waitFor();
  const path = `checkpoints/${round % 5}.pt`;
  repository.write(path, `round ${round}`);
  await repository.taken(path);
  for (const branch of ['other', 'main']) {
    repository.git('switch', '-q', branch);
    await repository.sync();
  }
  if (repository.read(path) !== `round ${round}`) problems.push(`round ${round}: ${path} did not come back`);
  await editor.palette('Trainstash: Open the Dashboard');
  const page = await editor.webview(/\d+ runs?/);
  await page.getByRole('grid').getByRole('row', { name: run.name }).click();
  await page.locator('.chart canvas').first().waitFor();
  await editor.palette('View: Close All Editors');
  await editor.palette('Trainstash: Refresh');
  const out = join(fixture.folder, 'out.safetensors');
  for (const words of [
    ['export', run.name, '--format', 'safetensors', '--to', out],
    ['gc', '--empty-trash', '--yes'],
    ['ls', '--all'],
  ]) {
    const { code, stderr } = await fixture.cli(...words);
    if (code !== 0) problems.push(`round ${round}: ${words.join(' ')}: ${stderr}`);
  }
  rmSync(out, { force: true });
  rmSync(`${out}.trainstash.json`, { force: true });
  // The number of kept runs does not grow with the rounds: it stays at the newest ten.
  const { runs } = await client.request(runList, { root, trashed: false });
  for (const old of runs.filter(({ status }) => status === 'completed').slice(10))
    await client.request(runRemove, { root, target: old.id });
}

async function measure({ root, fixture }: Repository): Promise<Sample> {
  writeFileSync(join(root, ASK), '');
  await until('the host says what it holds', () => !existsSync(join(root, ASK)));
  const { bytes, pid } = JSON.parse(readFileSync(join(root, ANSWER), 'utf8')) as { bytes: number; pid: number };
  const daemon = fixture.daemonPid();
  return {
    daemonMiB: residentMiB(daemon),
    daemonFiles: openFiles(daemon),
    hostMiB: Math.round(bytes / 2 ** 20),
    hostFiles: openFiles(pid),
  };
}

/** Compares the minimum of the last quarter with that of the one before: uncollected garbage is not growth. */
function compare(samples: readonly Sample[]): void {
  const warm = samples.slice(Math.floor(samples.length * WARM_SHARE));
  const middle = warm.slice(0, Math.ceil(warm.length / 2));
  const last = warm.slice(Math.ceil(warm.length / 2));
  const least = (part: readonly Sample[], name: keyof Sample) => Math.min(...part.map((sample) => sample[name]));
  for (const name of ['daemonMiB', 'hostMiB'] as const) {
    const [before, after] = [least(middle, name), least(last, name)];
    console.log(`${name}: ${before} → ${after}`);
    if (after > before * (1 + MAX_GROWTH)) problems.push(`${name} grew from ${before} to ${after}`);
  }
  for (const name of ['daemonFiles', 'hostFiles'] as const) {
    const [before, after] = [least(middle, name), least(last, name)];
    console.log(`${name}: ${before} → ${after}`);
    if (after > before + MAX_MORE_FILES) problems.push(`${name} grew from ${before} to ${after}`);
  }
}

/** Checks for leftovers after everything is closed. */
async function checkEnd({ client, fixture, root }: Repository): Promise<void> {
  const pid = fixture.daemonPid();
  await client.request(daemonStop, {});
  await client.closed;
  await until('the daemon is gone', () => !isAlive(pid), 10_000);
  if (isLocked(join(fixture.store, 'owner.lock'))) problems.push('the store is still owned');
  const sessions = join(fixture.store, 'sessions');
  for (const session of existsSync(sessions) ? readdirSync(sessions) : []) {
    if (isLocked(join(sessions, session, 'lock'))) problems.push(`the lock of session ${session} is still held`);
    for (const folder of ['inbox', 'taking'])
      for (const name of listed(join(sessions, session, folder))) problems.push(`${session}/${folder}/${name} is left`);
  }
  for (const folder of [root, fixture.store, fixture.folder])
    for (const { name, parentPath } of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (/trainstash-tmp|\.tmp-/.test(name)) problems.push(`${join(parentPath, name)} is left`);
  for (const { pid: other, words } of processes())
    if (words.includes(fixture.folder) && !words.includes('code-server'))
      problems.push(`process ${other} is left: ${words}`);
}

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function residentMiB(pid: number): number {
  const kibibytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kibibytes) / 1024);
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function processes(): { pid: number; words: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      return { pid: Number(name), words: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') };
    } catch {
      return [];
    }
  });
}
