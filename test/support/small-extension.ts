/** Packs a small extension for installation beside ours. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVSIX } from '@vscode/vsce';

/** Packs it and returns the path of the package. `source` is CommonJS. */
export async function packSmallExtension(
  folder: string,
  manifest: { name: string; publisher: string; [key: string]: unknown },
  source: string,
): Promise<string> {
  const staging = join(folder, manifest.name);
  mkdirSync(staging, { recursive: true });
  writeFileSync(join(staging, 'extension.js'), source);
  writeFileSync(join(staging, 'README.md'), 'For tests.');
  writeFileSync(join(staging, 'LICENSE'), 'MIT');
  writeFileSync(join(staging, '.vscodeignore'), '');
  const common = { version: '1.0.0', license: 'MIT', engines: { vscode: '^1.101.0' }, main: 'extension.js' };
  writeFileSync(join(staging, 'package.json'), JSON.stringify({ ...common, ...manifest }));
  const target = join(folder, `${manifest.name}.vsix`);
  await createVSIX({ cwd: staging, packagePath: target, dependencies: false, allowMissingRepository: true });
  return target;
}
