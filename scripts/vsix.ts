// Packs the extension, for all platforms or for one. The daemon's bundles are included unchanged.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVSIX } from '@vscode/vsce';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Platforms by VS Code's names, with the names in the packages with binaries. */
const PLATFORMS = {
  'linux-x64': { sqlite: 'linux-x64', terminal: 'linux-x64' },
  'linux-arm64': { sqlite: 'linux-arm64', terminal: 'linux-arm64' },
  'alpine-x64': { sqlite: 'linuxmusl-x64', terminal: null },
  'alpine-arm64': { sqlite: 'linuxmusl-arm64', terminal: null },
  'darwin-x64': { sqlite: 'darwin-x64', terminal: 'darwin-x64' },
  'darwin-arm64': { sqlite: 'darwin-arm64', terminal: 'darwin-arm64' },
  'win32-x64': { sqlite: 'win32-x64', terminal: 'win32-x64' },
  'win32-arm64': { sqlite: 'win32-arm64', terminal: 'win32-arm64' },
} as const;

export type Platform = keyof typeof PLATFORMS;
export const platforms = Object.keys(PLATFORMS) as Platform[];

/** Files of the repository that .vscodeignore admits to the package, beside dist/. */
const PACKED = ['package.json', '.vscodeignore', 'CHANGELOG.md', 'LICENSE', 'extension/media'];

/**
 * Packs the extension and returns the package's path, `.cache/trainstash.vsix` by default. `dist/` must have been built. `vsce package` in
 * the repository packs for this machine; here the binaries of one platform, or of all, are chosen first, in a copy.
 */
export async function packExtension(options: { platform?: Platform; target?: string } = {}): Promise<string> {
  const { platform } = options;
  // One of its own: tests pack side by side.
  const staging = join(root, '.cache', `vsix-${platform ?? 'all'}-${process.pid}`);
  const target = options.target ?? join(root, '.cache', platform ? `trainstash-${platform}.vsix` : 'trainstash.vsix');
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  try {
    for (const name of [...PACKED, 'dist']) cpSync(join(root, name), join(staging, name), { recursive: true });
    chooseBinaries(join(staging, 'dist/node_modules'), platform);
    leaveOutScripts(join(staging, 'package.json'));
    await createVSIX({
      cwd: staging,
      packagePath: target,
      dependencies: false,
      allowMissingRepository: true,
      ...(platform ? { target: platform } : {}),
    });
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return target;
}

/** Removes the scripts from the manifest, or vsce would build again in the copy. */
function leaveOutScripts(path: string): void {
  const { scripts: _, ...manifest } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Platforms with a terminal in the universal package. On Windows on ARM commands use pipes: its console would be too large. */
const TERMINALS_FOR_ALL = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64'];

/** Keeps the binaries of one platform, or of all, and fetches those that npm did not install here. */
function chooseBinaries(modules: string, platform: Platform | undefined): void {
  const own = platform && PLATFORMS[platform];
  if (own) {
    const prebuilds = join(modules, 'better-sqlite3/prebuilds');
    for (const file of readdirSync(prebuilds)) if (file !== `${own.sqlite}.node`) rmSync(join(prebuilds, file));
  }
  const terminals = own ? [own.terminal].filter((name) => name !== null) : TERMINALS_FOR_ALL;
  const lydell = join(modules, '@lydell');
  for (const folder of readdirSync(lydell))
    if (folder !== 'node-pty' && !terminals.some((name) => folder === `node-pty-${name}`))
      rmSync(join(lydell, folder), { recursive: true });
  const { optionalDependencies } = createRequire(import.meta.url)('@lydell/node-pty/package.json');
  for (const terminal of terminals) {
    const name = `@lydell/node-pty-${terminal}`;
    const folder = join(lydell, `node-pty-${terminal}`);
    if (existsSync(folder)) continue;
    const packed = fetchPackage(name, optionalDependencies[name]);
    if (packed) cpSync(packed, folder, { recursive: true, filter: (path) => !/\.(md|pdb)$/.test(path) });
    else console.warn(`${name} could not be fetched: commands use pipes there.`);
  }
}

/** Returns the folder with the package's files, or null. */
function fetchPackage(name: string, version: string): string | null {
  const cache = join(root, '.cache', 'packages', `${name.replaceAll('/', '-')}-${version}`);
  if (existsSync(join(cache, 'package'))) return join(cache, 'package');
  mkdirSync(cache, { recursive: true });
  const cli = process.env.npm_execpath;
  const words = ['pack', `${name}@${version}`, '--silent'];
  const packed = cli
    ? spawnSync(process.execPath, [cli, ...words], { cwd: cache, encoding: 'utf8' })
    : spawnSync('npm', words, { cwd: cache, encoding: 'utf8', shell: process.platform === 'win32' });
  const file = packed.stdout?.trim().split('\n').at(-1);
  if (packed.status !== 0 || !file || spawnSync('tar', ['-xzf', file], { cwd: cache }).status !== 0) return null;
  return join(cache, 'package');
}
