/** A small extension whose tree, beside ours, has constant rows in the same two levels: what a tree costs in VS Code itself. */
import { packSmallExtension } from '../test/support/small-extension.ts';

const SOURCE = `
const vscode = require('vscode');
const rows = Array.from({ length: 60 }, (_, i) => 'constant ' + (i + 1));
exports.activate = () => vscode.window.registerTreeDataProvider('constant.rows', {
  getChildren: (row) => (row === undefined ? ['group'] : row === 'group' ? rows : []),
  getTreeItem: (row) => new vscode.TreeItem(row, row === 'group' ? vscode.TreeItemCollapsibleState.Expanded : 0),
});
`;

/** Packs the extension for installation. */
export function packConstantRows(folder: string): Promise<string> {
  const contributes = {
    views: { trainstash: [{ id: 'constant.rows', name: 'Constant Rows', visibility: 'visible' }] },
  };
  const manifest = {
    name: 'constant-rows',
    publisher: 'trainstash-bench',
    activationEvents: ['onStartupFinished'],
    contributes,
  };
  return packSmallExtension(folder, manifest, SOURCE);
}
