/** Driver for buckets of any S3-compatible server. Each object is one request; a server's promises are not relied on. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { TrainstashError } from '../../../protocol/errors.ts';
import {
  type Driver,
  damagedObject,
  denied,
  type Entry,
  full,
  type GetOptions,
  gone,
  type PutOptions,
  unreachable,
} from './driver.ts';
import { CredentialSource, NoCredentials, profileSettings, type Variables } from './s3-credentials.ts';
import { type HttpAnswer, send, TooLarge } from './s3-http.ts';
import { errorOf, listPage, type S3Error } from './s3-xml.ts';

const ATTEMPTS = 6;
const FIRST_PAUSE_MS = 200;
const MAX_LIST_BYTES = 16 << 20;
const MAX_ERROR_BYTES = 64 << 10;
const MAX_PAGES = 100_000;
const SOCKETS = 16;
const EMPTY_SHA256 = createHash('sha256').digest('hex');
/** Codes of errors that say that the server has no room left. */
const FULL = /quota|storagefull|insufficientstorage|entitytoolarge.*account|notenoughspace/i;
/** Errors of the network, after which a request is sent again. */
const TRANSIENT = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
]);

export interface S3Place {
  bucket: string;
  /** Start of all keys: empty, or with a slash at its end. */
  prefix: string;
  endpoint?: string | undefined;
  region?: string | undefined;
  profile?: string | undefined;
}

interface Asked {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** Key without the prefix; empty: the bucket. */
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Uint8Array;
  sha256?: string | undefined;
  maxBytes: number;
  cut?: boolean;
  signal?: AbortSignal | undefined;
  /** Statuses that the caller understands, beside those below 300. */
  understands?: readonly number[];
}

export class S3Driver implements Driver {
  readonly #name: string;
  readonly #place: S3Place;
  readonly #variables: () => Variables;
  readonly #credentials: CredentialSource;
  #agent: Agent | null = null;
  #region: string | null = null;
  /** Difference between the server's clock and this one's, once the server has complained. */
  #skewMs = 0;

  constructor(name: string, place: S3Place, variables: () => Variables) {
    this.#name = name;
    this.#place = place;
    this.#variables = variables;
    this.#credentials = new CredentialSource(variables, place.profile);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    const seen = new Set<string>();
    let token: string | null = null;
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const query: Record<string, string> = { 'list-type': '2', prefix: this.#place.prefix + prefix };
      if (token !== null) query['continuation-token'] = token;
      const { body } = await this.#ask({ method: 'GET', query, maxBytes: MAX_LIST_BYTES, signal });
      const page = listPage(Buffer.from(body).toString('utf8'));
      if (!page) throw damagedObject(this.#name, `the list of ${prefix || 'everything'}`, 'it is no list');
      for (const { key, ...entry } of page.entries)
        if (key.startsWith(this.#place.prefix + prefix)) yield { ...entry, key: key.slice(this.#place.prefix.length) };
      if (page.next === null) return;
      if (seen.has(page.next)) throw damagedObject(this.#name, `the list of ${prefix}`, 'it never ends');
      seen.add(page.next);
      token = page.next;
    }
  }

  async get(key: string, { maxBytes, first, signal }: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    const cut = first !== undefined;
    const asked: Asked = { method: 'GET', key, maxBytes: Math.min(maxBytes, first ?? maxBytes), cut, signal };
    const headers: Record<string, string> = cut ? { range: `bytes=0-${first - 1}` } : {};
    const ranged = await this.#ask({ ...asked, headers, understands: cut ? [400, 404, 416] : [404] });
    // An empty object has no such range, and some servers have none that ends behind the object. Then the rest is not read.
    const isRefused = ranged.status === 400 || ranged.status === 416;
    const { status, body } = isRefused ? await this.#ask({ ...asked, understands: [404] }) : ranged;
    return status === 404 ? null : body;
  }

  async put(
    key: string,
    bytes: Uint8Array,
    { sha256, ifAbsent, signal }: PutOptions = {},
  ): Promise<'written' | 'taken'> {
    const headers: Record<string, string> = ifAbsent ? { 'if-none-match': '*' } : {};
    const understands = ifAbsent ? [409, 412, 501] : [];
    const hash = sha256 ?? createHash('sha256').update(bytes).digest('hex');
    const asked: Asked = { method: 'PUT', key, body: bytes, sha256: hash, maxBytes: MAX_ERROR_BYTES, signal };
    const { status } = await this.#ask({ ...asked, headers, understands });
    if (status < 300) return 'written';
    if (status !== 501) return 'taken';
    // It knows no conditions: two writers may both believe that they were first.
    if (await this.stat(key, signal)) return 'taken';
    await this.#ask(asked);
    return 'written';
  }

  /** Does nothing: an object that was acknowledged is durable. */
  async settle(): Promise<void> {}

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    await this.#ask({ method: 'DELETE', key, maxBytes: MAX_ERROR_BYTES, signal, understands: [404] });
  }

  async stat(key: string, signal?: AbortSignal): Promise<Entry | null> {
    const { status, headers } = await this.#ask({ method: 'HEAD', key, maxBytes: 0, signal, understands: [404] });
    if (status === 404) return null;
    return {
      key,
      bytes: Number(headers['content-length'] ?? 0),
      changedAt: Date.parse(headers['last-modified'] ?? '') || 0,
    };
  }

  async now(): Promise<number> {
    const { headers } = await this.#look();
    const at = Date.parse(headers.date ?? '');
    return Number.isNaN(at) ? Date.now() : at;
  }

  /** Makes no bucket: who pays for it, and where it is, is not for us to decide. */
  async create(): Promise<void> {
    throw gone(this.#name, `The bucket ${this.#place.bucket}`);
  }

  async exists(): Promise<boolean> {
    try {
      await this.#look();
      return true;
    } catch (error) {
      if (error instanceof TrainstashError && error.code === 'remoteGone') return false;
      throw error;
    }
  }

  close(): void {
    this.#agent?.destroy();
    this.#agent = null;
  }

  /** Lists next to nothing, which needs no more rights than everything else. */
  #look(): Promise<HttpAnswer> {
    const query = { 'list-type': '2', 'max-keys': '1', prefix: this.#place.prefix };
    return this.#ask({ method: 'GET', query, maxBytes: MAX_LIST_BYTES });
  }

  async #ask(asked: Asked): Promise<HttpAnswer> {
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      asked.signal?.throwIfAborted();
      let answer: HttpAnswer;
      try {
        answer = await this.#send(asked);
      } catch (error) {
        const problem = this.#asOurs(error, asked);
        if (problem.code !== 'remoteUnreachable' || attempt >= ATTEMPTS || !TRANSIENT.has(codeOf(error))) throw problem;
        await this.#pause(attempt, asked.signal);
        continue;
      }
      const { status, headers, body } = answer;
      if (status < 300 || asked.understands?.includes(status)) {
        // A bucket that is gone is no missing object.
        if (status !== 404 || errorOf(text(body)).code !== 'NoSuchBucket') return answer;
      }
      const error = errorOf(text(body));
      const isBusy = status >= 500 || status === 429 || error.code === 'SlowDown' || error.code === 'RequestTimeout';
      if (isBusy && status !== 501 && status !== 507 && !FULL.test(error.code) && attempt < ATTEMPTS) {
        await this.#pause(attempt, asked.signal);
        continue;
      }
      if (!renewed && this.#corrects(answer, error)) {
        renewed = true;
        continue;
      }
      throw this.#refused(status, error, String(headers.date ?? ''));
    }
  }

  /** Corrects what a server complains about, where that is possible: the clock, the region, credentials that have ended. */
  #corrects({ headers }: HttpAnswer, { code }: S3Error): boolean {
    if (code === 'RequestTimeTooSkewed') {
      const at = Date.parse(headers.date ?? '');
      this.#skewMs = Number.isNaN(at) ? 0 : at - Date.now();
      return this.#skewMs !== 0;
    }
    const region = headers['x-amz-bucket-region'];
    if (typeof region === 'string' && /^[\w-]{1,64}$/.test(region) && region !== this.#regionNow()) {
      this.#region = region;
      return true;
    }
    if (code !== 'ExpiredToken' && code !== 'InvalidAccessKeyId' && code !== 'TokenRefreshRequired') return false;
    this.#credentials.forget();
    return true;
  }

  async #send({
    method,
    key,
    query = {},
    headers = {},
    body,
    sha256,
    maxBytes,
    cut,
    signal,
  }: Asked): Promise<HttpAnswer> {
    const { accessKeyId, secretAccessKey, sessionToken } = await this.#credentials.get();
    const url = this.#url(key);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const all = { ...headers, 'x-amz-content-sha256': sha256 ?? EMPTY_SHA256 };
    const signed = await new AwsV4Signer({
      method,
      url: url.href,
      headers: all,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      service: 's3',
      region: this.#regionNow(),
      datetime: new Date(Date.now() + this.#skewMs).toISOString().replaceAll(/[:-]|\.\d{3}/g, ''),
      cache: this.#keys,
    }).sign();
    const length: Record<string, string> = method === 'PUT' ? { 'content-length': String(body?.length ?? 0) } : {};
    const bounds = {
      maxBytes: maxBytes > 0 ? maxBytes : MAX_ERROR_BYTES,
      over: cut ? ('cut' as const) : ('throw' as const),
    };
    const sentHeaders = { ...Object.fromEntries(signed.headers), ...length };
    return send({ method, url: signed.url, headers: sentHeaders, body, agent: this.#agentNow(), signal, ...bounds });
  }

  /** Signing keys by day, which the signer computes once. */
  readonly #keys = new Map<string, ArrayBuffer>();

  #url(key: string | undefined): URL {
    const { bucket, prefix, endpoint } = this.#place;
    const path = key === undefined ? '' : (prefix + key).split('/').map(encodeURIComponent).join('/');
    const base = endpoint ?? this.#variables().AWS_ENDPOINT_URL_S3 ?? this.#variables().AWS_ENDPOINT_URL;
    if (base) return new URL(`${base.replace(/\/$/, '')}/${bucket}/${path}`);
    // A name with a dot does not fit Amazon's certificate.
    if (bucket.includes('.')) return new URL(`https://s3.${this.#regionNow()}.amazonaws.com/${bucket}/${path}`);
    return new URL(`https://${bucket}.s3.${this.#regionNow()}.amazonaws.com/${path}`);
  }

  #regionNow(): string {
    const variables = this.#variables();
    const { region, profile } = this.#place;
    const known = this.#region ?? region ?? variables.AWS_REGION ?? variables.AWS_DEFAULT_REGION;
    return known || profileSettings(variables, profile ?? variables.AWS_PROFILE).region || 'us-east-1';
  }

  #agentNow(): Agent {
    if (this.#agent) return this.#agent;
    const bundle = this.#variables().AWS_CA_BUNDLE;
    const options = { keepAlive: true, maxSockets: SOCKETS };
    const isPlain = this.#url(undefined).protocol === 'http:';
    this.#agent = isPlain
      ? new Agent(options)
      : new SecureAgent({ ...options, ...(bundle ? { ca: readFileSync(bundle) } : {}) });
    return this.#agent;
  }

  async #pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const ms = FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
    await delay(ms, undefined, signal ? { signal } : {});
  }

  #asOurs(error: unknown, { key }: Asked): TrainstashError {
    if (error instanceof TrainstashError) return error;
    if (error instanceof NoCredentials) return denied(this.#name, error.message);
    if (error instanceof TooLarge)
      return damagedObject(this.#name, key ?? 'a list', 'it is larger than such an object can be');
    if ((error as Error).name === 'AbortError') throw error;
    return unreachable(this.#name, reasonOf(error));
  }

  #refused(status: number, { code, message }: S3Error, date: string): TrainstashError {
    if (code === 'NoSuchBucket' || (status === 404 && code === ''))
      return gone(this.#name, `The bucket ${this.#place.bucket}`);
    if (status === 507 || FULL.test(code)) return full(this.#name);
    if (code === 'RequestTimeTooSkewed')
      return denied(this.#name, `the clock of this machine is wrong (here ${new Date().toUTCString()}, there ${date})`);
    const said = [code || `status ${status}`, message].filter(Boolean).join(': ');
    if (status >= 500 || status === 429) return unreachable(this.#name, said);
    return denied(this.#name, said);
  }
}

function text(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code ?? '');
}

/** Describes an error of the network. Several addresses that all fail are one error with an empty message. */
function reasonOf(error: unknown): string {
  const { message, code, errors } = error as Error & { code?: string; errors?: Error[] };
  return message || errors?.map((one) => one.message).join(', ') || code || 'unknown error';
}
