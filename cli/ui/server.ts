/** The server of `trainstash ui`: pages, their streams, and what they send. It listens on 127.0.0.1 only. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import * as v from 'valibot';
import { fromShell, fromText, type ToShell, toText } from '../../webview-ui/wire.ts';
import { documentOf, ENTER_PAGE, pageOf } from './document.ts';
import { cookieName, type Kind, refusalOf, sameSecret } from './gate.ts';

const HOST = '127.0.0.1';
const MOST_BYTES = 256 * 1024;
const MOST_STREAMS = 32;
/** Size of what a stream may leave unread: a page that is suspended is ended, and loads again when it is back. */
const MOST_UNREAD = 64 << 20;
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  // Images that were checked, from the page's own memory.
  'img-src blob:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;
const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', css: 'text/css' };

/** One shown page, on this side. */
export interface Tab {
  take(message: unknown): unknown;
  answer(id: string, button: string | null, text: string): void;
  dispose(): void;
}

export interface UiOptions {
  /** Folder of the pages' bundles. */
  pages: string;
  /** Port; 0: a free one. */
  port: number;
  /** Makes the page of an address; null: there is none. */
  open(page: URL, post: (message: ToShell) => void): Tab | null;
  /** Makes the report about a run. */
  report(run: string): Promise<string>;
  /** Called when the token is used; `again`: it was used before, and is refused. */
  entered(again: boolean): void;
  failed(error: unknown): void;
}

export class UiServer {
  readonly #options: UiOptions;
  readonly #server: Server;
  readonly #assets: ReadonlyMap<string, Buffer>;
  readonly #secret = randomBytes(32).toString('base64url');
  readonly #token = randomBytes(32).toString('base64url');
  readonly #tabs = new Map<string, Tab>();
  #isUsed = false;
  #port = 0;

  constructor(options: UiOptions) {
    this.#options = options;
    const names = readdirSync(options.pages).filter((name) => /\.(js|css)$/.test(name));
    this.#assets = new Map(names.map((name) => [`/assets/${name}`, readFileSync(join(options.pages, name))]));
    this.#server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: 30_000 }, (request, response) => {
      this.#answer(request, response).catch((error) => {
        options.failed(error);
        if (!response.headersSent) send(response, 500, 'text/plain', 'This has failed; the terminal says why.');
        else response.destroy();
      });
    });
    this.#server.maxConnections = 4 * MOST_STREAMS;
  }

  /** Starts to listen. Returns the address with the one-time token. */
  async listen(): Promise<{ port: number; link: string }> {
    const listening = Promise.withResolvers<void>();
    this.#server.once('error', listening.reject);
    this.#server.listen(this.#options.port, HOST, () => listening.resolve());
    await listening.promise;
    this.#port = (this.#server.address() as AddressInfo).port;
    // A fragment is sent to no server and to no other page.
    return { port: this.#port, link: `http://${HOST}:${this.#port}/enter#${this.#token}` };
  }

  close(): void {
    for (const tab of this.#tabs.values()) tab.dispose();
    this.#tabs.clear();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = urlOf(request.url ?? '/');
    if (!url) return send(response, 400, 'text/plain', 'Not an address.');
    const { pathname } = url;
    const kind = kindOf(pathname);
    const asked = { method: request.method ?? '', headers: request.headers };
    const refused = refusalOf(kind, asked, { port: this.#port, secret: this.#secret });
    if (refused) return send(response, refused.status, 'text/plain', `${refused.text}\n`);
    if (pathname === '/session') return this.#enter(request, response);
    if (pathname === '/stream') return this.#stream(url, response);
    if (pathname === '/said') return this.#said(url, request, response);
    if (pathname === '/enter') return send(response, 200, 'text/html', ENTER_PAGE);
    const asset = this.#assets.get(pathname);
    if (asset) return send(response, 200, TYPES[pathname.split('.').at(-1)!]!, asset);
    const report = /^\/report\/([\w-]{1,100})$/.exec(pathname)?.[1];
    if (report) return this.#report(report, response);
    const page = pageOf(url);
    if (!page) return send(response, 404, 'text/plain', 'There is no such page.\n');
    send(response, 200, 'text/html', documentOf(page.script));
  }

  async #enter(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const given = await bodyOf(request);
    if (given === null) return send(response, 413, 'text/plain', 'Too large.');
    if (!sameSecret(given, this.#token)) return send(response, 403, 'text/plain', 'This link is not right.');
    this.#options.entered(this.#isUsed);
    if (this.#isUsed)
      return send(response, 403, 'text/plain', 'This link was used already. Stop trainstash ui and start it again.');
    this.#isUsed = true;
    const cookie = `${cookieName(this.#port)}=${this.#secret}; HttpOnly; SameSite=Strict; Path=/`;
    response.writeHead(204, { ...HEADERS, 'set-cookie': cookie }).end();
  }

  #stream(url: URL, response: ServerResponse): void {
    const page = urlOf(url.searchParams.get('page') ?? '');
    if (this.#tabs.size >= MOST_STREAMS) {
      send(response, 429, 'text/plain', 'Too many pages are open.');
      return;
    }
    const id = randomBytes(16).toString('base64url');
    const post = (message: ToShell) => {
      if (response.writableLength > MOST_UNREAD) response.destroy();
      else if (!response.destroyed) response.write(`data: ${toText(message)}\n\n`);
    };
    const tab = page && this.#options.open(page, post);
    if (!tab) {
      send(response, 404, 'text/plain', 'There is no such page.');
      return;
    }
    this.#tabs.set(id, tab);
    response.on('close', () => {
      this.#tabs.delete(id);
      tab.dispose();
    });
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    post({ kind: 'hello', tab: id });
  }

  async #said(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const tab = this.#tabs.get(url.searchParams.get('tab') ?? '');
    if (!tab) return send(response, 404, 'text/plain', 'This page is gone.');
    const body = await bodyOf(request);
    if (body === null) return send(response, 413, 'text/plain', 'Too large.');
    const parsed = v.safeParse(fromShell, readable(body));
    if (!parsed.success) return send(response, 400, 'text/plain', 'Not a message.');
    response.writeHead(204, HEADERS).end();
    const message = parsed.output;
    if (message.kind === 'answer') tab.answer(message.id, message.button, message.text);
    else await tab.take(message.message);
  }

  async #report(run: string, response: ServerResponse): Promise<void> {
    const page = await this.#options.report(run);
    response.setHeader('content-disposition', 'attachment; filename="trainstash-report.html"');
    send(response, 200, 'text/html', page);
  }
}

function kindOf(pathname: string): Kind {
  if (pathname === '/session') return 'exchange';
  if (pathname === '/stream') return 'stream';
  if (pathname === '/said') return 'send';
  return pathname === '/enter' || pathname.startsWith('/assets/') ? 'open' : 'page';
}

function urlOf(text: string): URL | null {
  return /^\/(?!\/)/.test(text) && URL.canParse(text, 'http://page') ? new URL(text, 'http://page') : null;
}

function readable(text: string): unknown {
  try {
    return fromText(text);
  } catch {
    return null;
  }
}

/** Reads a body; null: it is too large, and the rest is not read. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MOST_BYTES) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8` }).end(body);
}
