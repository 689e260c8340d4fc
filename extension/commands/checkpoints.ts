/** Commands for one checkpoint: tags, the proof, its files and its code. */
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { checkpointRestore, checkpointTag, checkpointVerify } from '../../protocol/messages/checkpoint.ts';
import { codeRestore } from '../../protocol/messages/diff.ts';
import { bytes, counted, integer } from '../../protocol/words.ts';
import { type App, type Commands, environment } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { checkpointTarget, runTarget } from './targets.ts';

export const checkpointCommands = { tag, untag, verify, restoreFiles, restoreCode } satisfies Commands;

async function tag(app: App, node?: Node): Promise<void> {
  const target = await checkpointTarget(app, node, 'tag');
  if (!target) return;
  const tag = await vscode.window.showInputBox({
    title: `Tag step ${integer(target.checkpoint.step)} of ${plain(target.run.name)}`,
    prompt: 'Tagged checkpoints are never deleted automatically.',
    validateInput: (value) => (/[\s@]/.test(value) ? 'A tag contains no spaces and no @' : null),
  });
  if (tag) await app.connection.request(checkpointTag, { root: target.root, checkpoint: target.checkpoint.id, tag });
}

async function untag(app: App, node?: Node): Promise<void> {
  const target = await checkpointTarget(app, node, 'remove a tag from');
  if (!target) return;
  const { tags, id } = target.checkpoint;
  const tag = tags.length > 1 ? await chooseTag(tags) : tags[0];
  if (tag) await app.connection.request(checkpointTag, { root: target.root, checkpoint: id, tag, remove: true });
}

async function verify(app: App, node?: Node): Promise<void> {
  const target = await checkpointTarget(app, node, 'verify');
  if (!target) return;
  const title = `Replaying ${plain(target.run.name)} from step ${integer(target.checkpoint.step)}`;
  const { proof } = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, () =>
    app.connection.request(checkpointVerify, {
      root: target.root,
      checkpoint: target.checkpoint.id,
      environment: environment(),
    }),
  );
  const at = `step ${integer(target.checkpoint.step)}`;
  if (proof.verdict === 'equal')
    void vscode.window.showInformationMessage(
      `Verified: ${counted(proof.steps, 'step')} from ${at} were recomputed bit for bit.`,
    );
  else
    void vscode.window.showWarningMessage(
      proof.verdict === 'state missing'
        ? `Two replays from ${at} match each other but not the record: the checkpoint lacks part of the state.`
        : `Two replays from ${at} differ: the training is not deterministic on this device.`,
    );
}

async function restoreFiles(app: App, node?: Node): Promise<void> {
  const target = await checkpointTarget(app, node, 'restore the files of');
  if (!target) return;
  const step = integer(target.checkpoint.step);
  const parent = await askFolder(target.root, `Restore step ${step} into a new folder in…`);
  if (!parent) return;
  const directory = join(parent, `checkpoint-${target.checkpoint.step}-${target.checkpoint.id.slice(0, 6)}`);
  const title = `Restoring step ${step}`;
  const restored = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, () =>
    app.connection.request(checkpointRestore, { root: target.root, checkpoint: target.checkpoint.id, directory }),
  );
  const text = `${bytes(restored.bytes)} restored and verified.`;
  if (await vscode.window.showInformationMessage(text, 'Show Folder'))
    await vscode.commands.executeCommand('revealInExplorer', vscode.Uri.file(restored.directory));
}

async function restoreCode(app: App, node?: Node): Promise<void> {
  const target = await runTarget(app, node, 'restore the code of', ({ code }) => code !== null);
  if (!target) return;
  const source = node?.kind === 'checkpoint' ? node.checkpoint.id : target.run.id;
  // Beside the repository: inside it the copy would be part of its next snapshot.
  const parent = await askFolder(
    dirname(target.root),
    `Write the code of ${plain(target.run.name)} into a new folder in…`,
  );
  if (!parent) return;
  const name = `${target.run.name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')}-${target.run.code!.slice(0, 7)}`;
  const restored = await app.connection.request(codeRestore, {
    root: target.root,
    source,
    directory: join(parent, name),
  });
  const left = restored.leftOut.length;
  const text = `${counted(restored.files, 'file')} in ${plain(restored.directory)}.${left > 0 ? ` ${counted(left, 'other was', 'others were')} too large for the snapshot.` : ''}`;
  if (await vscode.window.showInformationMessage(text, 'Open in a New Window'))
    await vscode.commands.executeCommand('vscode.openFolder', vscode.Uri.file(restored.directory), true);
}

async function chooseTag(tags: readonly string[]): Promise<string | undefined> {
  const items = tags.map((tag) => ({ label: plain(tag), tag }));
  return (await vscode.window.showQuickPick(items, { title: 'Remove which tag?' }))?.tag;
}

async function askFolder(start: string, title: string): Promise<string | undefined> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectFiles: false,
    canSelectFolders: true,
    defaultUri: vscode.Uri.file(start),
    openLabel: 'Restore Here',
    title,
  });
  return chosen?.[0]?.fsPath;
}
