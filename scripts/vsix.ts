// Packs the extension: `.cache/trainstash.vsix`, for every platform. The daemon's bundles travel in it as they are.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVSIX } from '@vscode/vsce';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = createRequire(import.meta.url)('../package.json');

/** Path of the package. `dist/` must have been built. */
export async function packExtension(): Promise<string> {
  const staging = join(root, '.cache', 'vsix');
  const target = join(root, '.cache', 'trainstash.vsix');
  const { builtAt } = JSON.parse(readFileSync(join(root, 'dist/build.json'), 'utf8'));
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  await build({
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    absWorkingDir: root,
    entryPoints: ['extension/extension.ts'],
    outfile: join(staging, 'extension.js'),
    external: ['vscode'],
    mainFields: ['module', 'main'],
    minify: true,
    // Names in stack traces.
    keepNames: true,
    logLevel: 'warning',
    legalComments: 'none',
    define: { TRAINSTASH_VERSION: JSON.stringify(version), TRAINSTASH_BUILT_AT: String(builtAt) },
  });
  const manifest = JSON.parse(readFileSync(join(root, 'extension/manifest.json'), 'utf8'));
  writeFileSync(join(staging, 'package.json'), JSON.stringify({ ...manifest, version }, null, 2));
  cpSync(join(root, 'extension/media'), join(staging, 'media'), { recursive: true });
  cpSync(join(root, 'dist'), join(staging, 'dist'), { recursive: true });
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

if (process.argv.includes('--pack')) console.log(await packExtension());
