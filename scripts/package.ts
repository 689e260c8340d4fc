// Packs a release into `out/`: the extension for all platforms and for each, the Python package (sdist and wheel), and the list of components.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { partsList } from './parts-list.ts';
import { packaging } from './python-environments.ts';
import { packExtension, platforms } from './vsix.ts';

const MB = 1e6;
const MOST = { universal: 15 * MB, platform: 6 * MB, python: 0.5 * MB };

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = createRequire(import.meta.url)('../package.json');
const out = join(root, 'out');

rmSync(out, { recursive: true, force: true });
mkdirSync(out);
const sizes: [path: string, most: number][] = [
  [await packExtension({ target: join(out, `trainstash-${version}.vsix`) }), MOST.universal],
];
for (const platform of platforms) {
  const target = join(out, `trainstash-${version}-${platform}.vsix`);
  sizes.push([await packExtension({ platform, target }), MOST.platform]);
}
for (const path of pythonPackage()) sizes.push([path, MOST.python]);

const folders = JSON.parse(readFileSync(join(root, '.cache/packages.json'), 'utf8')) as string[];
writeFileSync(
  join(out, `trainstash-${version}.cdx.json`),
  `${JSON.stringify(partsList(root, version, folders), null, 2)}\n`,
);

for (const [path, most] of sizes) {
  const { size } = statSync(path);
  console.log(`${relative(root, path).padEnd(44)} ${(size / MB).toFixed(2).padStart(6)} MB`);
  if (size > most) throw new Error(`${path} has ${size} bytes; the limit is ${most}`);
}

/** Builds the sdist, and the wheel from it, as pip would without the repository. */
function pythonPackage(): string[] {
  const { python, why } = packaging(true);
  if (python === null) throw new Error(`the Python package cannot be built: ${why}`);
  const words = ['-m', 'build', '--no-isolation', '--outdir', out, join(root, 'python')];
  const built = spawnSync(python, words, { encoding: 'utf8' });
  if (built.status !== 0)
    throw new Error(`the Python package cannot be built: ${built.stderr}${built.stdout}${built.error ?? ''}`);
  return [`trainstash-${version}.tar.gz`, `trainstash-${version}-py3-none-any.whl`].map((name) => join(out, name));
}
