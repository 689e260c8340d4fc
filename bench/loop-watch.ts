/** A small extension that watches the loop of its host: `loop-watch.json` in its folder of the project says how long it was blocked. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVSIX } from '@vscode/vsce';

const SOURCE = `
const fs = require('node:fs');
const { performance } = require('node:perf_hooks');
const vscode = require('vscode');
exports.activate = () => {
  const file = vscode.workspace.workspaceFolders[0].uri.fsPath + '/loop-watch.json';
  let last = performance.now();
  let blocks = [];
  setInterval(() => {
    const now = performance.now();
    blocks.push([Date.now(), now - last - 1]);
    last = now;
  }, 1);
  setInterval(() => {
    fs.writeFileSync(file + '.tmp', JSON.stringify(blocks.filter(([, ms]) => ms > 5)));
    fs.renameSync(file + '.tmp', file);
    last = performance.now();
  }, 200);
};
`;

/** Its package, to be installed. */
export async function packLoopWatch(folder: string): Promise<string> {
  const source = join(folder, 'loop-watch');
  mkdirSync(source, { recursive: true });
  writeFileSync(join(source, 'extension.js'), SOURCE);
  writeFileSync(join(source, 'README.md'), 'Watches the loop.');
  writeFileSync(join(source, 'LICENSE'), 'MIT');
  writeFileSync(
    join(source, 'package.json'),
    JSON.stringify({
      name: 'loop-watch',
      publisher: 'trainstash-bench',
      version: '1.0.0',
      license: 'MIT',
      engines: { vscode: '^1.101.0' },
      main: 'extension.js',
      activationEvents: ['*'],
    }),
  );
  const target = join(folder, 'loop-watch.vsix');
  await createVSIX({ cwd: source, packagePath: target, dependencies: false, allowMissingRepository: true });
  return target;
}
