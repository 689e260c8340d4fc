/** Hosts a page in an editor tab: its document, and the channel to it. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { PageHost } from '../../pages/host.ts';
import { plain } from '../core/text.ts';

export interface PageOptions<Said> {
  /** Name of a bundle in `dist/extension/pages`. */
  script: string;
  /** Schema of the page's messages; anything else is dropped. */
  said: v.GenericSchema<Said>;
  take(message: Said): unknown;
  /** Called for an invalid message, or when handling one failed. */
  failed(error: unknown): void;
}

/** Opens a page under a strict policy: nothing from elsewhere, and no script but ours. */
export function openPage<Said, News>(
  context: vscode.ExtensionContext,
  panel: vscode.WebviewPanel,
  { script, said, take, failed }: PageOptions<Said>,
): PageHost<News> {
  const folder = vscode.Uri.file(join(context.extensionPath, 'dist/extension/pages'));
  const { webview } = panel;
  const icon = (theme: string) => vscode.Uri.file(join(context.extensionPath, `extension/media/tab-${theme}.svg`));
  panel.iconPath = { light: icon('light'), dark: icon('dark') };
  webview.options = { enableScripts: true, localResourceRoots: [folder] };
  webview.onDidReceiveMessage(async (message: unknown) => {
    const parsed = v.safeParse(said, message);
    try {
      if (parsed.success) await take(parsed.output);
      else failed(new Error(`a page said ${JSON.stringify(message)?.slice(0, 200)}`));
    } catch (error) {
      failed(error);
    }
  });
  webview.html = documentOf(webview, folder, script, panel.title);
  return {
    post: (news) => void webview.postMessage(news),
    setTitle(title) {
      panel.title = plain(title);
    },
    failed,
  };
}

function documentOf(webview: vscode.Webview, folder: vscode.Uri, script: string, title: string): string {
  const nonce = randomBytes(16).toString('base64');
  const uri = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(folder, name)).toString();
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${webview.cspSource}`,
    // Images that were checked, from the page's own memory.
    'img-src blob:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title.replaceAll(/[<>&"]/g, '')}</title>
<link rel="stylesheet" href="${uri('style.css')}">
</head>
<body>
<div id="page"></div>
<script nonce="${nonce}" src="${uri(script)}"></script>
</body>
</html>`;
}
