/** Way to another host: commands by `ssh`, files by SFTP, each through the user's own `ssh`. */
import type { ChildProcess } from 'node:child_process';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { writeAll } from '../../../base/files.ts';
import type { TrainstashError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import { type Sftp, SftpClosed, SftpStatus, STATUS } from '../../remotes/drivers/sftp.ts';
import type { Attributes } from '../../remotes/drivers/sftp-packet.ts';
import { beginSftp, SSH_OPTIONS, SshFailure } from '../../remotes/drivers/ssh.ts';
import { unreachable, unusable } from '../errors.ts';
import { type Entry, NETWORK_LAG_MS, type Ran, type Reach } from '../reach.ts';
import { quoted } from '../script.ts';
import { runHere } from './local.ts';
import { packFolder } from './tar.ts';

const RUN_MS = 60_000;
const BLOCK_BYTES = 8 << 20;
/** Size from which a file is sent as a stream. */
const LARGE_BYTES = 64 << 20;
const ATTEMPTS = 2;
/** Exit code of ssh itself, when it could not connect. */
const SSH_FAILED = 255;

export class SshReach implements Reach {
  readonly #engine: string;
  readonly #host: string;
  readonly #lagMs: number;
  readonly #children = new Set<ChildProcess>();
  #connecting: Promise<Sftp> | null = null;

  /** `lagMs`: time until a change by another machine is seen on the host, which may be a client of a network file system. */
  constructor(engine: string, host: string, lagMs = NETWORK_LAG_MS) {
    this.#engine = engine;
    this.#host = host;
    this.#lagMs = lagMs;
  }

  run: Reach['run'] = (words, { input = '', timeoutMs = RUN_MS } = {}) => this.#run(words, input, timeoutMs);

  async #run(words: readonly string[], input: string | Readable, timeoutMs: number): Promise<Ran> {
    const command = words.map(quoted).join(' ');
    const ran = await runHere(['ssh', '-T', ...SSH_OPTIONS, '--', this.#host, command], {
      input,
      environment: { ...process.env, LC_ALL: 'C' },
      timeoutMs,
    });
    if (ran.code === null || ran.code === SSH_FAILED) throw this.#unreachable(ran.stderr);
    return ran;
  }

  lagOf(): number {
    return this.#lagMs;
  }

  async folder(path: string): Promise<string> {
    // Relative paths of SFTP begin in the home folder.
    const relative = path.startsWith('~/') ? path.slice(2) : path;
    const absolute = await this.#ask((sftp) => sftp.realPath(relative.startsWith('/') ? '/' : '.'));
    const whole = relative.startsWith('/') ? relative : `${absolute ?? ''}/${relative}`;
    await this.#makeFolder(whole).catch(async (error) => {
      // SFTP says no more than that it failed.
      const { code, stderr } = await this.run(['mkdir', '-p', '--', whole]);
      if (code !== 0) throw unusable(this.#engine, `its folder cannot be made on ${this.#host}: ${stderr.trim()}`);
      throw error;
    });
    return whole;
  }

  async list(path: string): Promise<Entry[]> {
    const entries = (await this.#ask((sftp) => sftp.list(path))) ?? [];
    return entries.map(({ name, attributes }) => entryOf(name, attributes));
  }

  async stat(path: string): Promise<Entry | null> {
    const attributes = await this.#ask((sftp) => sftp.stat(path));
    return attributes && entryOf(basename(path), attributes);
  }

  async read(path: string, offset: number, limit: number): Promise<Buffer | null> {
    const bytes = await this.#ask((sftp) =>
      sftp.read(path, (size) => Math.max(0, Math.min(limit, size - offset)), offset),
    );
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async write(path: string, bytes: Uint8Array | string): Promise<void> {
    await this.#makeFolder(dirname(path));
    const temporary = `${path}.tmp-${randomId()}`;
    await this.#ask(async (sftp) => {
      await sftp.write(temporary, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
      await sftp.rename(temporary, path, true);
    });
  }

  async upload(local: string, path: string): Promise<void> {
    if (await this.stat(path)) return;
    const temporary = `${dirname(path)}/.tmp-${basename(path)}-${randomId()}`;
    await this.#makeFolder(dirname(path));
    if (!(await this.#sendAtOnce(local, temporary))) await this.#send(local, temporary);
    await this.#ask((sftp) => sftp.rename(temporary, path, false)).catch(async (error) => {
      // Another one was faster.
      if (!(await this.stat(path))) throw error;
      await this.remove(temporary);
    });
  }

  /** Sends a folder in one stream: file by file each would cost several times the way there and back. Returns false if no `tar` can. */
  async #sendAtOnce(local: string, path: string): Promise<boolean> {
    const packed = packFolder(local);
    const { code } = await this.#run(['sh', '-c', 'mkdir "$1" && tar -xof - -C "$1"', 'sh', path], packed.stream, 0);
    if (code === 0 && (await packed.isWhole)) return true;
    await this.remove(path);
    return false;
  }

  async #send(local: string, path: string): Promise<void> {
    await this.#makeFolder(path);
    for (const entry of readdirSync(local, { withFileTypes: true })) {
      const [from, to] = [join(local, entry.name), `${path}/${entry.name}`];
      if (entry.isDirectory()) await this.#send(from, to);
      else if (entry.isFile()) await this.#sendFile(from, to);
    }
  }

  /** Sends a file; a large one as a stream, since no buffer holds a model of some gigabytes. */
  async #sendFile(from: string, to: string): Promise<void> {
    const { size } = statSync(from);
    if (size <= LARGE_BYTES) return void (await this.#ask((sftp) => sftp.write(to, readFileSync(from))));
    const { code, stderr } = await this.#run(['sh', '-c', 'cat > "$1"', 'sh', to], createReadStream(from), 0);
    if (code === 0 && (await this.stat(to))?.bytes === size) return;
    throw this.#unreachable(stderr.trim() || `${basename(to)} did not arrive whole`);
  }

  async download(path: string, local: string): Promise<boolean> {
    const temporary = `${local}.${randomId()}`;
    try {
      if (!(await this.#fetch(path, temporary))) return false;
      renameSync(temporary, local);
      return true;
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }

  async #fetch(path: string, local: string): Promise<boolean> {
    const entries = await this.#ask((sftp) => sftp.list(path));
    if (!entries) return false;
    mkdirSync(local, { recursive: true });
    for (const { name, attributes } of entries) {
      if (attributes.isFolder && !(await this.#fetch(`${path}/${name}`, join(local, name)))) return false;
      if (!attributes.isFile) continue;
      if (!(await this.#fetchFile(`${path}/${name}`, join(local, name), attributes.bytes))) return false;
    }
    return true;
  }

  /** Fetches a file in blocks. Returns false if it was removed meanwhile, or has shrunk. */
  async #fetchFile(path: string, local: string, size: number): Promise<boolean> {
    const file = openSync(local, 'wx', 0o600);
    try {
      for (let at = 0; at < size; ) {
        const bytes = await this.read(path, at, Math.min(BLOCK_BYTES, size - at));
        if (!bytes?.length) return false;
        writeAll(file, bytes);
        at += bytes.length;
      }
      return true;
    } finally {
      closeSync(file);
    }
  }

  async remove(path: string): Promise<void> {
    const found = await this.#ask((sftp) => sftp.lstat(path));
    if (!found) return;
    if (found.isFolder) await this.run(['rm', '-rf', '--', path]);
    else await this.#ask((sftp) => sftp.remove(path));
  }

  close(): void {
    this.#connecting = null;
    for (const child of this.#children) child.kill();
  }

  async #makeFolder(path: string): Promise<void> {
    if ((await this.#ask((sftp) => sftp.stat(path)))?.isFolder) return;
    if (dirname(path) !== path) await this.#makeFolder(dirname(path));
    await this.#ask((sftp) => sftp.makeDirectory(path)).catch(async (error) => {
      if (!(await this.stat(path))?.isFolder) throw error;
    });
  }

  /** Asks over the connection, and once more over a new one if it has ended; null where a file is not there. */
  async #ask<T>(work: (sftp: Sftp) => Promise<T>): Promise<T | null> {
    for (let attempt = 1; ; attempt++) {
      const sftp = await this.#connection();
      try {
        return await work(sftp);
      } catch (error) {
        if (error instanceof SftpStatus && error.status === STATUS.noSuchFile) return null;
        if (error instanceof SftpStatus || (error instanceof SftpClosed && attempt === ATTEMPTS))
          throw this.#unreachable(error.message);
        if (!(error instanceof SftpClosed)) throw error;
      }
    }
  }

  async #connection(): Promise<Sftp> {
    const known = await this.#connecting?.catch(() => null);
    if (known && !known.isClosed) return known;
    this.#connecting = beginSftp({ host: this.#host, port: null }, {}, this.#children).catch((error) => {
      throw error instanceof SshFailure ? this.#unreachable(error.message) : error;
    });
    return this.#connecting;
  }

  #unreachable(said: string): TrainstashError<'engineUnreachable'> {
    const reason = said.trim().split('\n').at(-1)?.slice(0, 300) || 'ssh ended without a message';
    return unreachable(this.#engine, `${this.#host}: ${reason}`);
  }
}

function entryOf(name: string, { bytes, isFolder, changedAt }: Attributes): Entry {
  return { name, isFolder, bytes, changedAt };
}
