/** Tabs that compare runs or checkpoints. */
import * as v from 'valibot';
import * as vscode from 'vscode';
import { DiffPage } from '../../pages/diff.ts';
import type { DiffActions } from '../../pages/host.ts';
import type { Diff } from '../../protocol/diff.ts';
import { type DiffNews, type DiffPageSaid, diffPageSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { codeUri } from '../core/code-files.ts';
import { plain } from '../core/text.ts';
import { openPage } from './panel.ts';
import { projectOf } from './project.ts';

const VIEW = 'trainstash.diff';

const restoredState = v.object({ root: v.string(), sides: v.array(v.string()) });

export function registerDiffPage(app: App, context: vscode.ExtensionContext): void {
  context.subscriptions.push(
    vscode.window.registerWebviewPanelSerializer(VIEW, {
      async deserializeWebviewPanel(panel, state) {
        const parsed = v.safeParse(restoredState, state);
        if (parsed.success) openDiff(app, context, panel, parsed.output.root, parsed.output.sides);
        else panel.dispose();
      },
    }),
  );
}

/** Opens the page. `sides`: ids of two or more runs or checkpoints. */
export function showDiff(app: App, context: vscode.ExtensionContext, root: string, sides: string[]): void {
  const panel = vscode.window.createWebviewPanel(VIEW, 'Diff', vscode.ViewColumn.Active);
  openDiff(app, context, panel, root, sides);
}

function openDiff(
  app: App,
  context: vscode.ExtensionContext,
  panel: vscode.WebviewPanel,
  root: string,
  sides: string[],
): void {
  const host = openPage<DiffPageSaid, DiffNews>(context, panel, {
    script: 'diff.js',
    said: diffPageSaid,
    take: (message) => page.take(message),
    failed: (error) => void report(app, error),
  });
  const page = new DiffPage(projectOf(app, root), sides, host, actionsOf(root));
  panel.onDidDispose(() => page.dispose());
}

function actionsOf(root: string): DiffActions {
  return {
    openFile(diff, side, path) {
      const codes = codesOf(diff, side);
      const file = diff.code.files.find((one) => one.side === side && one.path === path);
      if (!codes || !file) return undefined;
      const [left, right] = urisOf(root, codes, file.path, file.status);
      if (!left || !right) return vscode.commands.executeCommand('vscode.open', left ?? right);
      return vscode.commands.executeCommand('vscode.diff', left, right, plain(`${path} (${titleOf(diff, side)})`));
    },
    openAll(diff, side) {
      const codes = codesOf(diff, side);
      if (!codes) return undefined;
      const files = diff.code.files.filter((one) => one.side === side);
      const resources = files.map(({ path, status }) => {
        const [left, right] = urisOf(root, codes, path, status);
        return [right ?? left, left, right];
      });
      return vscode.commands.executeCommand('vscode.changes', plain(titleOf(diff, side)), resources);
    },
  };
}

function codesOf({ sides }: Diff, side: number): [string, string] | undefined {
  const [first, other] = [sides[0]?.code, sides[side]?.code];
  return first && other ? [first, other] : undefined;
}

function titleOf({ sides }: Diff, side: number): string {
  return `${sides[0]!.label} ↔ ${sides[side]!.label}`;
}

/** Returns the file's URIs on both sides; undefined: that side does not have the file. */
function urisOf(
  root: string,
  [before, after]: [string, string],
  path: string,
  status: 'added' | 'removed' | 'changed',
): [vscode.Uri | undefined, vscode.Uri | undefined] {
  return [
    status === 'added' ? undefined : codeUri(root, before, path),
    status === 'removed' ? undefined : codeUri(root, after, path),
  ];
}
