// Installs what package-lock.json says, on any Node >= 20; does nothing if it is installed already.
// Install scripts stay off (.npmrc): better-sqlite3 ships its binaries, and npm would compile it for nothing.
// Only the package `node` needs its script: it puts Node 24 in node_modules/.bin, where npm's scripts find it first.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'node_modules', '.trainstash-setup');
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

if (!isCurrent()) {
  console.log('Installing packages (about half a minute)…');
  npm('ci', '--no-audit', '--no-fund', '--loglevel=error');
  npm('rebuild', 'node', '--ignore-scripts=false', '--loglevel=error');
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
}

function isCurrent() {
  return (
    existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(join(root, 'node_modules/node/bin/node'))
  );
}

/**
 * Returns a Node that `npm ci` does not delete while it runs: npm's scripts find the one in node_modules/.bin first, and this file may
 * be running on it.
 */
function nodeOutside() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
  const candidates = [process.env.npm_node_execpath, process.execPath, ...onPath];
  return candidates.find((path) => path && !path.includes('node_modules') && existsSync(path)) ?? process.execPath;
}

function npm(...args) {
  const cli = process.env.npm_execpath;
  const result = cli
    ? spawnSync(nodeOutside(), [cli, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    : spawnSync('npm', args, {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
        shell: process.platform === 'win32',
      });
  if (result.status !== 0) {
    console.error(
      `npm ${args[0]} failed (exit ${result.status ?? result.signal}). Nothing was started; run this command again once npm can reach its registry.`,
    );
    process.exit(result.status ?? 1);
  }
}
