/** Way to a folder of this machine, which other machines see as well, and to its commands. */
import { spawn } from 'node:child_process';
import { cp, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { networkFileSystem } from '../../../base/network-file-systems.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import { unusable } from '../errors.ts';
import { type Entry, NETWORK_LAG_MS, type Ran, type Reach } from '../reach.ts';

const RUN_MS = 60_000;
/** Longest output that is taken: the lines of 100,000 jobs. */
const MAX_OUTPUT = 64 << 20;

/** Failures of a file system whose server is away, or was restored: what is there is not known. */
const AWAY = ['ESTALE', 'EIO', 'ETIMEDOUT', 'ENOTCONN', 'EHOSTDOWN', 'EREMOTEIO'];

export class LocalReach implements Reach {
  readonly #engine: string;

  constructor(engine: string) {
    this.#engine = engine;
  }

  /** The environment of the person's shell is whole; where it is not known, that of this process counts. */
  run: Reach['run'] = (words, { input = '', environment = {}, timeoutMs = RUN_MS } = {}) =>
    runHere(words, {
      input,
      environment: Object.keys(environment).length > 0 ? environment : process.env,
      timeoutMs,
    });

  lagOf(path: string): number {
    try {
      return networkFileSystem(path) === null ? 0 : NETWORK_LAG_MS;
    } catch {
      return NETWORK_LAG_MS;
    }
  }

  async folder(path: string): Promise<string> {
    const absolute = path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
    await mkdir(absolute, { recursive: true }).catch(({ code, message }: NodeJS.ErrnoException) => {
      if (AWAY.includes(code ?? '')) throw this.#away(message);
      throw unusable(this.#engine, `its folder cannot be made: ${message}`);
    });
    return absolute;
  }

  async list(path: string): Promise<Entry[]> {
    const names = await this.#orNull(() => readdir(path));
    const entries = await Promise.all((names ?? []).map((name) => this.stat(join(path, name))));
    return entries.filter((entry): entry is Entry => entry !== null);
  }

  async glance(folder: string, names: readonly string[]): Promise<string> {
    const found = await Promise.all(names.map((name) => this.#orNull(() => stat(`${folder}/${name}`))));
    return found.map((one) => (one ? `${one.size}:${one.mtimeMs}` : '')).join(' ');
  }

  async stat(path: string): Promise<Entry | null> {
    const found = await this.#orNull(() => stat(path));
    if (!found) return null;
    return { name: basename(path), isFolder: found.isDirectory(), bytes: found.size, changedAt: found.mtimeMs };
  }

  async read(path: string, offset: number, limit: number): Promise<Buffer | null> {
    return this.#orNull(async () => {
      const file = await open(path, 'r');
      try {
        const { size } = await file.stat();
        const bytes = Buffer.alloc(Math.max(0, Math.min(limit, size - offset)));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
        return bytes.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    });
  }

  async write(path: string, bytes: Uint8Array | string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.tmp-${randomId()}`;
    try {
      await writeFile(temporary, bytes, { mode: 0o600, flush: true });
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async upload(local: string, path: string): Promise<void> {
    if (await this.stat(path)) return;
    await mkdir(dirname(path), { recursive: true });
    await copyWhole(local, path);
  }

  async download(path: string, local: string): Promise<boolean> {
    const done = await this.#orNull(async () => {
      await copyWhole(path, local);
      return true;
    });
    return done ?? false;
  }

  async remove(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true });
  }

  close(): void {}

  /** Does work; null where nothing is. A stale handle is looked up once more, and is no sign that nothing is there. */
  async #orNull<T>(work: () => Promise<T>): Promise<T | null> {
    for (let isAgain = false; ; isAgain = true) {
      try {
        return await work();
      } catch (error) {
        const { code = '', message } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ENOTDIR') return null;
        if (code === 'ESTALE' && !isAgain) continue;
        if (!AWAY.includes(code)) throw error;
        throw this.#away(message);
      }
    }
  }

  #away(reason: string): TrainstashError<'engineUnreachable'> {
    return new TrainstashError(
      'engineUnreachable',
      `The folder of ${this.#engine} does not answer: ${reason}. What runs there goes on.`,
      { engine: this.#engine, reason },
    );
  }
}

/** Runs a program and collects what it prints. One that prints too much has failed: a job in a part that is cut off would seem gone. */
export function runHere(
  words: readonly string[],
  { input, environment, timeoutMs }: { input: string | Readable; environment: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(words[0]!, words.slice(1), { env: environment, timeout: timeoutMs, windowsHide: true });
    const parts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        parts[name] += text;
        if (parts[name].length <= MAX_OUTPUT) return;
        child.kill('SIGKILL');
        resolve({ code: null, stdout: '', stderr: `${words[0]} has printed more than ${MAX_OUTPUT >> 20} MB` });
      });
    child.once('error', ({ message }) => resolve({ code: null, stdout: '', stderr: message }));
    child.once('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : null), ...parts }));
    child.stdin.on('error', () => {});
    if (typeof input === 'string') child.stdin.end(input);
    else input.once('error', () => child.kill()).pipe(child.stdin);
  });
}

async function copyWhole(from: string, to: string): Promise<void> {
  const temporary = join(dirname(to), `.tmp-${basename(to)}-${randomId()}`);
  try {
    await cp(from, temporary, { recursive: true });
    await rename(temporary, to).catch(async (error: NodeJS.ErrnoException) => {
      // Another daemon, or another run, was faster.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
