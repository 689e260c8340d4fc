/** Offers actions for a checkpoint that was clicked on the axis of a chart. */
import * as vscode from 'vscode';
import type { FeedActions } from '../../pages/host.ts';
import { integer } from '../../protocol/words.ts';
import type { App } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';

const ITEMS = [
  { label: '$(play) Resume from here', command: 'resumeFrom' },
  { label: '$(repo-forked) Fork', command: 'fork' },
  { label: '$(diff) Compare…', command: 'compare' },
  { label: '$(export) Export…', command: 'export' },
  { label: '$(verified) Verify', command: 'verify' },
  { label: '$(tag) Tag…', command: 'tag' },
  { label: '$(desktop-download) Restore files to a folder…', command: 'restoreFiles' },
];

export function checkpointMenu(app: App, root: string): FeedActions {
  return {
    looked: () => app.firstSteps.mark('look'),
    async offer(run, checkpoint) {
      const title = `${plain(run.name)} at step ${integer(checkpoint.step)}`;
      const chosen = await vscode.window.showQuickPick(ITEMS, { title });
      const node: Node = { kind: 'checkpoint', root, run: run.id, checkpoint };
      if (chosen) await vscode.commands.executeCommand(`trainstash.${chosen.command}`, node);
    },
  };
}
