// Packs the extension, for all platforms or for one. The daemon's bundles are included unchanged.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVSIX } from '@vscode/vsce';
import { build, type Metafile, transform } from 'esbuild';
import { noticesOf, packagesOf } from './notices.mjs';
import { configSchema } from './schema.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = createRequire(import.meta.url)('../package.json');

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

/** Packs the extension and returns the path, by default `.cache/trainstash.vsix`. `dist/` must have been built. */
export async function packExtension(options: { platform?: Platform; target?: string } = {}): Promise<string> {
  const { platform } = options;
  const staging = join(root, '.cache', platform ? `vsix-${platform}` : 'vsix');
  const target = options.target ?? join(root, '.cache', platform ? `trainstash-${platform}.vsix` : 'trainstash.vsix');
  const { builtAt } = JSON.parse(readFileSync(join(root, 'dist/build.json'), 'utf8'));
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  const bundled = [await bundleExtension(staging, builtAt)];
  const pages = await build({
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2023',
    absWorkingDir: root,
    entryPoints: {
      checkpoint: 'extension/pages/checkpoint.tsx',
      dashboard: 'extension/pages/dashboard.tsx',
      diff: 'extension/pages/diff.tsx',
      style: 'extension/pages/style.css',
    },
    outdir: join(staging, 'pages'),
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    logLevel: 'warning',
    legalComments: 'none',
    metafile: true,
  });
  bundled.push(pages.metafile);
  const manifest = JSON.parse(readFileSync(join(root, 'extension/manifest.json'), 'utf8'));
  writeFileSync(join(staging, 'package.json'), JSON.stringify({ ...manifest, version }, null, 2));
  writeFileSync(join(staging, 'trainstash.schema.json'), JSON.stringify(configSchema(), null, 2));
  cpSync(join(root, 'extension/media'), join(staging, 'media'), { recursive: true });
  cpSync(join(root, 'dist'), join(staging, 'dist'), { recursive: true });
  chooseBinaries(join(staging, 'dist/node_modules'), platform);
  const inside: string[] = JSON.parse(readFileSync(join(root, 'dist/packages.json'), 'utf8'));
  rmSync(join(staging, 'dist/packages.json'));
  rmSync(join(staging, 'dist/THIRD-PARTY-NOTICES.txt'));
  const notices = noticesOf(root, [...inside, ...packagesOf(bundled)]);
  writeFileSync(join(staging, 'THIRD-PARTY-NOTICES.txt'), notices);
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md']) cpSync(join(root, file), join(staging, file));
  // Only these files are packed.
  const wanted = ['*.js', '*.md', 'LICENSE', '*.txt', 'package.json', 'trainstash.schema.json'];
  const lines = ['**', ...wanted.map((name) => `!${name}`), '!dist/**', '!media/**', '!pages/**'];
  writeFileSync(join(staging, '.vscodeignore'), `${lines.join('\n')}\n`);
  await createVSIX({
    cwd: staging,
    packagePath: target,
    dependencies: false,
    allowMissingRepository: true,
    rewriteRelativeLinks: false,
    ...(platform ? { target: platform } : {}),
  });
  if (platform) rmSync(staging, { recursive: true });
  return target;
}

/**
 * Bundles `extension.js` and the parts that it loads later. esbuild only splits ES modules, but loading those would wait for
 * everything else that starts with the window, so each part is converted to CommonJS afterwards.
 */
async function bundleExtension(staging: string, builtAt: number): Promise<Metafile> {
  const { outputFiles, metafile } = await build({
    bundle: true,
    metafile: true,
    splitting: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    absWorkingDir: root,
    entryPoints: ['extension/extension.ts'],
    outdir: staging,
    external: ['vscode'],
    mainFields: ['module', 'main'],
    logLevel: 'warning',
    define: { TRAINSTASH_VERSION: JSON.stringify(version), TRAINSTASH_BUILT_AT: String(builtAt) },
  });
  for (const { path, text } of outputFiles) {
    // A plain require: otherwise each of 24 modules would copy all of its names.
    const own = text.replaceAll(/^import \* as (\w+) from "vscode";$/gm, 'const $1 = require("vscode");');
    const { code } = await transform(own, {
      format: 'cjs',
      platform: 'node',
      target: 'node22',
      supported: { 'dynamic-import': false },
      minify: true,
      // Keeps names in stack traces.
      keepNames: true,
      legalComments: 'none',
    });
    writeFileSync(path, code);
  }
  return metafile;
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
