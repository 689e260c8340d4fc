/**
 * Entry of the command line. It starts on any Node >= 20 and continues under one that the daemon can run on. A native module
 * ends an older process without a message, so the version is checked before anything else is loaded.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REQUIRED = [22, 15] as const;
const here = dirname(fileURLToPath(import.meta.url));
const main = join(here, 'cli.js');

if (!process.env.TRAINSTASH_NODE && isNewEnough(process.versions.node)) {
  await load();
} else {
  const candidates = [
    process.env.TRAINSTASH_NODE,
    process.execPath,
    join(here, '../node_modules/node/bin/node'),
    join(here, '../../node/bin/node'),
    ...nodesOnPath(),
  ];
  const node = candidates.find((path) => path && existsSync(path) && isNewEnough(versionOf(path)));
  if (node === process.execPath) await load();
  else if (node) process.exitCode = run(node);
  else {
    console.error(
      `Trainstash needs Node ${REQUIRED.join('.')} or newer; this is ${process.versions.node}, and PATH has no newer one. Nothing was changed. Install a newer Node (https://nodejs.org), or set TRAINSTASH_NODE to one.`,
    );
    process.exitCode = 1;
  }
}

/** Loads the command line. A broken installation is reported in one sentence; `main` reports later errors. */
async function load(): Promise<void> {
  try {
    await import(main);
  } catch (error) {
    const { message, stack } = error as Error;
    const details = process.env.TRAINSTASH_DEBUG ? `\n${stack}` : ' TRAINSTASH_DEBUG=1 shows the details.';
    console.error(
      `error: Trainstash cannot be loaded from ${here}: ${message.split('\n')[0]}. Nothing was changed. Reinstall Trainstash.${details}`,
    );
    process.exitCode = 1;
  }
}

function run(node: string): number {
  const env = { ...process.env };
  delete env.TRAINSTASH_NODE;
  const { status, signal } = spawnSync(node, [main, ...process.argv.slice(2)], { stdio: 'inherit', env });
  return status ?? (signal ? 1 : 0);
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > REQUIRED[0] || (major === REQUIRED[0] && minor >= REQUIRED[1]);
}

function versionOf(path: string): string {
  const { stdout } = spawnSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8', timeout: 5_000 });
  return (stdout ?? '').trim();
}

function nodesOnPath(): string[] {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  return (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
}
