/** "Export…": writes a checkpoint or a run's metrics, in a chosen format, to a chosen file. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as vscode from 'vscode';
import type { ExportFormat, ExportResult } from '../../protocol/export.ts';
import { exportFormats, exportWrite } from '../../protocol/messages/export.ts';
import { bytes, counted, integer, metric } from '../../protocol/words.ts';
import { type App, command, launchFrom } from '../core/app.ts';
import { requestWithProgress } from '../core/progress.ts';
import { makeReport } from '../core/report.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { withProgress } from './input.ts';
import { type RunTarget, runTarget } from './targets.ts';

export function registerExporting(app: App, context: vscode.ExtensionContext): void {
  command(app, context, 'report', (node?: Node, selected?: Node[]) => report(app, node, selected));
  command(app, context, 'export', async (node?: Node) => {
    const target = await runTarget(app, node, 'export');
    if (!target) return;
    const { root, run } = target;
    const checkpoint = node?.kind === 'checkpoint' ? node.checkpoint : null;
    const source = checkpoint?.id ?? run.id;
    const { formats } = await app.connection.request(exportFormats, { root, source });
    const what = `${plain(run.name)}${checkpoint ? ` at step ${integer(checkpoint.step)}` : ''}`;
    const chosen = await chooseFormat(formats, what);
    if (!chosen?.format) return;
    const { format, full } = chosen;
    const uri = await vscode.window.showSaveDialog({
      defaultUri: vscode.Uri.file(join(root, format.name)),
      title: `Export ${what} as ${format.format}`,
      saveLabel: 'Export',
    });
    if (!uri) return;
    // The dialog has already asked whether to replace an existing file.
    const force = existsSync(uri.fsPath);
    const params = { root, source, format: format.format, path: uri.fsPath, full, force, ...(await launchFrom(root)) };
    const result = await requestWithProgress(
      app.connection,
      `Exporting ${what} as ${format.format}`,
      exportWrite,
      params,
    );
    if (result) await showResult(result);
  });
}

/** Writes a report about the selected runs, which can be sent to somebody. */
async function report(app: App, node?: Node, selected?: Node[]): Promise<void> {
  const rows = selected && selected.length > 1 ? selected : [node];
  const targets: RunTarget[] = [];
  for (const row of rows) {
    const target = await runTarget(app, row, 'write a report about');
    if (!target) return;
    if (targets.length === 0 || target.root === targets[0]!.root) targets.push(target);
  }
  const { root, run } = targets[0]!;
  const what = targets.length === 1 ? plain(run.name) : counted(targets.length, 'run');
  const name = `${run.name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')}.html`;
  const uri = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.file(join(root, name)),
    title: `Report about ${what}`,
    saveLabel: 'Write Report',
  });
  if (!uri) return;
  const ids = targets.map(({ run: { id } }) => id);
  const page = await withProgress(`Writing a report about ${what}`, () => makeReport(app.connection, root, ids));
  await vscode.workspace.fs.writeFile(uri, Buffer.from(page));
  const text = `The report is one file of ${bytes(Buffer.byteLength(page))} that opens in any browser.`;
  if (await vscode.window.showInformationMessage(text, 'Open')) await vscode.env.openExternal(uri);
}

/** Entry of the format list; without a format it is a separator. */
interface FormatItem extends vscode.QuickPickItem {
  format?: ExportFormat;
  full?: boolean;
}

/** Formats that can hold any tensors, not only a model's. */
const TAKES_ALL = ['safetensors', 'npz'];

/** Asks for a format. Unavailable ones are listed with the reason; choosing one only shows a message. */
async function chooseFormat(formats: readonly ExportFormat[], what: string): Promise<FormatItem | undefined> {
  const can = formats.filter(({ unavailable }) => unavailable === null);
  const cannot = formats.filter(({ unavailable }) => unavailable !== null);
  const items: FormatItem[] = [
    ...can.flatMap((format) => [
      { label: format.format, description: plain(format.description), format },
      ...(TAKES_ALL.includes(format.format)
        ? [{ label: `${format.format}, full`, description: 'includes the optimizer’s tensors', format, full: true }]
        : []),
    ]),
    ...(cannot.length > 0 ? [{ label: 'Not available', kind: vscode.QuickPickItemKind.Separator }] : []),
    ...cannot.map((format) => ({
      label: `$(circle-slash) ${format.format}`,
      description: plain(format.unavailable!),
      format,
    })),
  ];
  const options = { title: `Export ${what}`, placeHolder: 'Choose a format', matchOnDescription: true };
  const chosen = await vscode.window.showQuickPick(items, options);
  if (!chosen?.format || chosen.format.unavailable === null) return chosen;
  const { format, unavailable } = chosen.format;
  void vscode.window.showInformationMessage(`${what} cannot be exported as ${format}: ${plain(unavailable)}.`);
  return undefined;
}

async function showResult({ path, files, parity, notes }: ExportResult): Promise<void> {
  const size = bytes(files.reduce((sum, file) => sum + file.bytes, 0));
  const close =
    parity === null
      ? ''
      : parity.largestDifference === null
        ? ` Not compared with the original model: ${plain(parity.why)}`
        : ` Largest difference from the original model: ${metric(parity.largestDifference)} over ${counted(parity.samples, 'sample')}.`;
  const text = `Exported ${plain(basename(path))}, ${size}.${close}${notes.length > 0 ? ` ${plain(notes.join(' '))}` : ''}`;
  if (!(await vscode.window.showInformationMessage(text, 'Show File'))) return;
  const uri = vscode.Uri.file(path);
  const isInside = vscode.workspace.getWorkspaceFolder(uri) !== undefined;
  await vscode.commands.executeCommand(isInside ? 'revealInExplorer' : 'revealFileInOS', uri);
}
