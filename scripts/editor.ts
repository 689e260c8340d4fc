// Provides a real VS Code without a desktop, for `npm run demo -- --editor` and the tests of the extension: VS Code's own server from
// the npm package `code-server`. It has a folder of its own, since its install must not run scripts, and that of this repository must.
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installFromDebian } from './debian.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const VERSION = '4.139.1';
const folder = join(root, '.cache', `code-server-${VERSION}`);
const VSCODE = 'node_modules/code-server/lib/vscode';

/** Returns the script of VS Code's server, to be run with Node; installs it if missing (about a minute). Throws if npm fails. */
export function codeServer(): string {
  if (!existsSync(join(folder, 'installed'))) {
    console.log('Installing code-server for the editor (about a minute)…');
    // Made beside it: several workers of the tests may find it missing at once.
    const own = `${folder}.${process.pid}`;
    install(own);
    // What is there without its mark was left by an install that was ended.
    if (!existsSync(join(folder, 'installed'))) rmSync(folder, { recursive: true, force: true });
    try {
      renameSync(own, folder);
    } catch (error) {
      rmSync(own, { recursive: true, force: true });
      if (!existsSync(join(folder, 'installed'))) throw error;
    }
  }
  return join(folder, VSCODE, 'out/server-main.js');
}

function install(own: string): void {
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, 'package.json'), '{ "private": true }\n');
  npm(own, 'install', `code-server@${VERSION}`);
  // Both have lock files of their own; code-server's install script would install them.
  npm(join(own, VSCODE), 'install', '--omit=dev');
  npm(join(own, VSCODE, 'extensions'), 'install', '--omit=dev');
  writeFileSync(join(own, 'installed'), '');
}

/** Finds a Chromium, or returns null. As root on Debian it is installed if missing. */
export function chromium(): string | null {
  if (!browserOnPath()) installFromDebian('chromium', 'fonts-dejavu-core');
  return browserOnPath();
}

function browserOnPath(): string | null {
  if (process.env.TRAINSTASH_BROWSER) return process.env.TRAINSTASH_BROWSER;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap((name) => folders.map((path) => join(path, name))).find((path) => existsSync(path)) ?? null;
}

function npm(cwd: string, ...args: string[]): void {
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--engine-strict=false'];
  const words = [args[0]!, ...flags, ...args.slice(1)];
  // Under `npm run` this is the same npm with its settings, minus those that would make it install into this project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(npm_(config_local_prefix|package_|lifecycle_|command)|init_cwd)/i.test(name),
    ),
  );
  const options: SpawnSyncOptions = { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] };
  const cli = process.env.npm_execpath;
  const result = cli
    ? spawnSync(process.execPath, [cli, ...words], options)
    : spawnSync('npm', words, { ...options, shell: process.platform === 'win32' });
  if (result.status !== 0) throw new Error(`npm ${args.join(' ')} failed in ${cwd}`);
}
