/** A small extension that reports its host's memory: when `heap-watch.ask` appears in the folder, it writes the heap after a collection. */
import { packSmallExtension } from '../support/small-extension.ts';

export const ASK = 'heap-watch.ask';
export const ANSWER = 'heap-watch.json';

const SOURCE = `
const fs = require('node:fs');
const v8 = require('node:v8');
const vm = require('node:vm');
const vscode = require('vscode');
v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');
exports.activate = () => {
  const folder = vscode.workspace.workspaceFolders[0].uri.fsPath;
  setInterval(() => {
    if (!fs.existsSync(folder + '/${ASK}')) return;
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    fs.writeFileSync(folder + '/${ANSWER}.tmp', JSON.stringify({ bytes: heapUsed + external, pid: process.pid }));
    fs.renameSync(folder + '/${ANSWER}.tmp', folder + '/${ANSWER}');
    fs.rmSync(folder + '/${ASK}');
  }, 100);
};
`;

/** Packs the extension for installation. */
export function packHeapWatch(folder: string): Promise<string> {
  const manifest = { name: 'heap-watch', publisher: 'trainstash-soak', activationEvents: ['*'] };
  return packSmallExtension(folder, manifest, SOURCE);
}
