/** A small extension that watches its host's event loop: `loop-watch.json` in its folder of the project says how long it was blocked. */
import { packSmallExtension } from '../test/support/small-extension.ts';

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

/** Packs the extension for installation. */
export function packLoopWatch(folder: string): Promise<string> {
  const manifest = { name: 'loop-watch', publisher: 'trainstash-bench', activationEvents: ['*'] };
  return packSmallExtension(folder, manifest, SOURCE);
}
