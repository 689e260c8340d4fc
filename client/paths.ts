/** Where the daemon of this user on this host lives. The same answer for every client and for the daemon itself. */
import { createHash } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { homedir, hostname, tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { TrainstashError } from '../protocol/errors.ts';

/** The kernel's limit for a socket's path is 104 bytes on macOS, 108 on Linux. */
const MAX_SOCKET_PATH_BYTES = 103;
const NETWORK_TYPES = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x65735546, 0x6a656a63]);

export interface StatePaths {
  directory: string;
  socket: string;
  token: string;
  lock: string;
  record: string;
  log: string;
  runtimes: string;
  projects: string;
  /** What is known of TensorFlow.js back ends, and the packages of those that were set up. */
  backends: string;
}

/** Makes the directory, for this user alone. `TRAINSTASH_STATE` names another. Throws `stateUnusable`. */
export function statePaths(env: NodeJS.ProcessEnv = process.env): StatePaths {
  const directory = env.TRAINSTASH_STATE ? resolve(env.TRAINSTASH_STATE) : defaultDirectory(env);
  try {
    makeFolder(directory);
    // On purpose also when it existed: a token in a readable directory protects nothing.
    if (process.platform !== 'win32') chmodSync(directory, 0o700);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable(directory, error as NodeJS.ErrnoException);
  }
  const file = (name: string) => join(directory, name);
  return {
    directory,
    socket: socketPath(directory),
    token: file('token'),
    lock: file('daemon.lock'),
    record: file('daemon.json'),
    log: file('daemon.log'),
    runtimes: file('runtime'),
    projects: file('projects.json'),
    backends: file('backends'),
  };
}

function defaultDirectory(env: NodeJS.ProcessEnv): string {
  const home = homeOf(env);
  // A home shared by many hosts: sockets and locks belong to this one.
  if (isOnNetwork(home)) return join(tmpdir(), `trainstash-${userName()}`);
  // The standard says to ignore one that is not absolute.
  const given = env.XDG_STATE_HOME ?? '';
  const base = isAbsolute(given) ? given : join(home, '.local', 'state');
  return join(base, 'trainstash', machineId());
}

function homeOf(env: NodeJS.ProcessEnv): string {
  const given = process.platform === 'win32' ? homedir() : (env.HOME ?? '');
  if (isAbsolute(given)) return given;
  try {
    const known = userInfo().homedir;
    if (isAbsolute(known)) return known;
  } catch {
    // A container whose user has no name.
  }
  throw unusable('$HOME', new Error('it is not set'));
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'user');
  }
}

/** Node's own `recursive` never returns where a parent is there and takes nothing, as in /proc. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another client was faster.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'this user may not change it',
  EROFS: 'its file system is read-only',
  ENOENT: 'nothing can be made there',
  ENOTDIR: 'a part of its path is a file',
  ENOSPC: 'no space is left on its disk',
  EEXIST: 'there is a file in its place',
};

function unusable(path: string, error: NodeJS.ErrnoException): TrainstashError {
  const reason = REASONS[error.code ?? ''] ?? error.message;
  return new TrainstashError(
    'stateUnusable',
    `The folder for Trainstash's own state cannot be used: ${path} (${reason}). Nothing was changed. Name one that you may write to: TRAINSTASH_STATE=/some/folder`,
    { path, reason },
  );
}

function socketPath(directory: string): string {
  const digest = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\trainstash-${digest}`;
  const plain = join(directory, 'daemon.sock');
  if (Buffer.byteLength(plain) <= MAX_SOCKET_PATH_BYTES) return plain;
  const user = process.getuid?.();
  const short = join('/tmp', `trainstash-${user}`);
  makeFolder(short);
  // Somebody else may have made it first.
  if (statSync(short).uid !== user) return join(directory, 'daemon.sock');
  chmodSync(short, 0o700);
  return join(short, `${digest}.sock`);
}

function machineId(): string {
  for (const path of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const id = readFileSync(path, 'utf8').trim();
      if (id) return createHash('sha256').update(id).digest('hex').slice(0, 12);
    } catch {
      // Not on this system.
    }
  }
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 12);
}

function isOnNetwork(path: string): boolean {
  if (process.platform !== 'linux') return false;
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return NETWORK_TYPES.has(statfsSync(folder).type);
    } catch {
      if (dirname(folder) === folder) return false;
    }
  }
}
