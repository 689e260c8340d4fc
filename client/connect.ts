/** Finds the daemon, starts it if there is none, and says hello. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type CancellationToken,
  CancellationTokenSource,
  createMessageConnection,
  ProgressType,
  ResponseError,
} from 'vscode-jsonrpc/node';
import { BoundedMessageReader, DirectMessageWriter } from '../base/framing.ts';
import { inspectFlags } from '../base/inspect.ts';
import { type StatePaths, statePaths } from '../base/paths.ts';
import { privateRuntime } from '../base/runtime.ts';
import { fromWire, isError, TrainstashError, type WireError } from '../protocol/errors.ts';
import { randomId } from '../protocol/ids.ts';
import { daemonHandOver, daemonHello, type TaskProgress } from '../protocol/messages/daemon.ts';
import type { Notification, Request } from '../protocol/messages/request.ts';
import { type Build, compareBuilds, PROTOCOL_VERSION } from '../protocol/version.ts';

const START_TIMEOUT_MS = 15_000;
const HELLO_ATTEMPTS = 5;
const LOG_TAIL_BYTES = 2_000;
const TASK_PROGRESS = new ProgressType<TaskProgress>();

export interface ClientOptions {
  /** Name of the client in the daemon's log. */
  name: string;
  build: Build;
  /** Folder of the bundles to start a daemon from; null: never start one. */
  dist: string | null;
  /** Node binary that runs the daemon. */
  node?: string;
  env?: NodeJS.ProcessEnv;
}

/** Hears how far the daemon is with a request. */
export type Progress = (done: number, total: number) => void;

export interface Client {
  /**
   * Sends a request. Aborting cancels it: it rejects with `cancelled` once the daemon has undone its work. `progress` is
   * called for requests that have a `task`.
   */
  request<P, R>(message: Request<P, R>, params: P, signal?: AbortSignal, progress?: Progress): Promise<R>;
  on<P>(notification: Notification<P>, handler: (params: P) => void): void;
  /** Settles when the connection is closed, by either side. */
  readonly closed: Promise<void>;
  readonly daemon: Daemon;
  close(): void;
}

/** Daemon, as it has answered the greeting. */
interface Daemon {
  protocol: number;
  build: Build;
  pid: number;
}

/** Connection that carries our messages: a bare one, or that of a language client. */
export interface Carrier {
  sendRequest(method: string, params: unknown, token: CancellationToken): Promise<unknown>;
  onNotification(method: string, handler: (params: unknown) => void): unknown;
  onProgress<T>(type: ProgressType<T>, token: string, handler: (value: T) => void): { dispose(): void };
}

/** Socket on which only the greeting has been read; it is paused. */
export interface Stream {
  socket: Socket;
  daemon: Daemon;
}

/** Connects to the daemon, and starts it if there is none. Throws `daemonUnavailable`. */
export async function connect(options: ClientOptions): Promise<Client> {
  return (await greeted(options)).client;
}

/** Connects in the same way, for a language client, or the bridge to one. */
export async function connectStream(options: ClientOptions): Promise<Stream> {
  const { client, release } = await greeted(options);
  return { socket: release(), daemon: client.daemon };
}

/** Makes a client of a connection that something else has made. `closed` settles when that is closed. */
export function clientOver(
  carrier: Carrier,
  { daemon, closed, close }: Pick<Client, 'daemon' | 'closed' | 'close'>,
): Client {
  return {
    request: requester(carrier, closed, statePaths()),
    daemon,
    closed,
    on: ({ method }, handler) => void carrier.onNotification(method, handler as never),
    close,
  };
}

/** A connection on which both sides have said hello. */
interface Greeted {
  client: Client;
  /** Gives the socket away; the client is no longer to be used. */
  release(): Socket;
}

async function greeted(options: ClientOptions): Promise<Greeted> {
  const paths = statePaths(options.env);
  let handedOver = false;
  for (let attempt = 0; ; attempt++) {
    const socket = (await dial(paths)) ?? (await startDaemon(paths, options));
    const found = await hello(socket, paths, options).catch(async (error) => {
      // A daemon that is shutting down may still accept the connection: the next one will answer.
      if (!isError(error, 'daemonUnavailable') || attempt >= HELLO_ATTEMPTS) throw error;
      await delay(20 * attempt);
      return null;
    });
    if (found === null) continue;
    const { client } = found;
    if (handedOver || options.dist === null || compareBuilds(client.daemon.build, options.build) >= 0) return found;
    // This build is newer: the old daemon leaves, trainings continue, and the next round starts a new one.
    await client.request(daemonHandOver, { build: options.build });
    await client.closed;
    await untilGone(paths);
    handedOver = true;
  }
}

/** Connects to a daemon, or returns null if none answers. */
function dial(paths: StatePaths): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connectSocket(paths.socket);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

async function startDaemon(paths: StatePaths, options: ClientOptions): Promise<Socket> {
  if (options.dist === null) throw unavailable('no daemon is running', paths);
  const runtime = await privateRuntime(options.dist, paths.runtimes, options.build);
  const env = options.env ?? process.env;
  // Catches output from before the daemon's own log is open: a missing library, a syntax error of an old Node.
  const log = openSync(paths.log, 'a', 0o600);
  const child = spawn(
    options.node ?? process.execPath,
    // A large young generation would only keep garbage here: hundreds of megabytes after an hour's work.
    [
      '--max-semi-space-size=2',
      '--disable-warning=ExperimentalWarning',
      ...inspectFlags(0, env),
      join(runtime, 'daemon.js'),
    ],
    {
      cwd: paths.directory,
      detached: true,
      stdio: ['ignore', 'ignore', log],
      env: {
        ...env,
        TRAINSTASH_STATE: paths.directory,
        ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
      },
    },
  );
  closeSync(log);
  const ending: { reason: string | null } = { reason: null };
  child.once('error', (error) => {
    ending.reason = error.message;
  });
  // Exit 0 means it found another daemon that is just starting: that one will answer.
  child.once('exit', (code, signal) => {
    if (code !== 0) ending.reason = `it ended at once (${signal ?? `exit ${code}`})`;
  });
  child.unref();
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const socket = await dial(paths);
    if (socket) return socket;
    if (ending.reason !== null) throw unavailable(ending.reason, paths);
    if (Date.now() > deadline) throw unavailable(`it did not answer within ${START_TIMEOUT_MS / 1000} s`, paths);
    await delay(5);
  }
}

async function hello(socket: Socket, paths: StatePaths, options: ClientOptions): Promise<Greeted> {
  const reader = new BoundedMessageReader(socket);
  const connection = createMessageConnection(reader, new DirectMessageWriter(socket));
  const closed = new Promise<void>((resolve) => connection.onClose(resolve));
  // Without this a pending request would hang forever when the daemon dies.
  void closed.then(() => connection.dispose());
  connection.onError(() => {});
  connection.listen();
  const token = existsSync(paths.token) ? readFileSync(paths.token, 'utf8') : '';
  const request = requester(connection, closed, paths);
  const daemon = await request(daemonHello, {
    protocol: PROTOCOL_VERSION,
    build: options.build,
    token,
    client: options.name,
  });
  const client: Client = {
    request,
    daemon,
    closed,
    on: (notification, handler) => void connection.onNotification(notification.method, handler),
    close: () => socket.end(),
  };
  return {
    client,
    release: () => {
      reader.release();
      connection.dispose();
      return socket;
    },
  };
}

function requester(carrier: Carrier, closed: Promise<void>, paths: StatePaths): Client['request'] {
  let over = false;
  const gone = () => unavailable('the connection was closed', paths);
  // An error reads the end of the log: only requests that wait get one, not each that ever was.
  const waiting = new Set<() => void>();
  void closed.then(() => {
    over = true;
    for (const fail of waiting) fail();
  });
  return async (message, params, signal, progress) => {
    if (over) throw gone();
    if (signal?.aborted) throw new TrainstashError('cancelled', 'Cancelled. Nothing was changed.', {});
    const cancellation = new CancellationTokenSource();
    const cancel = () => cancellation.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    let fail = () => {};
    const lost = new Promise<never>((_, reject) => {
      fail = () => reject(gone());
    });
    waiting.add(fail);
    const task = randomId();
    const told = progress && carrier.onProgress(TASK_PROGRESS, task, ({ done, total }) => progress(done, total));
    const whole = progress ? { ...params, task } : params;
    try {
      const answer = carrier.sendRequest(message.method, whole, cancellation.token) as Promise<never>;
      return await Promise.race([answer, lost]);
    } catch (error) {
      if (error instanceof ResponseError && error.data) throw fromWire(error.data as WireError);
      // Whatever the library reports about a connection that was closed during a request, it means this.
      throw error instanceof TrainstashError ? error : gone();
    } finally {
      waiting.delete(fail);
      told?.dispose();
      signal?.removeEventListener('abort', cancel);
      cancellation.dispose();
    }
  };
}

async function untilGone(paths: StatePaths): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const socket = await dial(paths);
    if (!socket) return;
    socket.destroy();
    await delay(20);
  }
}

function unavailable(reason: string, paths: StatePaths): TrainstashError {
  const tail = logTail(paths.log);
  return new TrainstashError(
    'daemonUnavailable',
    `The daemon cannot be reached: ${reason}. Running trainings are not affected. Its log is ${paths.log}${tail ? `, which ends with:\n${tail}` : '.'}`,
    { reason, log: paths.log },
  );
}

function logTail(path: string): string {
  if (!existsSync(path)) return '';
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const buffer = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8').split('\n').slice(-6).join('\n').trim();
  } finally {
    closeSync(file);
  }
}
