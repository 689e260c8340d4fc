/** Measures branch switches beside git-lfs and git-annex, files into the store and back, and the cost of watching. */
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
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Client, connect } from '../client/connect.ts';
import { startStore } from '../daemon/store/client.ts';
import { encodeHeader } from '../formats/safetensors.ts';
import { branchFollow, branchSync } from '../protocol/messages/branch.ts';
import { daemonStatus, daemonStop } from '../protocol/messages/daemon.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import type { Build } from '../protocol/version.ts';
import { type Git, repository } from './git.ts';
import { alternate, CannotMeasure, copySynced, median, needRoom, type Result, throughput, timed } from './measure.ts';
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
/** Room for 17 files of 256 MiB twice in each of three repositories, once in a fourth, and for what the store leaves free. */
const NEEDED_BYTES = 36e9;
/** Limit for storing the files of a branch: without room for them the daemon never would. */
const STORED_WITHIN_MS = 600_000;

export async function branchBenchmarks(folder: string, dist: string): Promise<Result[]> {
  needRoom(folder, NEEDED_BYTES);
  const work = mkdtempSync(join(folder, 'branches-'));
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state'), TRAINSTASH_QUOTA_BYTES: String(40e9) };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const client = await connect({ name: 'bench', build, dist, env });
  try {
    const switching = await switchBenchmarks(work, client);
    const store = await storeBenchmarks(work, dist);
    return [...switching, ...store, await watchBenchmark(work, client)];
  } finally {
    await client.request(daemonStop, {});
    await client.closed;
    rmSync(work, { recursive: true, force: true });
  }
}

/** Differences of a branch from `main`: other files, one other file, none. */
const VARIANTS = ['other', 'one', 'same'] as const;
type Variant = (typeof VARIANTS)[number];
type Switch = (to: Variant | 'main') => number | Promise<number>;

async function switchBenchmarks(work: string, client: Client): Promise<Result[]> {
  const switches: Record<string, Switch | undefined> = {
    large: await followed(join(work, 'large'), client, LARGE_MIB),
    small: await followed(join(work, 'small'), client, SMALL_MIB),
    lfs: await lfsRepository(join(work, 'lfs')),
    ...(await annexRepositories(join(work, 'annex'))),
  };
  const times = (name: string, variant: Variant) => taken.get(`${name} ${variant}`) ?? [];
  const taken = new Map<string, number[]>();
  for (const variant of VARIANTS) {
    for (let round = 0; round <= ROUNDS * 2; round++) {
      for (const [name, change] of Object.entries(switches)) {
        const seconds = await change?.(round % 2 === 0 ? variant : 'main');
        if (round > 0 && seconds !== undefined) taken.set(`${name} ${variant}`, [...times(name, variant), seconds]);
      }
    }
  }
  const everything = times('large', 'other');
  const beside = (name: string, versus: string, own: number[], other: number[], goal: Result['goal']): Result[] => {
    if (other.length === 0) console.error(`${name}: not installed here`);
    if (other.length === 0) return [];
    const [value, theirs] = [median(own), median(other)];
    const raw = { ours: own, theirs: other };
    return [{ name, value: value * 1000, unit: 'ms', versus, theirs: theirs * 1000, ratio: value / theirs, goal, raw }];
  };
  const resting = (seconds: number[]) => seconds.map((value) => Math.max(0, value - SETTLE_SECONDS));
  const toSwitch = { value: median(everything) * 1000, unit: 'ms', goal: { atMost: 400 }, raw: { ours: everything } };
  const versusSmall = `${FILES} files of ${SMALL_MIB} MiB`;
  const [lfs, unlocked] = ['git lfs checkout', 'git annex, unlocked'];
  return [
    { name: 'branches.switch', ...toSwitch },
    ...beside('branches.switch-size', versusSmall, everything, times('small', 'other'), { atMost: 1.3 }),
    ...beside('branches.switch-lfs', lfs, everything, times('lfs', 'other'), { atMost: 0.1 }),
    ...beside('branches.switch-annex', unlocked, resting(everything), times('unlocked', 'other'), { atMost: 0.3 }),
    ...beside('branches.annex-locked', 'git annex, symbolic links', resting(everything), times('locked', 'other'), {}),
    ...beside('branches.one-lfs', lfs, times('large', 'one'), times('lfs', 'one'), {}),
    ...beside('branches.one-annex', unlocked, times('large', 'one'), times('unlocked', 'one'), {}),
    ...beside('branches.none-lfs', lfs, times('large', 'same'), times('lfs', 'same'), {}),
    ...beside('branches.none-annex', unlocked, times('large', 'same'), times('unlocked', 'same'), {}),
  ];
}

/** Fills the branches of a repository; calls `save` on each with its files in place. Ends on `main`. */
async function fillBranches(
  git: Git,
  root: string,
  mebibytes: number,
  save: (branch: string) => void | Promise<void>,
): Promise<void> {
  const folder = join(root, 'checkpoints');
  const isThere = (branch: string) => git('branch', '--list', branch).trim() !== '';
  for (const branch of ['other', 'main']) {
    git('switch', '-q', ...(isThere(branch) ? [branch] : ['-c', branch]));
    // git-annex leaves its files read-only.
    spawnSync('chmod', ['-R', 'u+w', folder]);
    await save(branch);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (let i = 0; i < FILES; i++) writeRandom(join(folder, `${branch}-${i}.pt`), mebibytes);
    await save(branch);
  }
  for (const branch of ['same', 'one']) {
    git('switch', '-qc', branch);
    if (branch === 'one') {
      rmSync(join(folder, 'main-0.pt'), { force: true });
      writeRandom(join(folder, 'one-0.pt'), mebibytes);
    }
    await save(branch);
  }
  git('switch', '-q', 'main');
}

/** Makes a repository that follows branches. The result switches, and returns the seconds until the other files are in place. */
async function followed(root: string, client: Client, mebibytes: number): Promise<Switch> {
  const git = repository(root);
  writeFileSync(join(root, 'trainstash.json'), '{ "files": ["checkpoints"] }');
  writeFileSync(join(root, '.gitignore'), 'checkpoints\n');
  git('add', '-A');
  git('commit', '-qm', 'start');
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  await client.request(projectOpen, { root, trusted: true, watch: true });
  await client.request(branchFollow, { root, follow: true });
  await fillBranches(git, root, mebibytes, async () => {
    await client.request(branchSync, { root });
    await untilTaken(root);
  });
  await client.request(branchSync, { root });
  return async (to) => {
    git('switch', '-q', to);
    const started = performance.now();
    while (!isInPlace(root, to)) await delay(1);
    return (performance.now() - started) / 1000;
  };
}

function isInPlace(root: string, branch: Variant | 'main'): boolean {
  const inPlace = join(root, '.git/trainstash/worktrees/main-worktree/in-place.json');
  if ((JSON.parse(readFileSync(inPlace, 'utf8')) as { branch: string }).branch !== branch) return false;
  const names = readdirSync(join(root, 'checkpoints'));
  const own = branch === 'one' ? 'one-0.pt' : branch === 'other' ? 'other-0.pt' : 'main-0.pt';
  return names.length === FILES && names.includes(own);
}

/** Waits until the files in the folder are stored. */
async function untilTaken(root: string): Promise<void> {
  const folder = join(root, 'checkpoints');
  const record = join(root, '.git/trainstash/worktrees/main-worktree/files.json');
  for (const until = performance.now() + STORED_WITHIN_MS; ; ) {
    const names = existsSync(folder) ? readdirSync(folder) : [];
    const known = existsSync(record)
      ? (JSON.parse(readFileSync(record, 'utf8')) as { files: [string, { saved: unknown }][] }).files
      : [];
    const saved = new Set(known.filter(([, file]) => file.saved !== null).map(([path]) => basename(path)));
    if (names.every((name) => saved.has(name))) return;
    if (performance.now() > until) throw new CannotMeasure(`the files in ${folder} were not stored within ten minutes`);
    await delay(100);
  }
}

async function lfsRepository(root: string): Promise<Switch | undefined> {
  if (spawnSync('git', ['lfs', 'version']).status !== 0) return undefined;
  const git = repository(root);
  git('lfs', 'install', '--local');
  git('lfs', 'track', '*.pt');
  git('add', '.gitattributes');
  git('commit', '-qm', 'track');
  await fillBranches(git, root, LARGE_MIB, () => {
    git('add', '-A');
    git('commit', '-q', '--allow-empty', '-m', 'files');
  });
  return (to) => seconds(() => git('switch', '-q', to));
}

async function annexRepositories(work: string): Promise<Record<'unlocked' | 'locked', Switch> | undefined> {
  if (spawnSync('git', ['annex', 'version']).status !== 0) return undefined;
  const make = async (root: string, unlocked: boolean): Promise<Switch> => {
    const git = repository(root);
    git('annex', 'init', '-q');
    git('config', 'annex.thin', 'false');
    if (unlocked) git('config', 'annex.addunlocked', 'true');
    git('commit', '-q', '--allow-empty', '-m', 'start');
    await fillBranches(git, root, LARGE_MIB, () => {
      if (existsSync(join(root, 'checkpoints'))) git('annex', 'add', '-q', '.');
      git('add', '-A');
      git('commit', '-q', '--allow-empty', '-m', 'files');
    });
    return (to) => seconds(() => git('switch', '-q', to));
  };
  return { unlocked: await make(`${work}-unlocked`, true), locked: await make(`${work}-locked`, false) };
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
        // The other side removes its file too; otherwise only ours would pay for fresh pages.
        await store.keepOnlyFiles([]);
        await store.gc(true);
        write();
        const source = { root, branch: 'main', path, expected: expected() };
        return timed(async () => {
          const saved = await store.saveFile(source);
          if (!saved) throw new CannotMeasure(`the store has no room for a file of ${COLD_MIB} MiB any more`);
          id = saved.id;
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
    throughput('branches.ingest-unknown', COLD_MIB, unknown, 'the same, of a format that is cut by content', 1),
    throughput('branches.cold', COLD_MIB, cold, 'cp + fsync', 0.9),
  ];
}

/** Measures the daemon's processor time during a minute in which nothing happens. */
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
    await client.request(projectOpen, { root, trusted: true, watch: true });
    // The first one is only watched: storing 100,000 files would be a different measurement.
    await client.request(branchFollow, { root, follow: i > 0 });
    if (i > 0) await untilTaken(root);
  }
  const { pid } = await client.request(daemonStatus, {});
  await delay(10_000);
  const before = cpuSeconds(pid);
  await delay(WATCH_SECONDS * 1000);
  const share = (100 * (cpuSeconds(pid) - before)) / WATCH_SECONDS;
  return { name: 'branches.watch', value: share, unit: '% of a core', goal: { atMost: 1 } };
}

function writeRandom(path: string, mebibytes: number): void {
  const file = openSync(path, 'w');
  const block = Buffer.allocUnsafe(1 << 20);
  for (let i = 0; i < mebibytes; i++) writeSync(file, randomFillSync(block));
  fsyncSync(file);
  closeSync(file);
}

/** Writes a file as a framework would: safetensors with tensors of 16 MiB. */
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

/** Returns user and system time from the kernel's accounting. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
