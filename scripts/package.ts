// Packs a release into `out/`: the extension for all platforms and for each, the Python wheel, and the list of components.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { partsList } from './parts-list.ts';
import { packExtension, platforms } from './vsix.ts';

const MB = 1e6;
const MOST = { universal: 15 * MB, platform: 6 * MB, wheel: 0.2 * MB };

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
sizes.push([wheel(), MOST.wheel]);

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

/** Builds the wheel with its own backend, which needs no network and only the standard library. */
function wheel(): string {
  const code =
    'import sys; sys.path.insert(0, "."); import build_backend; print(build_backend.build_wheel(sys.argv[1]))';
  const python = process.platform === 'win32' ? 'python' : 'python3';
  const made = spawnSync(python, ['-B', '-c', code, out], { cwd: join(root, 'python'), encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`the wheel cannot be built: ${made.stderr}${made.error ?? ''}`);
  return join(out, made.stdout.trim());
}
