/**
 * Encrypts what goes to a driver, names included: AES-256-GCM for the bytes, bound to their name, and for each part of a name a keyed
 * encryption that gives the same name each time. Whoever has the place and not the key sees how many objects there are, in which folders,
 * how large, and when each was written. Whoever can also write there can delete objects and bring back older ones under their own names,
 * and can replace the marker, which is not authenticated: a machine that has added the remote with its key goes on encrypting, and one
 * that adds it without a key takes it for a plain one.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { AroundDriver } from './around.ts';
import { type Driver, damagedObject, type Entry, free, type GetOptions, type PutOptions } from './driver.ts';

const MAGIC = Buffer.from('TSSEAL01');
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD_BYTES = MAGIC.length + NONCE_BYTES + TAG_BYTES;
const NAME_IV_BYTES = 16;
/** Limit of an object of which only the beginning is wanted. */
const MOST_FOR_A_PART_BYTES = 64 << 20;
export const KEY_BYTES = 32;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** Keys for each purpose, derived from the one that the user has. */
export class SealKeys {
  readonly #bytes: Buffer;
  readonly #names: Buffer;
  readonly #order: Buffer;
  readonly #roots: Buffer;
  /** Value by which a wrong key is recognised before anything is read or written. */
  readonly check: string;

  constructor(key: Uint8Array) {
    const derived = (purpose: string) => Buffer.from(hkdfSync('sha256', key, '', `trainstash ${purpose}`, KEY_BYTES));
    this.#bytes = derived('bytes');
    this.#names = derived('names');
    this.#order = derived('order of names');
    this.#roots = derived('roots');
    this.check = derived('check').toString('hex');
  }

  seal(key: string, bytes: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#bytes, nonce).setAAD(Buffer.from(key));
    const sealed = Buffer.allocUnsafeSlow(bytes.length + OVERHEAD_BYTES);
    MAGIC.copy(sealed);
    nonce.copy(sealed, MAGIC.length);
    // A cipher in counter mode gives as many bytes as it takes.
    const encrypted = cipher.update(bytes);
    sealed.set(encrypted, MAGIC.length + NONCE_BYTES);
    free(encrypted);
    cipher.final();
    cipher.getAuthTag().copy(sealed, sealed.length - TAG_BYTES);
    return sealed;
  }

  /** Returns the bytes; null: they were not sealed under this name with this key, or they were changed. */
  open(key: string, sealed: Uint8Array): Uint8Array<ArrayBuffer> | null {
    if (sealed.length < OVERHEAD_BYTES || !MAGIC.equals(sealed.subarray(0, MAGIC.length))) return null;
    const from = MAGIC.length + NONCE_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', this.#bytes, sealed.subarray(MAGIC.length, from))
      .setAAD(Buffer.from(key))
      .setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const plain = new Uint8Array(sealed.length - OVERHEAD_BYTES);
    plain.set(decipher.update(sealed.subarray(from, sealed.length - TAG_BYTES)));
    try {
      decipher.final();
      return plain;
    } catch {
      return null;
    }
  }

  /** Seals a path, part by part, each in the place where it stands. Equal paths give equal names. */
  sealPath(path: string): string {
    const parts = path.split('/');
    return parts.map((part, i) => this.#sealPart(parts.slice(0, i).join('/'), part)).join('/');
  }

  /** Opens a sealed path; null: it is none of ours. */
  openPath(sealed: string): string | null {
    let path = '';
    for (const part of sealed.split('/')) {
      const plain = this.#openPart(path, part);
      if (plain === null) return null;
      path = path === '' ? plain : `${path}/${plain}`;
    }
    return path;
  }

  /** Seals the names of a project's first commits, by which it is recognised. */
  sealRoots(roots: readonly string[] | null): string[] | null {
    return roots?.map((root) => createHmac('sha256', this.#roots).update(root).digest('hex')) ?? null;
  }

  #sealPart(parent: string, name: string): string {
    const iv = this.#ivOf(parent, name);
    const cipher = createCipheriv('aes-256-ctr', this.#names, iv);
    return encode(Buffer.concat([iv, cipher.update(name, 'utf8'), cipher.final()]));
  }

  #openPart(parent: string, part: string): string | null {
    const bytes = decode(part);
    if (!bytes || bytes.length <= NAME_IV_BYTES) return null;
    const iv = bytes.subarray(0, NAME_IV_BYTES);
    const decipher = createDecipheriv('aes-256-ctr', this.#names, iv);
    const name = Buffer.concat([decipher.update(bytes.subarray(NAME_IV_BYTES)), decipher.final()]).toString('utf8');
    return timingSafeEqual(this.#ivOf(parent, name), iv) ? name : null;
  }

  #ivOf(parent: string, name: string): Buffer {
    return createHmac('sha256', this.#order).update(`${parent}\0${name}`).digest().subarray(0, NAME_IV_BYTES);
  }
}

export class SealedDriver extends AroundDriver {
  readonly #name: string;
  readonly #load: () => Promise<SealKeys>;
  /** Keys that stay as they are: by them a remote is recognised before there is a key. */
  readonly #open: ReadonlySet<string>;
  #keys: Promise<SealKeys> | null = null;

  constructor(name: string, inner: Driver, open: readonly string[], load: () => Promise<SealKeys>) {
    super(inner);
    this.#name = name;
    this.#open = new Set(open);
    this.#load = load;
  }

  override async *list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    const keys = await this.#key();
    const end = prefix.lastIndexOf('/');
    const sealed = end < 0 ? '' : `${keys.sealPath(prefix.slice(0, end))}/`;
    for await (const { key, bytes, ...rest } of this.inner.list(sealed, signal)) {
      const plain = keys.openPath(key);
      if (plain?.startsWith(prefix)) yield { ...rest, key: plain, bytes: Math.max(0, bytes - OVERHEAD_BYTES) };
    }
  }

  override async get(key: string, { maxBytes, first, signal }: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#open.has(key)) return this.inner.get(key, { maxBytes, signal });
    const keys = await this.#key();
    // A part of it could not be checked, so all of it is read.
    const limit = first === undefined ? maxBytes : Math.max(maxBytes, MOST_FOR_A_PART_BYTES);
    const sealed = await this.inner.get(keys.sealPath(key), { maxBytes: limit + OVERHEAD_BYTES, signal });
    if (!sealed) return null;
    const plain = keys.open(key, sealed);
    if (!plain) throw damagedObject(this.#name, key, 'its bytes were changed, or were not encrypted with this key');
    return first === undefined ? plain : plain.subarray(0, first);
  }

  override async put(
    key: string,
    bytes: Uint8Array,
    { sha256: _, ...options }: PutOptions = {},
  ): Promise<'written' | 'taken'> {
    if (this.#open.has(key)) return this.inner.put(key, bytes, options);
    const keys = await this.#key();
    const sealed = keys.seal(key, bytes);
    if (options.takeOver) free(bytes);
    return this.inner.put(keys.sealPath(key), sealed, { ...options, takeOver: true });
  }

  override async delete(key: string, signal?: AbortSignal): Promise<void> {
    await this.inner.delete(await this.#sealed(key), signal);
  }

  override async stat(key: string, signal?: AbortSignal): Promise<Entry | null> {
    const entry = await this.inner.stat(await this.#sealed(key), signal);
    return entry && { ...entry, key, bytes: Math.max(0, entry.bytes - OVERHEAD_BYTES) };
  }

  async #sealed(key: string): Promise<string> {
    return this.#open.has(key) ? key : (await this.#key()).sealPath(key);
  }

  #key(): Promise<SealKeys> {
    this.#keys ??= this.#load().catch((error) => {
      // A keyring that was locked may be open the next time.
      this.#keys = null;
      throw error;
    });
    return this.#keys;
  }
}

/** Encodes bytes in letters and digits that no file system confuses: some do not tell small letters from capitals. */
function encode(bytes: Uint8Array): string {
  let text = '';
  let [value, bits] = [0, 0];
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

function decode(text: string): Buffer | null {
  const bytes: number[] = [];
  let [value, bits] = [0, 0];
  for (const letter of text) {
    const index = ALPHABET.indexOf(letter);
    if (index < 0) return null;
    value = ((value << 5) | index) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((value >> bits) & 255);
    }
  }
  return Buffer.from(bytes);
}
