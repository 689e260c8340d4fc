/** Speaks SFTP, version 3, over two streams. Requests overlap; each has a number. What the server says is untrusted. */
import type { Readable, Writable } from 'node:stream';
import { type Attributes, attributesOf, NO_ATTRIBUTES, number32, number64, Reader, text } from './sftp-packet.ts';

const OPEN = { read: 1, write: 2, create: 8, exclusive: 32 } as const;
const REQUEST = {
  init: 1,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  openDirectory: 11,
  readDirectory: 12,
  remove: 13,
  makeDirectory: 14,
  realPath: 16,
  stat: 17,
  rename: 18,
  extended: 200,
} as const;
const REPLY = { version: 2, status: 101, handle: 102, data: 103, name: 104, attributes: 105, extended: 201 } as const;
export const STATUS = { ok: 0, end: 1, noSuchFile: 2, permissionDenied: 3, failure: 4 } as const;

/** Largest packet that is accepted; servers send at most 256 KiB. */
const MAX_PACKET_BYTES = 1 << 20;
/** Size of reads and writes that every server takes, and of those that OpenSSH takes. */
const BLOCK_BYTES = 32 << 10;
const LARGE_BLOCK_BYTES = 128 << 10;
/** Time without a byte from a server that owes an answer, after which the connection is given up. */
const SILENT_MS = 60_000;
/** Number of reads of one file under way. */
const READS = 32;

/** Refusal of a request by the server. */
export class SftpStatus extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message.slice(0, 300) || `status ${status}`);
    this.status = status;
  }
}
/** Error for a connection that has ended, or that says what no server says. */
export class SftpClosed extends Error {}

interface Reply {
  type: number;
  body: Buffer;
}

export class Sftp {
  readonly #out: Writable;
  readonly #waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  readonly #over = Promise.withResolvers<void>();
  /** Resolves once the connection has ended, or was given up. */
  readonly closed = this.#over.promise;
  #extensions = new Map<string, string>();
  #next = 1;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #closed: Error | null = null;
  #draining: Promise<void> | null = null;
  #heardAt = performance.now();
  readonly #watch: NodeJS.Timeout;
  #began: { resolve(): void; reject(error: Error): void } | null = null;

  private constructor(input: Readable, out: Writable) {
    this.#out = out;
    this.#watch = setInterval(() => this.#look(), SILENT_MS / 10).unref();
    input.on('data', (part: Buffer) => this.#take(part));
    input.on('close', () => this.fail(new SftpClosed('the connection has ended')));
    out.on('error', (error) => this.fail(new SftpClosed(error.message)));
  }

  /** Begins a session. Rejects with `SftpClosed`. */
  static async begin(input: Readable, out: Writable): Promise<Sftp> {
    const sftp = new Sftp(input, out);
    await new Promise<void>((resolve, reject) => {
      sftp.#began = { resolve, reject };
      sftp.#write(REQUEST.init, [number32(3)]);
    });
    return sftp;
  }

  get isClosed(): boolean {
    return this.#closed !== null;
  }

  has(extension: string): boolean {
    return this.#extensions.has(extension);
  }

  fail(error: Error): void {
    this.#closed ??= error;
    clearInterval(this.#watch);
    this.#began?.reject(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#over.resolve();
  }

  async lstat(path: string): Promise<Attributes> {
    return attributesOf((await this.#ask(REQUEST.lstat, [text(path)], REPLY.attributes)).body);
  }

  async stat(path: string): Promise<Attributes> {
    return attributesOf((await this.#ask(REQUEST.stat, [text(path)], REPLY.attributes)).body);
  }

  /** Resolves a path, which may be relative to the home folder there. */
  async realPath(path: string): Promise<string> {
    const { body } = await this.#ask(REQUEST.realPath, [text(path)], REPLY.name);
    const reader = new Reader(body);
    reader.number32();
    return reader.text();
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#ask(REQUEST.makeDirectory, [text(path), NO_ATTRIBUTES], REPLY.status);
  }

  async remove(path: string): Promise<void> {
    await this.#ask(REQUEST.remove, [text(path)], REPLY.status);
  }

  /** Renames a file, which replaces another, or without `replace` fails if there is one. */
  async rename(from: string, to: string, replace: boolean): Promise<void> {
    if (replace && this.has('posix-rename@openssh.com'))
      return this.#extended('posix-rename@openssh.com', [text(from), text(to)]);
    if (replace) await this.remove(to).catch(() => {});
    await this.#ask(REQUEST.rename, [text(from), text(to)], REPLY.status);
  }

  /** Writes a new file, durably where the server can. */
  async write(path: string, bytes: Uint8Array): Promise<void> {
    const flags = OPEN.write | OPEN.create | OPEN.exclusive;
    const handle = await this.#handle(REQUEST.open, [text(path), number32(flags), NO_ATTRIBUTES]);
    try {
      const writes: Promise<unknown>[] = [];
      for (let at = 0; at < bytes.length; at += this.#block) {
        const block = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(this.#block, bytes.length - at));
        const write = this.#ask(REQUEST.write, [handle, number64(at), number32(block.length), block], REPLY.status);
        // Its failure is looked at below, after the others have ended.
        write.catch(() => {});
        writes.push(write);
        if (this.#out.writableNeedDrain) await this.#drained();
      }
      await allSettled(writes);
      if (this.has('fsync@openssh.com')) await this.#extended('fsync@openssh.com', [handle]);
    } finally {
      await this.#ask(REQUEST.close, [handle], REPLY.status);
    }
  }

  /** Reads a file from an offset on, at most that many bytes of it. */
  async read(path: string, limit: (size: number) => number, offset = 0): Promise<Uint8Array<ArrayBuffer>> {
    const handle = await this.#handle(REQUEST.open, [text(path), number32(OPEN.read), NO_ATTRIBUTES]);
    try {
      const { bytes: size } = attributesOf((await this.#ask(REQUEST.fstat, [handle], REPLY.attributes)).body);
      const bytes = new Uint8Array(limit(size));
      let next = 0;
      let end = bytes.length;
      const work = async () => {
        while (next < end) {
          const from = next;
          const to = Math.min(end, from + this.#block);
          next = to;
          for (let at = from; at < to && at < end; ) {
            const data = await this.#readAt(handle, offset + at, to - at);
            // The file has become shorter.
            if (data === null) end = Math.min(end, at);
            else bytes.set(data, at);
            at += data?.length ?? to;
          }
        }
      };
      await allSettled(Array.from({ length: READS }, work));
      return end === bytes.length ? bytes : bytes.slice(0, end);
    } finally {
      await this.#ask(REQUEST.close, [handle], REPLY.status).catch(() => {});
    }
  }

  /** Lists a folder. Names that could lead elsewhere are left out. */
  async list(path: string): Promise<{ name: string; attributes: Attributes }[]> {
    const handle = await this.#handle(REQUEST.openDirectory, [text(path)]);
    const entries: { name: string; attributes: Attributes }[] = [];
    try {
      for (;;) {
        const reply = await this.#ask(REQUEST.readDirectory, [handle], REPLY.name, STATUS.end);
        if (reply.type === REPLY.status) return entries;
        const reader = new Reader(reply.body);
        const count = reader.number32();
        for (let i = 0; i < count; i++) {
          const name = reader.text();
          reader.text();
          const attributes = reader.attributes();
          if (name !== '' && name !== '.' && name !== '..' && !name.includes('/')) entries.push({ name, attributes });
        }
      }
    } finally {
      await this.#ask(REQUEST.close, [handle], REPLY.status).catch(() => {});
    }
  }

  /** Returns the free bytes for users like us; null: the server does not tell. */
  async freeBytes(path: string): Promise<number | null> {
    if (!this.has('statvfs@openssh.com')) return null;
    const { body } = await this.#ask(REQUEST.extended, [text('statvfs@openssh.com'), text(path)], REPLY.extended);
    return body.length < 40 ? null : Number(body.readBigUInt64BE(8)) * Number(body.readBigUInt64BE(32));
  }

  /** Waits until the connection takes more, or has ended. All writers wait for the same moment. */
  #drained(): Promise<void> {
    this.#draining ??= new Promise((resolve) => {
      const done = () => {
        this.#out.off('drain', done);
        this.#out.off('close', done);
        this.#draining = null;
        resolve();
      };
      this.#out.on('drain', done);
      this.#out.on('close', done);
    });
    return this.#draining;
  }

  get #block(): number {
    return this.has('limits@openssh.com') ? LARGE_BLOCK_BYTES : BLOCK_BYTES;
  }

  async #readAt(handle: Buffer, at: number, length: number): Promise<Buffer | null> {
    const reply = await this.#ask(REQUEST.read, [handle, number64(at), number32(length)], REPLY.data, STATUS.end);
    if (reply.type === REPLY.status) return null;
    const data = new Reader(reply.body).bytes();
    if (data.length === 0 || data.length > length) throw new SftpClosed('a read gave another number of bytes');
    return data;
  }

  async #extended(name: string, parts: Buffer[]): Promise<void> {
    await this.#ask(REQUEST.extended, [text(name), ...parts], REPLY.status);
  }

  async #handle(request: number, parts: Buffer[]): Promise<Buffer> {
    const { body } = await this.#ask(request, parts, REPLY.handle);
    const handle = new Reader(body).bytes();
    return Buffer.concat([number32(handle.length), handle]);
  }

  /** Sends a request. A status that is neither fine nor `accepts` is an error. */
  async #ask(type: number, parts: Buffer[], expected: number, accepts: number = STATUS.ok): Promise<Reply> {
    if (this.#closed) throw this.#closed;
    if (this.#waiting.size === 0) this.#heardAt = performance.now();
    const id = this.#next;
    this.#next = (this.#next + 1) >>> 0;
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#write(type, [number32(id), ...parts]);
    });
    if (reply.type === REPLY.status) {
      const reader = new Reader(reply.body);
      const status = reader.number32();
      if (status === accepts || (status === STATUS.ok && expected === REPLY.status)) return reply;
      throw new SftpStatus(status, reply.body.length > 4 ? reader.text() : '');
    }
    if (reply.type !== expected) throw new SftpClosed(`the server answered with packet ${reply.type}`);
    return reply;
  }

  #write(type: number, parts: Buffer[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 1);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length);
    head[4] = type;
    this.#out.cork();
    this.#out.write(head);
    for (const part of parts) this.#out.write(part);
    this.#out.uncork();
  }

  #look(): void {
    const isOwed = this.#waiting.size > 0 || this.#began !== null;
    if (isOwed && performance.now() - this.#heardAt > SILENT_MS)
      this.fail(new SftpClosed(`no answer for ${SILENT_MS / 1000} seconds`));
  }

  #take(part: Buffer): void {
    this.#heardAt = performance.now();
    this.#received.push(part);
    this.#receivedBytes += part.length;
    try {
      for (let packet = this.#packet(); packet; packet = this.#packet()) this.#receive(packet);
    } catch (error) {
      this.fail(error instanceof SftpClosed ? error : new SftpClosed('the server sent what is no SFTP'));
    }
  }

  #packet(): Buffer | null {
    if (this.#receivedBytes < 4) return null;
    // Joined only when a packet is complete: joining at each part would copy large packets many times.
    const head = this.#received[0]!.length >= 4 ? this.#received[0]! : this.#joined();
    const length = head.readUInt32BE(0);
    if (length < 1 || length > MAX_PACKET_BYTES) throw new SftpClosed('the server sent what is no SFTP');
    if (this.#receivedBytes < 4 + length) return null;
    const all = this.#joined();
    const rest = all.subarray(4 + length);
    this.#received = rest.length > 0 ? [rest] : [];
    this.#receivedBytes = rest.length;
    return all.subarray(4, 4 + length);
  }

  #joined(): Buffer {
    const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
    this.#received = [all];
    return all;
  }

  #receive(packet: Buffer): void {
    const type = packet[0]!;
    if (type === REPLY.version) {
      const reader = new Reader(packet.subarray(5));
      while (!reader.isAtEnd) this.#extensions.set(reader.text(), reader.text());
      this.#began?.resolve();
      this.#began = null;
      return;
    }
    const id = packet.readUInt32BE(1);
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    call?.resolve({ type, body: packet.subarray(5) });
  }
}

/** Waits until all have ended, and then rejects with the first failure: a handle must not be closed before. */
async function allSettled(works: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}
