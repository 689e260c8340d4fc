/** Commands about files that follow branches. */
import * as vscode from 'vscode';
import { branchSync, type SyncResult, stashDrop, stashRestore } from '../../protocol/messages/branch.ts';
import { counted } from '../../protocol/words.ts';
import { type App, command } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { StashNode } from '../views/stashes.ts';

export function registerBranches(app: App, context: vscode.ExtensionContext, changed: () => void): void {
  const { connection } = app;
  const on = (name: string, run: (...args: never[]) => unknown) => command(app, context, name, run);

  on('stashRestore', async (node?: StashNode) => {
    if (node?.kind !== 'stash') return;
    const { restored, conflicts } = await connection.request(stashRestore, { root: node.root, stash: node.stash.id });
    changed();
    const text = `${counted(restored.length, 'file')} restored.`;
    if (conflicts.length === 0) void vscode.window.showInformationMessage(text);
    else
      void vscode.window.showWarningMessage(
        `${text} These exist already, so their stashed files stay stashed: ${plain(conflicts.join(', '))}.`,
      );
  });

  on('stashDrop', async (node?: StashNode) => {
    if (node?.kind !== 'stash') return;
    await connection.request(stashDrop, { root: node.root, stash: node.stash.id });
    changed();
  });

  on('stashUndo', async (node?: StashNode) => {
    if (node?.kind !== 'stash') return;
    await connection.request(stashDrop, { root: node.root, stash: node.stash.id, undo: true });
    changed();
  });

  on('sync', async () => {
    const root = await app.chooseRoot();
    if (!root) return;
    const result = await connection.request(branchSync, { root });
    changed();
    if (result.state === 'inPlace') {
      vscode.window.setStatusBarMessage(
        `$(check) The files of ${plain(result.branch ?? 'this project')} are in place`,
        4_000,
      );
      return;
    }
    if (result.state === 'unclear') return settle(root, result);
    void vscode.window.showInformationMessage(
      plain(result.reason || `HEAD is detached: the files of ${result.inPlace} stay in place.`),
    );
  });

  /** Asks whose the files are: HEAD moved while no daemon was watching, and files have changed since. */
  async function settle(root: string, { reason, inPlace, branch }: SyncResult): Promise<void> {
    const theirs = plain(`They Belong to ${inPlace}`);
    const ours = plain(`They Belong to ${branch}`);
    const chosen = await vscode.window.showWarningMessage(plain(`${reason}.`), theirs, ours);
    if (!chosen) return;
    await connection.request(branchSync, { root, files: chosen === theirs ? 'move' : 'stay' });
    changed();
  }
}
