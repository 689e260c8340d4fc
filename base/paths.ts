/** Paths of this user's daemon on this host. Every client and the daemon itself get the same result. */
import { createHash } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync, readFileSync, statSync } from 'node:fs';
import { homedir, hostname, tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { TrainstashError } from '../protocol/errors.ts';
import { networkFileSystem } from './network-file-systems.ts';

/** Limit for a socket's path: the kernel allows 104 bytes on macOS, 108 on Linux. */
const MAX_SOCKET_PATH_BYTES = 103;

export interface StatePaths {
  directory: string;
  socket: string;
  token: string;
  lock: string;
  record: string;
  log: string;
  runtimes: string;
  projects: string;
  /** Folder for results about TensorFlow.js backends, and for the packages of those that were installed. */
  backends: string;
}

/** Creates the directory, for this user only, and returns its paths. `TRAINSTASH_STATE` overrides it. Throws `stateUnusable`. */
export function statePaths(env: NodeJS.ProcessEnv = process.env): StatePaths {
  const directory = env.TRAINSTASH_STATE ? resolve(env.TRAINSTASH_STATE) : defaultDirectory(env);
  try {
    makeFolder(directory);
    // Done on purpose for an existing directory too: a token in a readable directory protects nothing.
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

/** Returns the state directory of somebody who names none. */
export function defaultDirectory(env: NodeJS.ProcessEnv): string {
  const home = homeOf(env);
  // Many hosts may share a home directory on a network: sockets and locks belong to this host.
  if (isOnNetwork(home)) return join(tmpdir(), `trainstash-${userName()}`);
  // The standard says to ignore a path that is not absolute.
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
    // The container's user has no name.
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

/** Creates a folder. Node's `recursive` never returns where a parent exists but takes no entries, as in /proc. */
export function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another client may have been faster.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'this user is not allowed to change it',
  EROFS: 'its file system is read-only',
  ENOENT: 'nothing can be created there',
  ENOTDIR: 'a part of its path is a file',
  ENOSPC: 'no space is left on its disk',
  EEXIST: 'there is a file in its place',
};

/** Says why a folder cannot be used, in a clause. */
export function folderProblem(error: NodeJS.ErrnoException): string {
  return REASONS[error.code ?? ''] ?? error.message;
}

function unusable(path: string, error: NodeJS.ErrnoException): TrainstashError {
  const reason = folderProblem(error);
  return new TrainstashError(
    'stateUnusable',
    `The folder for Trainstash's own state cannot be used: ${path} (${reason}). Nothing was changed. Set TRAINSTASH_STATE to a folder that you can write to: TRAINSTASH_STATE=/some/folder`,
    { path, reason },
  );
}

function socketPath(directory: string): string {
  const digest = () => createHash('sha256').update(directory).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\trainstash-${digest()}`;
  const plain = join(directory, 'daemon.sock');
  if (Buffer.byteLength(plain) <= MAX_SOCKET_PATH_BYTES) return plain;
  const user = process.getuid?.();
  const short = join('/tmp', `trainstash-${user}`);
  makeFolder(short);
  // Another user may have created it first.
  if (statSync(short).uid !== user) return join(directory, 'daemon.sock');
  chmodSync(short, 0o700);
  return join(short, `${digest()}.sock`);
}

function machineId(): string {
  for (const path of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const id = readFileSync(path, 'utf8').trim();
      if (id) return createHash('sha256').update(id).digest('hex').slice(0, 12);
    } catch {
      // The file does not exist on this system.
    }
  }
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 12);
}

function isOnNetwork(path: string): boolean {
  if (process.platform !== 'linux') return false;
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return networkFileSystem(folder) !== null;
    } catch {
      if (dirname(folder) === folder) return false;
    }
  }
}
