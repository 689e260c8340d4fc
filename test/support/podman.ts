/**
 * A Podman of the test's own: its images and containers in a temporary folder, and one image, made of the Debian packages of this machine
 * that Python needs, since no registry is reachable.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { installFromDebian } from '../../scripts/debian.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder } from './folder.ts';

const PACKAGES = ['podman', 'runc', 'netavark'];
/** Packages of the image: Python with the libraries of its modules, and a shell. */
const INSIDE = [
  ...['libc6', 'zlib1g', 'libexpat1', 'libssl3', 'libffi8', 'libsqlite3-0', 'libbz2-1.0', 'liblzma5', 'libuuid1'],
  ...['libpython3.11-minimal', 'libpython3.11-stdlib', 'python3.11-minimal', 'dash'],
];
export const IMAGE = 'localhost/python:test';
/** File that is in the image only. */
export const INSIDE_FILE = '/etc/inside';

export interface Podman {
  /** Variables with which Podman finds its images. */
  variables: Record<string, string>;
  /** Names of the containers that live. */
  containers(): string[];
}

/** Tells why there is no Podman here; null: there is. */
export function whyNoPodman(): string | null {
  if (process.getuid?.() !== 0) return 'a Podman of the test’s own needs root';
  if (!(existsSync('/usr/bin/podman') && existsSync('/usr/sbin/runc'))) installFromDebian(...PACKAGES);
  const missing = ['/usr/bin/podman', '/usr/sbin/runc', '/usr/bin/python3.11'].find((file) => !existsSync(file));
  return missing === undefined ? null : `${missing} is missing (as root on Debian it is installed)`;
}

export function podman(): Podman {
  const folder = temporaryFolder();
  const file = (name: string) => join(folder, name);
  writeFileSync(
    file('containers.conf'),
    // Its own limits are higher than a machine of continuous integration may set them.
    '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
  );
  writeFileSync(
    file('storage.conf'),
    `[storage]\ndriver = "vfs"\ngraphroot = "${file('images')}"\nrunroot = "${file('state')}"\n`,
  );
  const variables = { CONTAINERS_CONF: file('containers.conf'), CONTAINERS_STORAGE_CONF: file('storage.conf') };
  const env = { ...process.env, ...variables };
  importImage(folder, env);
  const call = (...args: string[]) => spawnSync('podman', args, { env, encoding: 'utf8' }).stdout;
  afterwards(() => void call('rm', '-fa'));
  return { variables, containers: () => call('ps', '--format', '{{.Names}}').split('\n').filter(Boolean) };
}

function importImage(folder: string, env: NodeJS.ProcessEnv): void {
  const listed = execFileSync('dpkg', ['-L', ...INSIDE], { encoding: 'utf8' }).split('\n');
  const isFolder = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? true;
  // Under their real names: /lib is a link to /usr/lib.
  const named = (path: string) => join(realpathSync(dirname(path)), basename(path));
  const wanted = listed.filter((path) => path.startsWith('/') && existsSync(path) && !isFolder(path)).map(named);
  const own = join(folder, 'root');
  mkdirSync(join(own, 'etc'), { recursive: true });
  mkdirSync(join(own, 'tmp'));
  writeFileSync(join(own, INSIDE_FILE), 'inside');
  writeFileSync(join(folder, 'files'), [...new Set(['/lib', '/lib64', '/bin', ...wanted])].join('\0'));
  const tar = join(folder, 'image.tar');
  const options = ['--no-recursion', '--absolute-names', '--null', '--files-from', join(folder, 'files')];
  execFileSync('tar', ['-cf', tar, ...options], { stdio: 'ignore' });
  execFileSync('tar', ['-rf', tar, '-C', own, 'etc', 'tmp']);
  execFileSync('podman', ['import', tar, IMAGE], { env, stdio: 'ignore' });
}
