/** Measures pushes and pulls against the same bytes sent bare: `cp`, `sftp`, HTTP requests, restic. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Place } from '../daemon/remotes/drivers/open.ts';
import type { Variables } from '../daemon/remotes/drivers/s3-credentials.ts';
import { manifestKey } from '../daemon/remotes/layout.ts';
import { encodeManifest } from '../daemon/remotes/manifest.ts';
import { Remotes } from '../daemon/remotes/remotes.ts';
import { newSession } from '../daemon/runs/records.ts';
import { type Store, startStore } from '../daemon/store/client.ts';
import type { Run } from '../protocol/domain.ts';
import { randomId } from '../protocol/ids.ts';
import { STATE_FILE } from '../protocol/session.ts';
import { runCleanups } from '../test/support/cleanup.ts';
import { s3Server, whyNoServer } from '../test/support/s3-servers.ts';
import { sshServer, whyNoSsh } from '../test/support/ssh-server.ts';
import { benchRun, makeCheckpoint, TENSOR_BYTES } from './checkpoints.ts';
import { alternate, copySynced, median, type Result, throughput, timed, times } from './measure.ts';

const TENSORS = 8;
const MEBIBYTES = (TENSORS * TENSOR_BYTES) / (1 << 20);
const ROUNDS = 2;
const IN_FLIGHT = 8;
const SMALL_TENSORS = 1;
const CHECKPOINTS = 20;
const MANIFESTS = 10_000;
const QUIET = { signal: new AbortController().signal, progress: () => {} };

interface Bench {
  work: string;
  store: Store;
  remotes: Remotes;
  run: Run;
  /** File with the same bytes as the checkpoint. */
  plain: string;
  use(variables: Variables): void;
}

export async function remoteBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'remotes-'));
  const store = await openStore(join(work, 'store'), dist);
  const run = await store.createRun(benchRun());
  const session = newSession(run, 'train', null);
  await store.putSession({ ...session, endedAt: 1 });
  const tensor = Buffer.allocUnsafe(TENSOR_BYTES);
  const id = randomId();
  const plain = join(
    makeCheckpoint(join(work, id), id, session.id, TENSORS, () => randomFillSync(tensor)),
    STATE_FILE,
  );
  await store.saveCheckpoint({ directory: join(work, id), run, session }, 0);
  const remotes = remotesOf(store, join(work, 'store'));
  const bench: Bench = {
    work,
    store,
    remotes,
    run,
    plain,
    use: (variables) => remotes.useEnvironment(variables as never),
  };
  try {
    const results = [...(await withFolder(bench, dist)), ...(await withSsh(bench)), ...(await withS3(bench))];
    return [...results, ...(await besideRestic(work, dist)), await fetchMany(work, dist)];
  } finally {
    remotes.close();
    await store.close();
    await runCleanups();
  }
}

async function withFolder({ work, remotes, plain }: Bench, dist: string): Promise<Result[]> {
  let rss = 0;
  const before = process.memoryUsage().rss;
  const watch = setInterval(() => {
    rss = Math.max(rss, process.memoryUsage().rss);
  }, 20);
  const pushing = await alternate(
    ROUNDS,
    () => pushAnew(remotes, { url: pathToFileURL(join(work, randomId())).href }),
    () => copySynced(plain, join(work, 'copy')),
  );
  clearInterval(watch);
  await remotes.add('box', { url: pathToFileURL(join(work, 'box')).href }, work);
  await remotes.push('box', [], QUIET);
  const same = await alternate(
    ROUNDS,
    () => timed(() => remotes.push('box', [], QUIET)),
    () => 0.3,
  );
  const pulling = await alternate(
    ROUNDS,
    () => pullAnew(work, dist, { url: pathToFileURL(join(work, 'box')).href }, {}),
    () => copySynced(plain, join(work, 'copy')),
  );
  const memory: Result = {
    name: 'remotes.memory',
    value: (rss - before) / 1e6,
    unit: 'MB',
    goal: { atMost: 150 },
  };
  return [
    throughput('remotes.push-folder', MEBIBYTES, pushing, 'cp + fsync', 0.8),
    throughput('remotes.pull-folder', MEBIBYTES, pulling, 'cp + fsync', 0.7),
    { name: 'remotes.push-same', value: median(same.ours) * 1000, unit: 'ms', goal: { atMost: 300 } },
    memory,
  ];
}

async function withSsh({ work, remotes, use }: Bench): Promise<Result[]> {
  if (whyNoSsh() !== null) return [];
  const server = await sshServer();
  const objects = join(work, 'box/objects');
  use(server.variables);
  const url = (name: string) => server.urlOf(join(work, name));
  const theirs = async () => {
    const target = join(work, randomId());
    mkdirSync(target);
    const seconds = await timed(() => sftp(server.variables, url(''), `put -rf ${objects} ${target}`));
    rmSync(target, { recursive: true });
    return seconds;
  };
  const seconds = await alternate(ROUNDS, () => pushAnew(remotes, { url: url(randomId()) }), theirs);
  return [throughput('remotes.push-ssh', MEBIBYTES, seconds, 'sftp put -f of the same objects', 0.8)];
}

function sftp(variables: Record<string, string>, url: string, command: string): void {
  const { username, hostname, port } = new URL(url);
  const ssh = join(variables.PATH!.split(':')[0]!, 'ssh');
  const words = ['-q', '-S', ssh, '-P', port, '-b', '-', `${username}@${hostname}`];
  execFileSync('sftp', words, { input: `${command}\n`, stdio: ['pipe', 'ignore', 'inherit'] });
}

async function withS3({ work, remotes, use }: Bench): Promise<Result[]> {
  if (whyNoServer('localbucket') !== null) return [];
  const results: Result[] = [];
  const files = objectsIn(join(work, 'box/objects'));
  for (const name of ['localbucket', 'nanio'] as const) {
    const server = await s3Server(name);
    use(server.variables);
    const place = (folder: string): Place => ({ url: `s3://${server.bucket}/${folder}`, endpoint: server.endpoint });
    // nanio checks signatures, so nothing can be sent to it bare.
    const theirs =
      name === 'nanio'
        ? () => 1
        : () => timed(() => sendBare(`${server.endpoint}/${server.bucket}/${randomId()}`, files));
    const seconds = await alternate(ROUNDS, () => pushAnew(remotes, place(randomId())), theirs);
    if (name === 'localbucket')
      results.push(throughput('remotes.push-s3', MEBIBYTES, seconds, 'PUT of the same objects by node:http', 0.8));
    else results.push({ name: 'remotes.push-nanio', value: MEBIBYTES / median(seconds.ours), unit: 'MiB/s', goal: {} });
    await server.stop();
  }
  return results;
}

async function sendBare(base: string, files: readonly string[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const waiting = [...files];
  const work = async () => {
    for (let file = waiting.pop(); file; file = waiting.pop()) {
      const body = readFileSync(file);
      const hash = createHash('sha256').update(body).digest('hex');
      const headers = { 'content-length': body.length, 'x-amz-content-sha256': hash };
      await new Promise<void>((resolve, reject) => {
        const sent = request(`${base}/${hash}`, { method: 'PUT', agent, headers }, (answer) => {
          answer.resume();
          answer.on('end', () =>
            answer.statusCode === 200 ? resolve() : reject(new Error(String(answer.statusCode))),
          );
        });
        sent.on('error', reject);
        sent.end(body);
      });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  agent.destroy();
}

/** Compares with restic: twenty checkpoints in which everything has changed, as Adam's states. */
async function besideRestic(work: string, dist: string): Promise<Result[]> {
  if (spawnSync('restic', ['version']).status !== 0) return [];
  const path = join(work, 'many');
  const store = await openStore(path, dist);
  const run = await store.createRun(benchRun());
  const session = newSession(run, 'train', null);
  await store.putSession({ ...session, endedAt: 1 });
  const tensor = Buffer.allocUnsafe(TENSOR_BYTES);
  const files = join(work, 'files');
  for (let i = 0; i < CHECKPOINTS; i++) {
    const id = randomId();
    makeCheckpoint(join(files, id), id, session.id, SMALL_TENSORS, () => randomFillSync(tensor));
    await store.saveCheckpoint({ directory: join(files, id), run, session }, 0);
  }
  const remotes = remotesOf(store, path);
  const env = { ...process.env, RESTIC_PASSWORD: 'bench' };
  const theirs = async () => {
    const repository = join(work, randomId());
    execFileSync('restic', ['-q', '--no-cache', '-r', repository, 'init'], { env });
    const seconds = await timed(() =>
      execFileSync('restic', ['-q', '--no-cache', '-r', repository, 'backup', files], { env }),
    );
    rmSync(repository, { recursive: true });
    return seconds;
  };
  const seconds = await alternate(
    ROUNDS,
    () => pushAnew(remotes, { url: pathToFileURL(join(work, randomId())).href }),
    theirs,
  );
  remotes.close();
  await store.close();
  return [times('remotes.push-many', seconds, 'restic, which also cuts and encrypts', 0.7)];
}

/** Measures a fetch of manifests without any content. */
async function fetchMany(work: string, dist: string): Promise<Result> {
  const box = join(work, 'box');
  const manifests = readdirSync(join(box, 'checkpoints'), { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  );
  const [{ parentPath, name }] = manifests as [(typeof manifests)[number]];
  const manifest = JSON.parse(readFileSync(join(parentPath, name), 'utf8').split('\n')[0]!);
  const many = join(work, 'manifests');
  cpSync(box, many, { recursive: true, filter: (path) => !path.includes('/objects/') });
  for (let step = 1; step <= MANIFESTS; step++) {
    const { body } = manifest;
    const checkpoint = { ...body.checkpoint, id: randomId(), step };
    const own = { ...manifest, body: { ...body, checkpoint } };
    writeFileSync(join(many, manifestKey(body.run.id, step, checkpoint.id)), encodeManifest(own));
  }
  const store = await openStore(join(work, 'fetching'), dist);
  const remotes = remotesOf(store, join(work, 'fetching'));
  await remotes.add('box', { url: pathToFileURL(many).href }, work);
  const seconds = await timed(() => remotes.fetch('box', QUIET));
  await store.close();
  return { name: 'remotes.fetch', value: seconds, unit: 's', goal: { atMost: 5 } };
}

/** Pushes everything to a new remote, and forgets it again. */
async function pushAnew(remotes: Remotes, place: Place): Promise<number> {
  const name = `r${randomId()}`;
  await remotes.add(name, place, '/');
  const seconds = await timed(() => remotes.push(name, [], QUIET));
  remotes.remove(name);
  if (place.url.startsWith('file:')) rmSync(new URL(place.url), { recursive: true });
  return seconds;
}

async function pullAnew(work: string, dist: string, place: Place, variables: Variables): Promise<number> {
  const path = join(work, randomId());
  const store = await openStore(path, dist);
  const remotes = remotesOf(store, path, variables);
  await remotes.add('box', place, '/');
  const seconds = await timed(() => remotes.pull(['box'], QUIET));
  await store.close();
  rmSync(path, { recursive: true });
  return seconds;
}

function remotesOf(store: Store, path: string, variables: Variables = {}): Remotes {
  const announce = { run: () => {}, checkpoint: () => {} };
  return new Remotes({
    store,
    path,
    variables,
    findCheckpoint: (query) => store.findCheckpoint(query, null),
    announce,
  });
}

function openStore(path: string, dist: string): Promise<Store> {
  return startStore(pathToFileURL(join(dist, 'store-worker.js')), { path, quotaBytes: 1e12 });
}

function objectsIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
