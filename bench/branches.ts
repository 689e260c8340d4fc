/** Switching branches beside git-lfs and git-annex; files into the store and back; what watching costs. */
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Client, connect } from '../client/connect.ts';
import { encodeHeader } from '../daemon/formats/safetensors.ts';
import { startStore } from '../daemon/store/client.ts';
import * as m from '../protocol/messages.ts';
import type { Build } from '../protocol/version.ts';
import { alternate, copySynced, median, type Result, throughput, timed } from './measure.ts';
import { hashAndWrite } from './store.ts';

const SETTLE_SECONDS = 0.15;
const FILES = 8;
const LARGE_MIB = 256;
const SMALL_MIB = 8;
const ROUNDS = 5;
const COLD_MIB = 512;
const WATCH_SECONDS = 60;
const REPOSITORIES = 20;
const WATCHED_FILES = 100_000;

export async function branchBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'branches-'));
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state'), TRAINSTASH_QUOTA_BYTES: String(40e9) };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const client = await connect({ name: 'bench', build, dist, env });
  try {
    const switching = await switchBenchmarks(work, client);
    const store = await storeBenchmarks(work, dist);
    return [...switching, ...store, await watchBenchmark(work, client)];
  } finally {
    await client.request(m.daemonStop, {});
    await client.closed;
    rmSync(work, { recursive: true, force: true });
  }
}

async function switchBenchmarks(work: string, client: Client): Promise<Result[]> {
  const large = await followed(join(work, 'large'), client, LARGE_MIB);
  const small = await followed(join(work, 'small'), client, SMALL_MIB);
  const lfs = lfsRepository(join(work, 'lfs'));
  const annex = annexRepository(join(work, 'annex'));
  const ours = { large: [] as number[], small: [] as number[] };
  const theirs = { lfs: [] as number[], unlocked: [] as number[], locked: [] as number[] };
  for (let round = 0; round <= ROUNDS * 2; round++) {
    const to = round % 2 === 0 ? 'other' : 'main';
    const times = {
      large: await large(to),
      small: await small(to),
      lfs: lfs?.(to),
      unlocked: annex?.unlocked(to),
      locked: annex?.locked(to),
    };
    if (round === 0) continue;
    ours.large.push(times.large);
    ours.small.push(times.small);
    if (times.lfs !== undefined) theirs.lfs.push(times.lfs);
    if (times.unlocked !== undefined) theirs.unlocked.push(times.unlocked);
    if (times.locked !== undefined) theirs.locked.push(times.locked);
  }
  const mine = median(ours.large);
  const results: Result[] = [
    {
      name: 'branches.switch',
      value: mine * 1000,
      unit: 'ms',
      goal: { atMost: 400 },
      raw: { ours: ours.large },
    },
    {
      name: 'branches.switch-size',
      value: mine * 1000,
      unit: 'ms',
      versus: `${FILES} files of ${SMALL_MIB} MiB`,
      theirs: median(ours.small) * 1000,
      ratio: mine / median(ours.small),
      goal: { atMost: 1.3 },
      raw: { ours: ours.large, theirs: ours.small },
    },
  ];
  const beside = (name: string, versus: string, own: number[], other: number[], goal: Result['goal']) => {
    if (other.length === 0) return console.error(`${name}: not installed here`);
    const value = median(own);
    const against = median(other);
    results.push({
      name,
      value: value * 1000,
      unit: 'ms',
      versus,
      theirs: against * 1000,
      ratio: value / against,
      goal,
      raw: { ours: own, theirs: other },
    });
  };
  const withoutSettling = ours.large.map((seconds) => Math.max(0, seconds - SETTLE_SECONDS));
  beside('branches.switch-lfs', 'git lfs checkout', ours.large, theirs.lfs, { atMost: 0.1 });
  beside('branches.switch-annex', 'git annex, unlocked', withoutSettling, theirs.unlocked, { atMost: 0.3 });
  beside('branches.annex-locked', 'git annex, symbolic links', withoutSettling, theirs.locked, {});
  return results;
}

/** A repository whose two branches have such files; switches, and gives the seconds until the other's are in place. */
async function followed(root: string, client: Client, mebibytes: number): Promise<(to: string) => Promise<number>> {
  const git = repository(root);
  writeFileSync(join(root, 'trainstash.json'), '{ "files": ["checkpoints"] }');
  writeFileSync(join(root, '.gitignore'), 'checkpoints\n');
  git('add', '-A');
  git('commit', '-qm', 'start');
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  await client.request(m.projectOpen, { root, trusted: true, watch: true });
  await client.request(m.branchFollow, { root, follow: true });
  for (const branch of ['other', 'main']) {
    git('switch', '-q', branch);
    await client.request(m.branchSync, { root });
    fill(join(root, 'checkpoints'), branch, mebibytes);
    await untilTaken(root);
  }
  return async (to) => {
    git('switch', '-q', to);
    const started = performance.now();
    while (!isInPlace(root, to)) await delay(1);
    return (performance.now() - started) / 1000;
  };
}

function isInPlace(root: string, branch: string): boolean {
  const names = readdirSync(join(root, 'checkpoints'));
  return names.length === FILES && names.every((name) => name.startsWith(branch));
}

async function untilTaken(root: string, count = FILES): Promise<void> {
  for (;;) {
    const file = join(root, '.git/trainstash/worktrees/main-worktree/files.json');
    const known = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as { files: [string, { saved: unknown }][] }).files
      : [];
    if (known.length === count && known.every(([, { saved }]) => saved !== null)) return;
    await delay(100);
  }
}

function lfsRepository(root: string): ((to: string) => number) | null {
  if (spawnSync('git', ['lfs', 'version']).status !== 0) return null;
  const git = repository(root);
  git('lfs', 'install', '--local');
  git('lfs', 'track', '*.pt');
  git('add', '.gitattributes');
  git('commit', '-qm', 'track');
  for (const branch of ['main', 'other']) {
    if (branch === 'other') git('switch', '-qc', 'other');
    rmSync(join(root, 'checkpoints'), { recursive: true, force: true });
    fill(join(root, 'checkpoints'), branch, LARGE_MIB);
    git('add', '-A');
    git('commit', '-qm', branch);
  }
  git('switch', '-q', 'main');
  return (to) => seconds(() => git('switch', '-q', to));
}

function annexRepository(work: string) {
  if (spawnSync('git', ['annex', 'version']).status !== 0) return null;
  const make = (root: string, unlocked: boolean) => {
    const git = repository(root);
    git('annex', 'init', '-q');
    git('config', 'annex.thin', 'false');
    if (unlocked) git('config', 'annex.addunlocked', 'true');
    git('commit', '-q', '--allow-empty', '-m', 'start');
    for (const branch of ['main', 'other']) {
      if (branch === 'other') git('switch', '-qc', 'other');
      spawnSync('chmod', ['-R', 'u+w', join(root, 'checkpoints')]);
      rmSync(join(root, 'checkpoints'), { recursive: true, force: true });
      fill(join(root, 'checkpoints'), branch, LARGE_MIB);
      git('annex', 'add', '-q', '.');
      git('add', '-A');
      git('commit', '-qm', branch);
    }
    git('switch', '-q', 'main');
    return (to: string) => seconds(() => git('switch', '-q', to));
  };
  return { unlocked: make(`${work}-unlocked`, true), locked: make(`${work}-locked`, false) };
}

async function storeBenchmarks(work: string, dist: string): Promise<Result[]> {
  const root = join(work, 'files');
  mkdirSync(root);
  const options = { path: join(work, 'store'), quotaBytes: 40e9 };
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), options);
  const path = 'model.safetensors';
  const file = join(root, path);
  const expected = () => {
    const stat = statSync(file, { bigint: true });
    return { ino: `${stat.dev}:${stat.ino}`, bytes: Number(stat.size), mtimeMs: Number(stat.mtimeNs) / 1e6 };
  };
  let id = '';
  const ingesting = (write: () => void) =>
    alternate(
      ROUNDS,
      async () => {
        // As the other side removes its file: else ours alone would pay for fresh pages.
        await store.keepOnlyFiles([]);
        await store.gc(true);
        write();
        const source = { root, branch: 'main', path, expected: expected() };
        return timed(async () => {
          id = (await store.saveFile(source))!.id;
        });
      },
      () => {
        write();
        const taken = hashAndWrite(file, join(work, 'raw'), 1 << 20);
        rmSync(join(work, 'raw'));
        return taken;
      },
    );
  const unknown = await ingesting(() => writeRandom(file, COLD_MIB));
  const ingest = await ingesting(() => writeTensors(file, COLD_MIB));
  const cold = await alternate(
    ROUNDS,
    async () => {
      const taken = await timed(() => store.restoreFile(id, join(work, 'restored')));
      rmSync(join(work, 'restored'));
      return taken;
    },
    () => copySynced(file, join(work, 'copied')),
  );
  await store.close();
  return [
    throughput('branches.ingest', COLD_MIB, ingest, 'SHA-256 + raw write in one thread', 0.9),
    throughput('branches.ingest-unknown', COLD_MIB, unknown, 'the same, of a format that is cut by content', 0.9),
    throughput('branches.cold', COLD_MIB, cold, 'cp + fsync', 0.85),
  ];
}

/** Processor time of the daemon over a minute in which nothing happens. */
async function watchBenchmark(work: string, client: Client): Promise<Result> {
  for (let i = 0; i < REPOSITORIES; i++) {
    const root = join(work, `watched-${i}`);
    const git = repository(root);
    writeFileSync(join(root, 'trainstash.json'), '{ "files": ["checkpoints"] }');
    writeFileSync(join(root, '.gitignore'), 'checkpoints\n');
    git('add', '-A');
    git('commit', '-qm', 'start');
    mkdirSync(join(root, 'checkpoints'));
    const files = i === 0 ? WATCHED_FILES : 10;
    for (let file = 0; file < files; file++) writeFileSync(join(root, `checkpoints/${file}.pt`), `${file}`);
    await client.request(m.projectOpen, { root, trusted: true, watch: true });
    // The first one is only looked at: taking in 100,000 files is another matter than watching them.
    await client.request(m.branchFollow, { root, follow: i > 0 });
    if (i > 0) await untilTaken(root, files);
  }
  const { pid } = await client.request(m.daemonStatus, {});
  await delay(10_000);
  const before = cpuSeconds(pid);
  await delay(WATCH_SECONDS * 1000);
  const share = (100 * (cpuSeconds(pid) - before)) / WATCH_SECONDS;
  return { name: 'branches.watch', value: share, unit: '% of a core', goal: { atMost: 1 } };
}

function repository(root: string): (...args: string[]) => void {
  mkdirSync(root, { recursive: true });
  const git = (...args: string[]) => {
    const identity = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.org'];
    const { status, stderr } = spawnSync('git', [...identity, ...args], { cwd: root, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  };
  git('init', '-q', '-b', 'main');
  return git;
}

function fill(folder: string, branch: string, mebibytes: number): void {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < FILES; i++) writeRandom(join(folder, `${branch}-${i}.pt`), mebibytes);
}

function writeRandom(path: string, mebibytes: number): void {
  const file = openSync(path, 'w');
  const block = Buffer.allocUnsafe(1 << 20);
  for (let i = 0; i < mebibytes; i++) writeSync(file, randomFillSync(block));
  fsyncSync(file);
  closeSync(file);
}

/** As a framework writes it: tensors of 16 MiB in a safetensors file. */
function writeTensors(path: string, mebibytes: number): void {
  const tensors = Array.from({ length: mebibytes / 16 }, (_, i) => ({
    name: `layer${i}`,
    dtype: 'F32',
    shape: [4 << 20],
    bytes: 16 << 20,
  }));
  const file = openSync(path, 'w');
  writeSync(file, encodeHeader(tensors, {}));
  const block = Buffer.allocUnsafe(1 << 20);
  for (let i = 0; i < mebibytes; i++) writeSync(file, randomFillSync(block));
  fsyncSync(file);
  closeSync(file);
}

function seconds(work: () => void): number {
  const started = performance.now();
  work();
  return (performance.now() - started) / 1000;
}

/** User and system time, from the kernel's account. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
