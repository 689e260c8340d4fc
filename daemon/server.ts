/** Serves clients: framing, hello, requests. Knows messages, not their meaning. */
import { timingSafeEqual } from 'node:crypto';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import * as v from 'valibot';
import { type CancellationToken, createMessageConnection, ProgressType, ResponseError } from 'vscode-jsonrpc/node';
import { BoundedMessageReader, DirectMessageWriter } from '../base/framing.ts';
import { TrainstashError, toWire } from '../protocol/errors.ts';
import { daemonHello, type TaskProgress } from '../protocol/messages/daemon.ts';
import { MAX_DOCUMENT_BYTES, type Request } from '../protocol/messages/request.ts';
import { type Build, compareBuilds, PROTOCOL_VERSION } from '../protocol/version.ts';
import type { ClientInfo, Clients, Connected } from './clients.ts';
import { type LanguagePeer, type LanguageService, UnknownMethod } from './language/peer.ts';

const HELLO_TIMEOUT_MS = 5_000;
const ERROR_CODE = -32000;
const TASK_PROGRESS = new ProgressType<TaskProgress>();

/** Params of `initialize` by which an editor asks for our own notifications as well. */
const HEARS = v.object({ initializationOptions: v.object({ notifications: v.literal(true) }) });

export interface ServerSetup {
  socket: string;
  token: string;
  build: Build;
  log(text: string): void;
  clients: Clients;
  handlers: ReadonlyMap<string, Handler>;
  /** Makes the language server of a client that asks for one with `initialize`. */
  language?(peer: LanguagePeer): LanguageService;
  /** Called whenever the number of clients changes; `left` is the client that has gone. */
  clientsChanged(left: ClientInfo | null): void;
}

export interface Handler {
  message: Request<unknown, unknown>;
  handle(params: unknown, client: ClientInfo, task: Task): unknown;
  /** True if read-only clients may send it. */
  reads: boolean;
}

/** Request as seen by its handler. */
export interface Task {
  /** Signal that the client cancels or leaves. */
  signal: AbortSignal;
  /** Reports progress to the client, if the request has a name in `task`. */
  progress(done: number, total: number): void;
}

export class MessageServer {
  readonly #setup: ServerSetup;
  #server: Server | null = null;

  constructor(setup: ServerSetup) {
    this.#setup = setup;
  }

  async listen(): Promise<void> {
    removeStaleSocket(this.#setup.socket);
    const server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#setup.socket, resolve);
    });
    if (process.platform !== 'win32') chmodSync(this.#setup.socket, 0o600);
    this.#server = server;
  }

  /** Tells whether the socket's file is still there: temporary directories are cleaned up. */
  socketIsThere(): boolean {
    return process.platform === 'win32' || lstatSync(this.#setup.socket, { throwIfNoEntry: false }) !== undefined;
  }

  async relisten(): Promise<void> {
    this.#server?.close();
    await this.listen();
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const closed = new Promise((resolve) => (server ? server.close(resolve) : resolve(null)));
    for (const socket of this.#setup.clients.sockets) socket.end();
    const closeTimeout = setTimeout(() => {
      for (const socket of this.#setup.clients.sockets) socket.destroy();
    }, 500);
    await closed;
    clearTimeout(closeTimeout);
  }

  #accept(socket: Socket): void {
    const reader = new BoundedMessageReader(socket);
    const connection = createMessageConnection(reader, new DirectMessageWriter(socket));
    const left = new AbortController();
    const connected: Connected = { socket, reader, connection, language: null, hears: true, client: null, left };
    this.#setup.clients.add(connected);
    const helloTimeout = setTimeout(() => {
      if (!connected.client) socket.destroy();
    }, HELLO_TIMEOUT_MS);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(helloTimeout);
      this.#setup.clients.delete(connected);
      connected.left.abort();
      connected.language?.dispose();
      connection.dispose();
      if (connected.client) this.#setup.clientsChanged(connected.client);
    });
    connection.onError(() => {});
    connection.onRequest((method, params, token) => this.#handle(connected, method, params, token));
    // `exit` and `shutdown` of a language client mean that this client leaves, not that the daemon should.
    connection.onNotification((method, params) => connected.language?.take(method, params));
    connection.listen();
  }

  async #handle(connected: Connected, method: string, params: unknown, token: CancellationToken): Promise<unknown> {
    try {
      if (method === daemonHello.method) return this.#hello(connected, checked(daemonHello, params));
      if (!connected.client) throw new TrainstashError('unauthorized', 'Say hello first.', {});
      if (method === 'initialize') this.#speakLanguage(connected, params);
      const handler = this.#setup.handlers.get(method);
      if (!handler && connected.language) return await connected.language.answer(method, params);
      if (!handler)
        throw new TrainstashError('invalidParams', `There is no message "${method}".`, {
          method,
          problem: 'unknown method',
        });
      if (connected.client.readOnly && !handler.reads) {
        const { build } = connected.client;
        throw new TrainstashError(
          'clientTooOld',
          `The running daemon is newer (${this.#setup.build.version}) than this client (${build.version}), which may read but not change anything. Update Trainstash here.`,
          { daemon: this.#setup.build.version, client: build.version },
        );
      }
      const task = taskOf(connected, params, token);
      return (await handler.handle(checked(handler.message, params), connected.client, task)) ?? null;
    } catch (error) {
      if (error instanceof UnknownMethod) return new ResponseError(error.code, error.message);
      if (!(error instanceof TrainstashError)) this.#setup.log(`${method} failed: ${(error as Error)?.stack ?? error}`);
      const wire = toWire(error);
      return new ResponseError(ERROR_CODE, wire.message, wire);
    }
  }

  /** Makes the client's language server. Its documents may be larger than any other message. */
  #speakLanguage(connected: Connected, params: unknown): void {
    const { connection, reader, language } = connected;
    if (language || !this.#setup.language) return;
    connected.hears = v.is(HEARS, params);
    reader.allow(MAX_DOCUMENT_BYTES);
    connected.language = this.#setup.language({
      notify: (method, params) => void connection.sendNotification(method, params).catch(() => {}),
      ask: (method, params) => void connection.sendRequest(method, params).catch(() => {}),
    });
  }

  #hello(connected: Connected, params: { protocol: number; build: Build; token: string; client: string }) {
    const { build, token } = this.#setup;
    const given = Buffer.from(params.token);
    const wanted = Buffer.from(token);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      setImmediate(() => connected.socket.end());
      throw new TrainstashError(
        'unauthorized',
        'The token is wrong: this daemon belongs to another user, or was restarted.',
        {},
      );
    }
    if (params.protocol > PROTOCOL_VERSION && compareBuilds(params.build, build) < 0)
      throw new TrainstashError('invalidParams', 'A newer protocol from an older build.', {
        method: 'daemon/hello',
        problem: 'protocol',
      });
    connected.client = { name: params.client, build: params.build, readOnly: params.protocol < PROTOCOL_VERSION };
    this.#setup.clientsChanged(null);
    return { protocol: PROTOCOL_VERSION, build, pid: process.pid };
  }
}

function taskOf({ connection, left }: Connected, params: unknown, token: CancellationToken): Task {
  const name = (params as { task?: unknown } | null)?.task;
  const cancelled = new AbortController();
  token.onCancellationRequested(() => cancelled.abort());
  return {
    signal: AbortSignal.any([left.signal, cancelled.signal]),
    progress: (done, total) => {
      if (typeof name !== 'string') return;
      void connection.sendProgress(TASK_PROGRESS, name, { done, total }).catch(() => {});
    },
  };
}

function checked<P>(message: Request<P, unknown>, params: unknown): P {
  const result = v.safeParse(message.schema, params);
  if (result.success) return result.output as P;
  const issue = result.issues[0]!;
  const path = (issue.path ?? []).map((item) => String(item.key)).join('.');
  throw new TrainstashError('invalidParams', `${message.method}: ${path || 'params'}: ${issue.message}`, {
    method: message.method,
    problem: `${path}: ${issue.message}`,
  });
}

/**
 * Removes a leftover socket: this process holds the daemon's lock, so no daemon uses it. Refuses to remove anything
 * else.
 */
function removeStaleSocket(path: string): void {
  if (process.platform === 'win32') return;
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket()) throw new Error(`${path} is not a socket; move it away`);
  rmSync(path);
}
