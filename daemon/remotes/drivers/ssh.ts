/**
 * Driver for a folder on another machine, by SFTP through the user's own `ssh`: its configuration, agent, jump hosts, known hosts and
 * hardware keys apply. Nothing is asked at a terminal, since there is none.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { TrainstashError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import {
  type Driver,
  damagedObject,
  denied,
  type Entry,
  full,
  type GetOptions,
  gone,
  type PutOptions,
  UNFINISHED,
  UNFINISHED_MS,
  unreachable,
} from './driver.ts';
import type { Variables } from './s3-credentials.ts';
import { Sftp, SftpClosed, SftpStatus, STATUS } from './sftp.ts';
import type { Attributes } from './sftp-packet.ts';

const ATTEMPTS = 3;
const PAUSE_MS = 500;
const FOLDERS_AT_ONCE = 16;
const MAX_SAID = 4_000;
const LAST_WORDS_MS = 2_000;
const SETTINGS = [
  'BatchMode=yes',
  'ConnectTimeout=20',
  'ServerAliveInterval=15',
  'ServerAliveCountMax=4',
  'ClearAllForwardings=yes',
];
/** Options of each call of ssh. */
export const SSH_OPTIONS: readonly string[] = SETTINGS.flatMap((setting) => ['-o', setting]);
/** Words of ssh that say that it was refused; everything else is a connection that cannot be had. ssh has one exit code for both. */
const REFUSED =
  /permission denied|host key verification failed|identification has changed|too many authentication failures|no matching|subsystem request failed/i;

export interface SshPlace {
  /** `host` or `user@host`. */
  host: string;
  port: number | null;
  /** Folder: absolute, or relative to the home folder there. */
  path: string;
}

export class SshDriver implements Driver {
  readonly #name: string;
  readonly #place: SshPlace;
  readonly #variables: () => Variables;
  #connecting: Promise<Sftp> | null = null;
  /** Children that were started and have not ended. */
  readonly #children = new Set<ChildProcess>();
  #isClosed = false;

  constructor(name: string, place: SshPlace, variables: () => Variables) {
    this.#name = name;
    this.#place = place;
    this.#variables = variables;
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    const at = prefix.lastIndexOf('/');
    let folders = [at < 0 ? '' : prefix.slice(0, at)];
    while (folders.length > 0) {
      signal?.throwIfAborted();
      const [now, later] = [folders.slice(0, FOLDERS_AT_ONCE), folders.slice(FOLDERS_AT_ONCE)];
      const listed = await Promise.all(now.map(async (folder) => ({ folder, entries: await this.#entries(folder) })));
      folders = later;
      for (const { folder, entries } of listed)
        for (const { name, attributes } of entries) {
          const key = folder === '' ? name : `${folder}/${name}`;
          if (key === UNFINISHED) continue;
          if (attributes.isFolder && (key.startsWith(prefix) || prefix.startsWith(`${key}/`))) folders.push(key);
          if (attributes.isFile && key.startsWith(prefix)) yield entryOf(key, attributes);
        }
    }
  }

  async #entries(folder: string): Promise<{ name: string; attributes: Attributes }[]> {
    const entries = await this.#attempt((sftp) => sftp.list(this.#path(folder)));
    if (entries === null && folder === '') throw this.#gone();
    return entries ?? [];
  }

  get(key: string, { maxBytes, first, signal }: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#attempt(async (sftp) => {
      signal?.throwIfAborted();
      const path = this.#path(key);
      if (!(await sftp.lstat(path)).isFile) throw damagedObject(this.#name, key, 'it is no file');
      return sftp.read(path, (size) => {
        const wanted = Math.min(size, first ?? size);
        if (wanted <= maxBytes) return wanted;
        throw damagedObject(this.#name, key, `it has ${size} bytes, more than such an object can have`);
      });
    });
  }

  async put(key: string, bytes: Uint8Array, { ifAbsent, signal }: PutOptions = {}): Promise<'written' | 'taken'> {
    signal?.throwIfAborted();
    const folder = key.slice(0, Math.max(0, key.lastIndexOf('/')));
    // Folders are made when the first object needs them: of most pushes, all are there.
    for (const isAgain of [false, true]) {
      if (isAgain) for (const name of [UNFINISHED, ...foldersOf(folder)]) await this.#makeFolder(name);
      const outcome = await this.#attempt((sftp) => this.#write(sftp, key, bytes, ifAbsent ?? false));
      if (outcome !== null) return outcome;
    }
    throw this.#gone();
  }

  async #write(sftp: Sftp, key: string, bytes: Uint8Array, ifAbsent: boolean): Promise<'written' | 'taken'> {
    const temporary = this.#path(`${UNFINISHED}/${randomId()}`);
    const path = this.#path(key);
    try {
      await sftp.write(temporary, bytes);
      if (!ifAbsent) await sftp.rename(temporary, path, true);
      else if (!(await isRenamedOnce(sftp, temporary, path))) return 'taken';
      return 'written';
    } catch (error) {
      // Servers say nothing more about a full disk than that it has failed.
      if (error instanceof SftpStatus && error.status === STATUS.failure) {
        const free = await sftp.freeBytes(this.#path('')).catch(() => null);
        if (free !== null && free < bytes.length + (1 << 16)) throw full(this.#name);
      }
      throw error;
    } finally {
      if (!sftp.isClosed) await sftp.remove(temporary).catch(() => {});
    }
  }

  async #makeFolder(folder: string): Promise<void> {
    await this.#attempt((sftp) =>
      sftp.makeDirectory(this.#path(folder)).catch(async (error) => {
        // It is there already, which servers report as a failure like any other.
        if (!(await sftp.stat(this.#path(folder))).isFolder) throw error;
      }),
    );
  }

  /** Does nothing: files were synced before they got their names, and folders cannot be. */
  async settle(): Promise<void> {}

  async delete(key: string): Promise<void> {
    await this.#attempt((sftp) => sftp.remove(this.#path(key)));
  }

  async stat(key: string): Promise<Entry | null> {
    const attributes = await this.#attempt((sftp) => sftp.lstat(this.#path(key)));
    return attributes?.isFile ? entryOf(key, attributes) : null;
  }

  /** Reads the clock of the other machine, from a file that it makes. */
  async now(): Promise<number> {
    const key = `${UNFINISHED}/${randomId()}`;
    await this.#makeFolder(UNFINISHED);
    await this.#attempt((sftp) => sftp.write(this.#path(key), Buffer.alloc(0)));
    const made = await this.stat(key);
    await this.delete(key);
    if (!made) throw this.#gone();
    for (const { name, attributes } of await this.#entries(UNFINISHED))
      if (attributes.isFile && attributes.changedAt < made.changedAt - UNFINISHED_MS)
        await this.delete(`${UNFINISHED}/${name}`);
    return made.changedAt;
  }

  async create(): Promise<void> {
    const made = await this.#attempt(async (sftp) => {
      await sftp.makeDirectory(this.#path(''));
      return true;
    });
    if (!made) throw this.#gone();
  }

  async exists(): Promise<boolean> {
    return (await this.#attempt((sftp) => sftp.stat(this.#path(''))))?.isFolder ?? false;
  }

  /** Ends everything. A request that is under way fails, and is not tried again. */
  close(): void {
    this.#isClosed = true;
    this.#connecting = null;
    for (const child of this.#children) child.kill();
  }

  #path(key: string): string {
    const { path } = this.#place;
    return key === '' ? path : `${path === '/' ? '' : path}/${key}`;
  }

  #gone(): TrainstashError {
    return gone(this.#name, `${this.#place.path} on ${this.#place.host}`);
  }

  /** Runs work over the connection, and once more over a new one if it has ended; null where a file is not there. */
  async #attempt<T>(work: (sftp: Sftp) => Promise<T>): Promise<T | null> {
    for (let attempt = 1; ; attempt++) {
      const sftp = await this.#connection();
      try {
        return await work(sftp);
      } catch (error) {
        if (error instanceof SftpStatus) {
          if (error.status === STATUS.noSuchFile) return null;
          throw error.status === STATUS.permissionDenied
            ? denied(this.#name, `${this.#place.host}: ${error.message}`)
            : unreachable(this.#name, `${this.#place.host}: ${error.message}`);
        }
        if (!(error instanceof SftpClosed)) throw error;
        if (attempt === ATTEMPTS) throw unreachable(this.#name, error.message);
        await delay(PAUSE_MS * attempt);
      }
    }
  }

  /** Returns the connection, or makes one. Rejects with what ssh says. */
  async #connection(): Promise<Sftp> {
    const known = await this.#connecting?.catch(() => null);
    if (this.#isClosed) throw unreachable(this.#name, 'it was closed here');
    if (known && !known.isClosed) return known;
    this.#connecting = this.#connect();
    return this.#connecting;
  }

  async #connect(): Promise<Sftp> {
    try {
      return await beginSftp(this.#place, this.#variables(), this.#children);
    } catch (error) {
      if (!(error instanceof SshFailure)) throw error;
      throw error.isRefused ? denied(this.#name, error.message) : unreachable(this.#name, error.message);
    }
  }
}

/** Failure of ssh to connect, in its own words. */
export class SshFailure extends Error {
  readonly isRefused: boolean;

  constructor(words: string, isRefused: boolean) {
    super(words);
    this.isRefused = isRefused;
  }
}

/** Begins a session of SFTP through the user's own ssh. Adds its process to `children` while it lives. Rejects with `SshFailure`. */
export async function beginSftp(
  { host, port }: Pick<SshPlace, 'host' | 'port'>,
  variables: Variables,
  children: Set<ChildProcess>,
): Promise<Sftp> {
  const words = ['-T', ...SSH_OPTIONS, ...(port === null ? [] : ['-p', String(port)]), '-s', '--', host, 'sftp'];
  const env = { ...process.env, ...variables, LC_ALL: 'C' };
  const child = spawn('ssh', words, { stdio: ['pipe', 'pipe', 'pipe'], env, windowsHide: true });
  children.add(child);
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said = (said + text.toString('utf8')).slice(-MAX_SAID);
  });
  const ended = new Promise<string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', () => resolve(null));
  }).finally(() => children.delete(child));
  try {
    const sftp = await Sftp.begin(child.stdout, child.stdin);
    void sftp.closed.then(() => child.kill());
    return sftp;
  } catch {
    // What it has said last comes a moment after it has closed its output. A program that goes on is ended.
    await Promise.race([ended, delay(LAST_WORDS_MS)]);
    child.kill();
    const reason = (await ended) ?? lastLine(said);
    throw new SshFailure(reason.startsWith('ssh: ') ? reason : `ssh: ${reason}`, REFUSED.test(said));
  }
}

/** Gives a file its name unless that is taken; false: it is. */
async function isRenamedOnce(sftp: Sftp, from: string, to: string): Promise<boolean> {
  try {
    await sftp.rename(from, to, false);
    return true;
  } catch (error) {
    const isTaken = await sftp.lstat(to).then(
      () => true,
      () => false,
    );
    if (isTaken) return false;
    throw error;
  }
}

function entryOf(key: string, { bytes, changedAt }: Attributes): Entry {
  return { key, bytes, changedAt };
}

/** Lists a folder and those around it, the outermost first. */
function foldersOf(folder: string): string[] {
  const parts = folder === '' ? [] : folder.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** Returns the last line that ssh has printed, without the frames of its warnings. */
function lastLine(said: string): string {
  const lines = said.split(/\r?\n/).map((line) => line.replace(/^@+|@+$/g, '').trim());
  return lines.filter(Boolean).at(-1) ?? 'it ended without a message';
}
