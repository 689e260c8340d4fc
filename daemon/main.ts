/** Entry of the daemon process. Composes the parts; the only file of the daemon that ends the process. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD } from '../base/build.ts';
import { readJson, writeJson } from '../base/files.ts';
import { HeldLock } from '../base/lock.ts';
import { openLog } from '../base/log.ts';
import { statePaths } from '../base/paths.ts';
import { pruneRuntimes } from '../base/runtime.ts';
import { daemonLeaving } from '../protocol/messages/daemon.ts';
import { Clients } from './clients.ts';
import { Daemon } from './daemon.ts';
import { makeHandlers } from './handlers/all.ts';
import { languageServers } from './handlers/language.ts';
import { MessageServer } from './server.ts';

const IDLE_EXIT_MS = Number(process.env.TRAINSTASH_IDLE_EXIT_MS ?? 300_000);
const CHECK_MS = Math.min(5_000, IDLE_EXIT_MS);

async function main(): Promise<void> {
  const paths = statePaths();
  const log = openLog(paths.log);
  const lock = HeldLock.tryAcquire(paths.lock);
  // Another daemon of this user is running or starting: that one will answer.
  if (!lock) process.exit(0);

  let stopping = false;
  let idleSince = Date.now();
  const runtime = dirname(fileURLToPath(import.meta.url));
  const quota = Number(process.env.TRAINSTASH_QUOTA_BYTES);
  const clients = new Clients(log);
  const daemon = new Daemon({
    clients,
    paths,
    build: BUILD,
    runtime,
    log,
    stop: (reason) => void stop(reason),
    quotaBytes: quota > 0 ? quota : undefined,
  });
  const server = new MessageServer({
    socket: paths.socket,
    token: readToken(paths.token),
    build: BUILD,
    log,
    clients,
    handlers: makeHandlers(daemon),
    language: languageServers(daemon, runtime, log),
    clientsChanged: (left) => {
      idleSince = Date.now();
      if (left) daemon.clientLeft(left);
    },
  });

  async function stop(reason: string): Promise<void> {
    if (stopping) return;
    stopping = true;
    log(`stopping: ${reason}`);
    clients.notify(daemonLeaving, { reason: reason === 'asked' || reason === 'handOver' ? reason : 'other' });
    await server.close();
    await daemon.close().catch((error: Error) => log(`while closing: ${error.stack}`));
    if ((readJson(paths.record) as { pid?: number } | null)?.pid === process.pid) rmSync(paths.record, { force: true });
    rmSync(paths.socket, { force: true });
    lock!.release();
    process.exit(0);
  }

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop(signal));
  // A bug in one request must not take the other projects with it.
  process.on('uncaughtException', (error) => log(`uncaught: ${error.stack}`));
  process.on('unhandledRejection', (error) => log(`unhandled: ${(error as Error)?.stack ?? error}`));

  await server.listen();
  writeJson(paths.record, { pid: process.pid, build: BUILD, socket: paths.socket, startedAt: daemon.startedAt });
  log(`started, pid ${process.pid}, version ${BUILD.version}, Node ${process.version}`);
  await daemon.openUnfinished();

  setInterval(async () => {
    if (stopping) return;
    // Without it no client can find the daemon.
    if (!existsSync(paths.directory)) return stop('its state directory is gone');
    if (!server.socketIsThere()) await server.relisten().catch((error: Error) => log(`socket: ${error.message}`));
    await daemon.closeIdleProjects();
    daemon.packWhileIdle();
    daemon.lookAtQueue();
    if (clients.count > 0 || daemon.busy) {
      idleSince = Date.now();
      return;
    }
    if (Date.now() - idleSince < IDLE_EXIT_MS) return;
    if (existsSync(paths.runtimes)) pruneRuntimes(paths.runtimes, runtime);
    await stop('idle');
  }, CHECK_MS);
}

function readToken(path: string): string {
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('hex'), { mode: 0o600 });
  return readFileSync(path, 'utf8');
}

// A daemon that cannot start must exit: it would hold the lock, and nobody could reach it.
await main().catch((error: Error) => {
  // This goes to the daemon's log, whose end the waiting client shows.
  console.error(`cannot start: ${error.message}`);
  process.exit(1);
});
