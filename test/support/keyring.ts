/** A desktop session with an unlocked keyring, for tests. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { installFromDebian } from '../../scripts/debian.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder } from './folder.ts';

const PROGRAMS: Readonly<Record<string, string>> = {
  'dbus-run-session': 'dbus',
  'gnome-keyring-daemon': 'gnome-keyring',
  'secret-tool': 'libsecret-tools',
};

/** Says why there is no keyring here, after trying to install one; null: there is. */
export function whyNoKeyring(): string | null {
  installFromDebian(...missing().map((program) => PROGRAMS[program]!));
  const left = missing();
  return left.length === 0 ? null : `${left.join(', ')} cannot be had here (as root on Debian they are installed)`;
}

function missing(): string[] {
  return Object.keys(PROGRAMS).filter((program) => spawnSync('which', [program]).status !== 0);
}

/** Starts a session with a keyring of its own, which nobody else sees. */
export async function keyring(): Promise<{ address: string }> {
  const home = temporaryFolder();
  mkdirSync(join(home, 'run'), { mode: 0o700 });
  const env = { ...process.env, HOME: home, XDG_RUNTIME_DIR: join(home, 'run'), XDG_DATA_HOME: join(home, 'data') };
  const script =
    'printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; echo "$DBUS_SESSION_BUS_ADDRESS"; cat';
  // It ends when its input does.
  const child = spawn('dbus-run-session', ['--', 'sh', '-c', script], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  afterwards(async () => {
    const ended = once(child, 'close');
    child.stdin.end();
    await ended;
  });
  const [address] = await once(child.stdout, 'data');
  return { address: String(address).trim() };
}
