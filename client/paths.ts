/** Where the daemon of this user on this host lives. The same answer for every client and for the daemon itself. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { homedir, hostname, tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';

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

/** Makes the directory, for this user alone. `TRAINSTASH_STATE` names another. */
export function statePaths(env: NodeJS.ProcessEnv = process.env): StatePaths {
  const directory = env.TRAINSTASH_STATE ?? defaultDirectory(env);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // On purpose also when it existed: a token in a readable directory protects nothing.
  if (process.platform !== 'win32') chmodSync(directory, 0o700);
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
  const home = homedir();
  // A home shared by many hosts: sockets and locks belong to this one.
  if (isOnNetwork(home)) return join(tmpdir(), `trainstash-${userInfo().username}`);
  const base = env.XDG_STATE_HOME || join(home, '.local', 'state');
  return join(base, 'trainstash', machineId());
}

function socketPath(directory: string): string {
  const digest = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\trainstash-${digest}`;
  const plain = join(directory, 'daemon.sock');
  if (Buffer.byteLength(plain) <= MAX_SOCKET_PATH_BYTES) return plain;
  const short = join('/tmp', `trainstash-${userInfo().uid}`);
  mkdirSync(short, { recursive: true, mode: 0o700 });
  // Somebody else may have made it first.
  if (statSync(short).uid !== userInfo().uid) return join(directory, 'daemon.sock');
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
