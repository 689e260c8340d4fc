/**
 * Entry of the command line. It starts on any Node >= 20 and continues under one that the daemon can run on. A native module
 * ends an older process without a message, so the version is checked before anything else is loaded.
 */
import { BUILD } from '../base/build.ts';
import { VERSION_WORDS } from './version.ts';

const REQUIRED = [22, 15] as const;
const main = new URL('cli.js', import.meta.url);

if (process.argv.length === 3 && VERSION_WORDS.includes(process.argv[2]!)) await printVersion();
else if (!process.env.TRAINSTASH_NODE && isNewEnough(process.versions.node)) await load();
else await loadElsewhere();

/**
 * Prints the version here: loading the command line takes three times as long as starting Node. An `import` of `node:fs` would load
 * its promises too, which is half of what this costs.
 */
async function printVersion(): Promise<void> {
  const { writeSync } = process.getBuiltinModule?.('node:fs') ?? (await import('node:fs'));
  try {
    writeSync(1, `trainstash ${BUILD.version}\n`);
  } catch {
    // Nobody reads it any more, or the disk is full.
    process.exitCode = 1;
  }
}

/** Loads the command line. A broken installation is reported in one sentence; `main` reports later errors. */
async function load(): Promise<void> {
  try {
    await import(main.href);
  } catch (error) {
    const { message, stack } = error as Error;
    const here = (await import('node:url')).fileURLToPath(new URL('.', import.meta.url));
    const details = process.env.TRAINSTASH_DEBUG ? `\n${stack}` : ' TRAINSTASH_DEBUG=1 shows the details.';
    console.error(
      `error: Trainstash cannot be loaded from ${here}: ${message.split('\n')[0]}. Nothing was changed. Reinstall Trainstash.${details}`,
    );
    process.exitCode = 1;
  }
}

/** Continues under the first Node that is new enough, or says that there is none. */
async function loadElsewhere(): Promise<void> {
  const [{ spawnSync }, { existsSync }, { delimiter, join }, { fileURLToPath }] = await Promise.all([
    import('node:child_process'),
    import('node:fs'),
    import('node:path'),
    import('node:url'),
  ]);
  const versionOf = (path: string) =>
    (spawnSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8', timeout: 5_000 }).stdout ?? '').trim();
  const here = fileURLToPath(new URL('.', import.meta.url));
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const candidates = [
    process.env.TRAINSTASH_NODE,
    process.execPath,
    join(here, '../node_modules/node/bin/node'),
    join(here, '../../node/bin/node'),
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ];
  const node = candidates.find((path) => path && existsSync(path) && isNewEnough(versionOf(path)));
  if (node === process.execPath) return load();
  if (!node) {
    console.error(
      `Trainstash needs Node ${REQUIRED.join('.')} or newer; this is ${process.versions.node}, and PATH has no newer one. Nothing was changed. Install a newer Node (https://nodejs.org), or set TRAINSTASH_NODE to one.`,
    );
    process.exitCode = 1;
    return;
  }
  const env = { ...process.env };
  delete env.TRAINSTASH_NODE;
  const words = [fileURLToPath(main), ...process.argv.slice(2)];
  const { status, signal } = spawnSync(node, words, { stdio: 'inherit', env });
  process.exitCode = status ?? (signal ? 1 : 0);
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > REQUIRED[0] || (major === REQUIRED[0] && minor >= REQUIRED[1]);
}
