/** Malicious checkpoint files: inspecting them ends neither the daemon nor a training, and blocks nobody. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { inspect } from '../../inspector/inspect.ts';
import { InspectorPool, inspectorSetup } from '../../inspector/pool.ts';
import { isError } from '../../protocol/errors.ts';
import { daemonStatus } from '../../protocol/messages/daemon.ts';
import { fileInspect } from '../../protocol/messages/file.ts';
import { afterwards } from '../support/cleanup.ts';
import { startJob, untilCheckpoints } from '../support/commands.ts';
import { type Fixture, isAlive, kill, makeFixture, openProject, show, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { type HostileFile, hostileFiles, rawSafetensors, safetensors, sparse, torchFile } from '../support/hostile.ts';
import { FULL, sampleOfEach } from '../support/sample.ts';
import { DIST } from '../support/trainer.ts';

/** Memory limit of the daemon and of a runner, whatever file is inspected. */
const MOST_MEBIBYTES = 150;
/** Longest accepted silence; the test machine is shared. */
const MOST_SILENT_MS = 2_000;
/** Error texts of the engine or of a library, which must not reach users. */
const NOT_OURS = /call stack|undefined|Cannot read|Invalid |out of range|HDF5-DIAG|#0|is not a function|NaN/;

function peakMebibytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

/** Pings the daemon on a connection of its own while the work runs. */
async function whileAsking<T>(fixture: Fixture, work: () => Promise<T>): Promise<{ result: T; slowestMs: number }> {
  const other = await fixture.connect();
  let slowestMs = 0;
  let over = false;
  const asking = (async () => {
    while (!over) {
      const startedAt = performance.now();
      await other.request(daemonStatus, {});
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      await delay(20);
    }
  })();
  try {
    const result = await work();
    return { result, slowestMs };
  } finally {
    over = true;
    await asking;
  }
}

/** Returns the first word of its name, which those share that attack in the same way. */
const kindOf = ({ name }: HostileFile) => name.split(' ')[0];

async function inspected(client: Client, path: string, statistics = false) {
  try {
    return await client.request(fileInspect, { path, statistics });
  } catch (error) {
    if (isError(error, 'fileUnreadable')) return error;
    throw error;
  }
}

describe.skipIf(process.platform !== 'linux')('looked into by the daemon', () => {
  test('a file is listed or refused in words of ours, whatever it does; the daemon answers others, and stays small', async () => {
    const fixture = makeFixture();
    const client = await fixture.connect();
    const pid = fixture.daemonPid();
    for (const { name, write } of sampleOfEach(hostileFiles(), kindOf)) {
      const path = join(fixture.folder, name);
      write(path);
      const { result, slowestMs } = await whileAsking(fixture, () => inspected(client, path, !name.includes('hole')));
      const text = result instanceof Error ? result.message.replace(path, '') : JSON.stringify(result);
      expect([name, result instanceof Error && NOT_OURS.test(text)]).toEqual([name, false]);
      expect([name, slowestMs < MOST_SILENT_MS]).toEqual([name, true]);
      truncateSync(path, 0);
    }
    expect(fixture.daemonPid()).toBe(pid);
    expect(peakMebibytes(pid)).toBeLessThan(MOST_MEBIBYTES);
  }, 240_000);

  test('four files of two gigabytes at once cost the daemon nothing', async () => {
    const fixture = makeFixture();
    const client = await fixture.connect();
    const paths = sparse().map(({ name, write }) => {
      write(join(fixture.folder, name));
      return join(fixture.folder, name);
    });
    const { slowestMs } = await whileAsking(fixture, () => Promise.all(paths.map((path) => inspected(client, path))));
    expect(slowestMs).toBeLessThan(MOST_SILENT_MS);
    expect(peakMebibytes(fixture.daemonPid())).toBeLessThan(MOST_MEBIBYTES);
  });

  test('all of very many tensors are printed, and so are 5,376 with statistics', async () => {
    const fixture = makeFixture();
    for (const [count, words] of [
      [FULL ? 200_000 : 20_000, []],
      [5_376, ['--stats']],
    ] as const) {
      const name = (i: number) => `model.layers.${i}.block_sparse_moe.experts.w1.weight.base_layer.lora_A.default`;
      const header = Object.fromEntries(
        Array.from({ length: count }, (_, i) => [
          name(i),
          { dtype: 'F32', shape: [2], data_offsets: [8 * i, 8 * i + 8] },
        ]),
      );
      const path = join(fixture.folder, `${count}.safetensors`);
      writeFileSync(path, safetensors(header, count * 8));
      const { code, stdout } = await fixture.cli('inspect', path, '--all', ...words);
      expect(code).toBe(0);
      const lines = stdout.split('\n').filter((line) => line.startsWith('model.layers.'));
      expect(lines, stdout.slice(0, 600)).toHaveLength(count);
      expect(lines.at(-1)).toContain(`model.layers.${count - 1}.`);
      const { stdout: json } = await fixture.cli('inspect', path, '--json', ...words);
      expect(JSON.parse(json)).toMatchObject({ tensorCount: count, next: null, tensors: { length: count } });
    }
    expect(peakMebibytes(fixture.daemonPid())).toBeLessThan(MOST_MEBIBYTES);
  }, 120_000);

  test('a page has the tensors that a part of a name leaves, and none of a file that has changed since', async () => {
    const fixture = makeFixture();
    const client = await fixture.connect();
    const path = join(fixture.folder, 'a.safetensors');
    const header = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`Layer${i}`, { dtype: 'U8', shape: [1], data_offsets: [i, i + 1] }]),
    );
    writeFileSync(path, safetensors(header, 50));
    const first = await client.request(fileInspect, { path, filter: 'lAYER4', limit: 4 });
    expect(first).toMatchObject({ tensorCount: 50, foundCount: 11, next: { tensors: 4 } });
    expect(first.tensors.map(({ name }) => name)).toEqual(['Layer4', 'Layer40', 'Layer41', 'Layer42']);
    const second = await client.request(fileInspect, { path, filter: 'layer4', after: first.next! });
    expect(second.tensors.map(({ name }) => name)).toEqual([43, 44, 45, 46, 47, 48, 49].map((i) => `Layer${i}`));
    expect(second.next).toBeNull();
    writeFileSync(path, safetensors(header, 51));
    await expect(client.request(fileInspect, { path, after: first.next! })).rejects.toMatchObject({
      code: 'fileUnreadable',
      message: expect.stringContaining('changed while it was read'),
    });
  });

  test('what is no file is refused at once, and the daemon that was asked really ends', async () => {
    const fixture = makeFixture();
    const pipe = join(fixture.folder, 'pipe.pt');
    execFileSync('mkfifo', [pipe]);
    const socket = join(fixture.folder, 'socket.pt');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    afterwards(() => void server.close());
    symlinkSync('/dev/zero', join(fixture.folder, 'device.pt'));
    mkdirSync(join(fixture.folder, 'folder.pt'));
    for (const [name, what] of [
      ['pipe.pt', 'a named pipe'],
      ['socket.pt', 'a socket'],
      ['device.pt', 'a device'],
      ['folder.pt', 'a folder'],
    ] as const) {
      const { code, stderr } = await fixture.cli('inspect', join(fixture.folder, name));
      expect([name, code, stderr.includes(what)]).toEqual([name, 1, true]);
    }
    const pid = fixture.daemonPid();
    const looking = childrenOf(pid);
    expect(looking.length).toBeGreaterThan(0);
    await fixture.cli('daemon', 'stop');
    await until('the daemon and whoever looked for it have ended', () => ![pid, ...looking].some(isAlive));
  });
});

describe('a process that looks', () => {
  function pooled(): InspectorPool {
    const pool = new InspectorPool(inspectorSetup(DIST));
    afterwards(() => pool.close());
    return pool;
  }

  /** Makes a file whose inspection with statistics takes long. */
  function longFile(): string {
    const path = join(temporaryFolder(), 'long.safetensors');
    const bytes = 2 ** 36;
    const header = rawSafetensors(
      JSON.stringify({ w: { dtype: 'F32', shape: [bytes / 4], data_offsets: [0, bytes] } }),
      0,
    );
    writeFileSync(path, header);
    truncateSync(path, header.length + bytes);
    return path;
  }

  test('that is killed is an error for whoever asked, and the next one answers', async () => {
    const pool = pooled();
    const path = longFile();
    const asked = inspect(pool, null, { path, statistics: true }).catch((error) => error);
    kill(await until('a process looks', () => pool.pids[0]), 'SIGKILL');
    expect(await asked).toMatchObject({ code: 'fileUnreadable', message: expect.stringContaining('was killed') });
    expect(await inspect(pool, null, { path })).toMatchObject({ tensorCount: 1 });
  });

  test('is ended when nobody waits for it any more; there are two at most, and whoever waits has a turn', async () => {
    const pool = pooled();
    const path = longFile();
    const gone = new AbortController();
    const endless = [1, 2, 3].map(() =>
      inspect(pool, 'greedy', { path, statistics: true }, gone.signal).catch((error) => error),
    );
    await until('two processes look', () => pool.pids.length === 2);
    const pids = pool.pids;
    const modest = inspect(pool, 'modest', { path });
    gone.abort();
    for (const error of await Promise.all(endless)) expect(error).toMatchObject({ code: 'cancelled' });
    expect(await modest).toMatchObject({ tensorCount: 1 });
    await until('they have ended', () => !pids.some(isAlive));
    expect(pool.pids.length).toBeLessThanOrEqual(2);
  });

  test('is no part of the daemon, of a runner or of the thread that compares: those hold no reader of a format', async () => {
    for (const entry of ['daemon/main.ts', 'runner/main.ts', 'daemon/tensors/thread.ts']) {
      const { metafile } = await build({
        entryPoints: [entry],
        bundle: true,
        write: false,
        metafile: true,
        platform: 'node',
        format: 'esm',
        packages: 'external',
        external: ['better-sqlite3'],
        logLevel: 'error',
        absWorkingDir: join(DIST, '..'),
      });
      const readers = Object.keys(metafile.inputs).filter((path) =>
        /formats\/(pickle|zip|safetensors-reader|hdf5|hdf5-library|npz|torch-file|inspect|tfevents|json-scanner|contents)\.ts$/.test(
          path,
        ),
      );
      expect([entry, readers]).toEqual([entry, []]);
    }
  });
});

describe.skipIf(process.platform !== 'linux')('saved by a script that runs without the package', () => {
  test('a file that cannot be looked into is kept all the same, named so; the script never waits, the runner stays small', async () => {
    const hostile = hostileFiles().filter(({ name }) => /copies builtins\.set|deep types|long names|claims/.test(name));
    const folder = temporaryFolder();
    for (const { name, write } of hostile) write(join(folder, name));
    const honest = torchFile(Buffer.from('\x80\x02}X\x09\0\0\0optimizerK\x01s.', 'latin1'));
    writeFileSync(join(folder, 'honest.pt'), honest);
    const run = `${process.execPath} train.cjs`;
    const fixture = makeFixture({ config: { jobs: { save: { run, keep: { last: 20 } } } } });
    writeFileSync(
      join(fixture.root, 'train.cjs'),
      `const { copyFileSync, mkdirSync, readdirSync, existsSync, writeFileSync } = require('fs');
       mkdirSync('checkpoints');
       const from = ${JSON.stringify(folder)};
       for (const [i, name] of readdirSync(from).sort().entries())
         copyFileSync(from + '/' + name, 'checkpoints/' + name.replace(/\\W/g, '_') + '_step' + (i + 1) + '.pt');
       let last = Date.now(), worst = 0;
       const look = setInterval(() => {
         process.stdout.write('alive\\n', () => { worst = Math.max(worst, Date.now() - last); last = Date.now(); });
         if (!existsSync('enough')) return;
         writeFileSync('worst', String(worst));
         clearInterval(look);
       }, 20);`,
    );
    const client = await openProject(fixture);
    const { id } = await startJob(client, fixture, 'save');
    const runner = await until('the runner is known', () => runnerPid(fixture));
    const checkpoints = await untilCheckpoints(client, fixture, id, hostile.length + 1);
    const peak = peakMebibytes(runner);
    writeFileSync(join(fixture.root, 'enough'), '');
    await untilStatus(client, fixture, id, 'completed');
    expect(peak).toBeLessThan(MOST_MEBIBYTES);
    expect(Number(readFileSync(join(fixture.root, 'worst'), 'utf8'))).toBeLessThan(MOST_SILENT_MS);
    const named = (await show(client, fixture, id)).checkpoints.map(({ step, grade, missing }) => [
      step,
      grade,
      missing.find((part) => part.includes('could not be inspected')) ?? null,
    ]);
    expect(checkpoints).toHaveLength(hostile.length + 1);
    expect(named.sort()).toEqual([
      [1, 'weights only', expect.stringContaining('is truncated')],
      [2, 'weights only', expect.stringContaining('more than 256 MB of memory')],
      [3, 'weights only', expect.stringContaining('too deep or too large')],
      [4, 'partial', null],
      [5, 'weights only', null],
    ]);
  }, 120_000);
});

function runnerPid(fixture: Fixture): number | undefined {
  const wanted = join(fixture.store, 'sessions');
  return processes().find((pid) => {
    const words = wordsOf(pid);
    return words.some((word) => word.endsWith('runner.js')) && words.some((word) => word.startsWith(wanted));
  });
}

function childrenOf(parent: number): number[] {
  return processes().filter((pid) => {
    try {
      return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[1]) === parent;
    } catch {
      return false;
    }
  });
}

function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

function wordsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
