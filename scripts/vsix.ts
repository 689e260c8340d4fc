// Packs the extension: `.cache/trainstash.vsix`, for every platform. The daemon's bundles travel in it as they are.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVSIX } from '@vscode/vsce';
import { build, transform } from 'esbuild';
import { configSchema } from './schema.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = createRequire(import.meta.url)('../package.json');

/** Path of the package. `dist/` must have been built. */
export async function packExtension(): Promise<string> {
  const staging = join(root, '.cache', 'vsix');
  const target = join(root, '.cache', 'trainstash.vsix');
  const { builtAt } = JSON.parse(readFileSync(join(root, 'dist/build.json'), 'utf8'));
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  await bundleExtension(staging, builtAt);
  await build({
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
  });
  const manifest = JSON.parse(readFileSync(join(root, 'extension/manifest.json'), 'utf8'));
  writeFileSync(join(staging, 'package.json'), JSON.stringify({ ...manifest, version }, null, 2));
  writeFileSync(join(staging, 'trainstash.schema.json'), JSON.stringify(configSchema(), null, 2));
  cpSync(join(root, 'extension/media'), join(staging, 'media'), { recursive: true });
  cpSync(join(root, 'dist'), join(staging, 'dist'), { recursive: true });
  addTerminals(join(staging, 'dist/node_modules/@lydell'));
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md']) cpSync(join(root, file), join(staging, file));
  writeFileSync(join(staging, '.vscodeignore'), '');
  await createVSIX({
    cwd: staging,
    packagePath: target,
    dependencies: false,
    allowMissingRepository: true,
    rewriteRelativeLinks: false,
  });
  return target;
}

/**
 * `extension.js` and what it loads later. Splitting exists for modules of the new kind only, whose loading would wait for
 * everything else that starts with the window; so each piece is turned into one of the old kind afterwards.
 */
async function bundleExtension(staging: string, builtAt: number): Promise<void> {
  const { outputFiles } = await build({
    bundle: true,
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
    // As it is: else each of 24 modules would copy all of its names.
    const own = text.replaceAll(/^import \* as (\w+) from "vscode";$/gm, 'const $1 = require("vscode");');
    const { code } = await transform(own, {
      format: 'cjs',
      platform: 'node',
      target: 'node22',
      supported: { 'dynamic-import': false },
      minify: true,
      // Names in stack traces.
      keepNames: true,
      legalComments: 'none',
    });
    writeFileSync(path, code);
  }
}

/** Of Windows on ARM, commands run on pipes: its console would make the package too large for all others. */
const TERMINALS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64'];

/** The terminal's binaries for the platforms that npm did not install here. */
function addTerminals(target: string): void {
  const { optionalDependencies } = createRequire(import.meta.url)('@lydell/node-pty/package.json');
  for (const platform of TERMINALS) {
    const name = `@lydell/node-pty-${platform}`;
    const folder = join(target, `node-pty-${platform}`);
    if (existsSync(folder)) continue;
    const packed = fetchPackage(name, optionalDependencies[name]);
    if (packed) cpSync(packed, folder, { recursive: true, filter: (path) => !/\.(md|pdb)$/.test(path) });
    else console.warn(`${name} could not be had: there, commands run on pipes.`);
  }
}

/** Folder with the package's files, or null. */
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

if (process.argv.includes('--pack')) console.log(await packExtension());
