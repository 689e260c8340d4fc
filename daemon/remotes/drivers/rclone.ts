/**
 * Driver for everything that an installed rclone reaches. Each request is a process of its own: rclone's configuration, credentials and
 * encryption apply. Objects are uploaded under a temporary name and moved, since some of its backends write in place.
 */
import { spawn } from 'node:child_process';
import * as v from 'valibot';
import type { TrainstashError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import {
  type Driver,
  damagedObject,
  type Entry,
  type GetOptions,
  gone,
  type PutOptions,
  unreachable,
} from './driver.ts';
import type { Variables } from './s3-credentials.ts';

const UNFINISHED = 'unfinished';
/** Exit codes of rclone for a folder and for a file that is not there. */
const NOT_THERE: readonly (number | null)[] = [3, 4];
const OPTIONS = ['--contimeout', '20s', '--timeout', '60s', '--retries', '3', '--low-level-retries', '5', '--quiet'];
const MAX_LIST_BYTES = 512 << 20;
const MAX_SAID = 4_000;

const entrySchema = v.object({
  Path: v.string(),
  Size: v.number(),
  IsDir: v.boolean(),
  ModTime: v.optional(v.string()),
});
const listSchema = v.array(entrySchema);

interface Ended {
  code: number | null;
  output: Uint8Array<ArrayBuffer>;
  said: string;
}

export class RcloneDriver implements Driver {
  readonly #name: string;
  /** Remote and folder as rclone writes them: `drive:digits`. */
  readonly #place: string;
  readonly #variables: () => Variables;

  constructor(name: string, place: string, variables: () => Variables) {
    this.#name = name;
    this.#place = place.replace(/(?<=[^:])\/$/, '');
    this.#variables = variables;
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
    const words = ['lsjson', '--recursive', '--files-only', '--no-mimetype', '--no-modtime', this.#path(folder)];
    const { code, output } = await this.#run(words, { maxBytes: MAX_LIST_BYTES, signal });
    if (NOT_THERE.includes(code)) {
      if (folder === '') throw gone(this.#name, this.#place);
      return;
    }
    const listed = v.safeParse(listSchema, parse(output));
    if (!listed.success) throw damagedObject(this.#name, `the list of ${prefix}`, 'it is no list');
    for (const { Path, Size } of listed.output) {
      const key = folder === '' ? Path : `${folder}/${Path}`;
      if (key.startsWith(prefix) && !key.startsWith(`${UNFINISHED}/`)) yield { key, bytes: Size, changedAt: 0 };
    }
  }

  async get(key: string, { maxBytes, first, signal }: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    const words = ['cat', ...(first === undefined ? [] : ['--count', String(first)]), this.#path(key)];
    const { code, output } = await this.#run(words, { maxBytes: Math.min(maxBytes, first ?? maxBytes), signal });
    if (NOT_THERE.includes(code)) return null;
    // Of a folder it gives all files in it, which none of our names is.
    return output;
  }

  async put(key: string, bytes: Uint8Array, { ifAbsent, signal }: PutOptions = {}): Promise<'written' | 'taken'> {
    if (ifAbsent && (await this.stat(key, signal))) return 'taken';
    const temporary = this.#path(`${UNFINISHED}/${randomId()}`);
    const sent = await this.#run(['rcat', '--size', String(bytes.length), temporary], { input: bytes, signal });
    if (sent.code !== 0) throw gone(this.#name, this.#place);
    const moved = await this.#run(['moveto', temporary, this.#path(key)], { signal });
    if (moved.code !== 0) throw gone(this.#name, this.#place);
    return 'written';
  }

  /** Does nothing: rclone ends only once an object was taken. */
  async settle(): Promise<void> {}

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.#run(['deletefile', this.#path(key)], { signal });
    } catch (error) {
      // Of a file that is not there it says only that it has failed.
      if (await this.stat(key, signal)) throw error;
    }
  }

  async stat(key: string, signal?: AbortSignal): Promise<Entry | null> {
    const { code, output } = await this.#run(['lsjson', '--stat', '--no-mimetype', this.#path(key)], { signal });
    const found = NOT_THERE.includes(code) ? null : v.safeParse(entrySchema, parse(output));
    if (!found?.success || found.output.IsDir) return null;
    return { key, bytes: found.output.Size, changedAt: Date.parse(found.output.ModTime ?? '') || 0 };
  }

  /** Returns this machine's time: rclone has no way to ask for another. */
  async now(): Promise<number> {
    return Date.now();
  }

  async create(): Promise<void> {
    await this.#run(['mkdir', this.#place], {});
  }

  async exists(): Promise<boolean> {
    const { code, output } = await this.#run(['lsjson', '--stat', '--no-mimetype', this.#place], {});
    const found = NOT_THERE.includes(code) ? null : v.safeParse(entrySchema, parse(output));
    return found?.success === true && found.output.IsDir;
  }

  close(): void {}

  #path(key: string): string {
    if (key === '') return this.#place;
    return `${this.#place}${/[:/]$/.test(this.#place) ? '' : '/'}${key}`;
  }

  /** Runs rclone. Resolves if it succeeded or found nothing, and rejects with what it says otherwise. */
  async #run(
    words: string[],
    { input, maxBytes = 1 << 20, signal }: { input?: Uint8Array; maxBytes?: number; signal?: AbortSignal | undefined },
  ): Promise<Ended> {
    signal?.throwIfAborted();
    const ended = await this.#spawn(words, input, maxBytes, signal);
    signal?.throwIfAborted();
    if (ended.code === 0 || NOT_THERE.includes(ended.code)) return ended;
    throw this.#failed(ended);
  }

  #failed({ said }: Ended): TrainstashError {
    const lines = said.split('\n').map((line) => line.replace(/^[\d/]+ [\d:]+ /, '').trim());
    return unreachable(this.#name, `rclone: ${lines.filter(Boolean).at(-1) ?? 'it failed without a message'}`);
  }

  #spawn(words: string[], input: Uint8Array | undefined, maxBytes: number, signal?: AbortSignal): Promise<Ended> {
    // rclone cannot use this variable of AWS's, and fails wherever it is set.
    const { AWS_CA_BUNDLE: _, ...env } = { ...process.env, ...this.#variables() };
    const child = spawn('rclone', [...words, ...OPTIONS], { stdio: ['pipe', 'pipe', 'pipe'], env, windowsHide: true });
    const stop = () => child.kill();
    signal?.addEventListener('abort', stop, { once: true });
    return new Promise<Ended>((resolve, reject) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      let said = '';
      child.stdout.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes <= maxBytes) return void parts.push(part);
        child.kill();
        reject(damagedObject(this.#name, words.at(-1)!, 'it is larger than such an object can be'));
      });
      child.stderr.on('data', (text: Buffer) => {
        said = (said + text.toString('utf8')).slice(-MAX_SAID);
      });
      child.once('error', ({ message }) => reject(unreachable(this.#name, `rclone cannot be started (${message})`)));
      child.once('close', (code) => resolve({ code, output: new Uint8Array(Buffer.concat(parts)), said }));
      // It may end before it has read everything; its exit code tells the cause.
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    }).finally(() => signal?.removeEventListener('abort', stop));
  }
}

function parse(output: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(output.buffer, output.byteOffset, output.length).toString('utf8'));
  } catch {
    return undefined;
  }
}
