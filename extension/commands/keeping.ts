/** Commands for what is kept: names, notes, tags, files, the trash, the store. */
import { join } from 'node:path';
import * as vscode from 'vscode';
import { isError } from '../../protocol/errors.ts';
import * as m from '../../protocol/messages.ts';
import { lossLines } from '../../protocol/trash-words.ts';
import { bytes, counted, integer } from '../../protocol/words.ts';
import { type App, command, environment, openAt } from '../app.ts';
import { oneLine, plain } from '../text.ts';
import { showLog } from '../views/log-terminal.ts';
import type { Node } from '../views/runs.ts';
import { checkpointTarget, isLive, runTarget } from './targets.ts';

interface Removed {
  root: string;
  target: string;
  name: string;
}

interface CleanUpItem extends vscode.QuickPickItem {
  act?(): Promise<void>;
}

export function registerKeeping(
  app: App,
  context: vscode.ExtensionContext,
  views: { markSeen(run: string): void },
): void {
  const { connection } = app;
  const on = (name: string, run: (...args: never[]) => unknown) => command(app, context, name, run);

  on('log', async (node?: Node) => {
    const target = await runTarget(app, node, 'show the log of');
    if (!target) return;
    views.markSeen(target.run.id);
    showLog(connection, target.root, target.run);
  });

  on('rename', async (node?: Node) => {
    const target = await runTarget(app, node, 'rename');
    if (!target) return;
    const name = await vscode.window.showInputBox({ title: 'Name of the run', value: target.run.name });
    if (name?.trim()) await connection.request(m.runUpdate, { root: target.root, run: target.run.id, name });
  });

  on('note', async (node?: Node) => {
    const target = await runTarget(app, node, 'write a note to');
    if (!target) return;
    const title = `Note to ${plain(target.run.name)}`;
    const note = await vscode.window.showInputBox({ title, value: target.run.note });
    if (note !== undefined) await connection.request(m.runUpdate, { root: target.root, run: target.run.id, note });
  });

  on('copyId', async (node: Node) => {
    const id = node.kind === 'checkpoint' ? node.checkpoint.id : node.kind === 'run' ? node.id : '';
    if (id) await vscode.env.clipboard.writeText(id);
  });

  on('tag', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'tag');
    if (!target) return;
    const tag = await vscode.window.showInputBox({
      title: `Tag step ${integer(target.checkpoint.step)} of ${plain(target.run.name)}`,
      prompt: 'Tagged checkpoints are never deleted automatically.',
      validateInput: (value) => (/[\s@]/.test(value) ? 'A tag contains no spaces and no @' : null),
    });
    if (tag) await connection.request(m.checkpointTag, { root: target.root, checkpoint: target.checkpoint.id, tag });
  });

  on('untag', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'remove a tag from');
    if (!target) return;
    const { tags, id } = target.checkpoint;
    const tag = tags.length > 1 ? await chooseTag(tags) : tags[0];
    if (tag) await connection.request(m.checkpointTag, { root: target.root, checkpoint: id, tag, remove: true });
  });

  on('verify', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'verify');
    if (!target) return;
    const title = `Replaying ${plain(target.run.name)} from step ${integer(target.checkpoint.step)}`;
    const { proof } = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, () =>
      connection.request(m.checkpointVerify, {
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
  });

  on('restoreFiles', async (node?: Node) => {
    const target = await checkpointTarget(app, node, 'restore the files of');
    if (!target) return;
    const step = integer(target.checkpoint.step);
    const parent = await askFolder(target.root, `Restore step ${step} into a new folder in…`);
    if (!parent) return;
    const directory = join(parent, `checkpoint-${target.checkpoint.step}-${target.checkpoint.id.slice(0, 6)}`);
    const title = `Restoring step ${step}`;
    const restored = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, () =>
      connection.request(m.checkpointRestore, { root: target.root, checkpoint: target.checkpoint.id, directory }),
    );
    const text = `${bytes(restored.bytes)} restored and verified.`;
    if (await vscode.window.showInformationMessage(text, 'Show Folder'))
      await vscode.commands.executeCommand('revealInExplorer', vscode.Uri.file(restored.directory));
  });

  on('restoreCode', async (node?: Node) => {
    const target = await runTarget(app, node, 'restore the code of', ({ code }) => code !== null);
    if (!target) return;
    const source = node?.kind === 'checkpoint' ? node.checkpoint.id : target.run.id;
    const parent = await askFolder(target.root, `Write the code of ${plain(target.run.name)} into a new folder in…`);
    if (!parent) return;
    const name = `${target.run.name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')}-${target.run.code!.slice(0, 7)}`;
    const restored = await connection.request(m.codeRestore, {
      root: target.root,
      source,
      directory: join(parent, name),
    });
    const left = restored.leftOut.length;
    const text = `${counted(restored.files, 'file')} in ${plain(restored.directory)}.${left > 0 ? ` ${counted(left, 'other was', 'others were')} too large for the snapshot.` : ''}`;
    if (await vscode.window.showInformationMessage(text, 'Open in a New Window'))
      await vscode.commands.executeCommand('vscode.openFolder', vscode.Uri.file(restored.directory), true);
  });

  on('delete', async (node?: Node, selected?: Node[]) => {
    const nodes = selected && selected.length > 1 ? selected : [node];
    const removed: Removed[] = [];
    for (const each of nodes) {
      if (each?.kind === 'checkpoint') {
        const { id, step } = each.checkpoint;
        removed.push({ root: each.root, target: id, name: `step ${integer(step)}` });
      } else {
        const target = await runTarget(app, each, 'delete', (run) => !isLive(run));
        if (target) removed.push({ root: target.root, target: target.run.id, name: target.run.name });
      }
    }
    await remove(removed);
  });

  const remove = async (removed: readonly Removed[]) => {
    for (const { root, target } of removed) await connection.request(m.runRemove, { root, target });
    if (removed.length === 0) return;
    const what = removed.length === 1 ? plain(removed[0]!.name) : counted(removed.length, 'entry', 'entries');
    const text = `${what} moved to the trash. You can undo this for ${m.TRASH_DAYS} days.`;
    if (!(await vscode.window.showInformationMessage(text, 'Undo'))) return;
    const lost = await bringBack(removed);
    // The message may stay open for long: the trash may have been emptied in the meantime.
    if (lost.length > 0)
      void vscode.window.showWarningMessage(
        `${plain(lost.join(', '))} cannot be restored: the trash was emptied since, or it was restored already.`,
      );
  };

  /** Restores items from the trash. Returns the names of those that are no longer in it. */
  const bringBack = async (removed: readonly Removed[]): Promise<string[]> => {
    const lost: string[] = [];
    for (const { root, target, name } of removed) {
      try {
        await connection.request(m.runRemove, { root, target, undo: true });
      } catch (error) {
        if (!isError(error, 'notFound')) throw error;
        lost.push(name);
      }
    }
    return lost;
  };

  on('cleanUp', async () => {
    const root = await app.chooseRoot();
    if (!root) return;
    const { usage } = await connection.request(m.projectWhere, { root });
    const { runs } = await connection.request(m.storeKept, { root });
    const used = usage.objectsBytes - usage.freeBytes;
    const items: CleanUpItem[] = [
      {
        label: '$(clear-all) Free unused space',
        detail: `${bytes(usage.freeBytes)} are unused in the store file`,
        act: () => collect(root, false),
      },
      {
        label: '$(trash) Empty the trash as well…',
        detail: `${counted(usage.trashedCheckpoints, 'checkpoint')}, ${bytes(usage.trashBytes)} before deduplication, can still be restored`,
        act: () => emptyTrash(root),
      },
      { label: 'Kept checkpoints by run, the largest first', kind: vscode.QuickPickItemKind.Separator },
      ...runs.map((run) => ({
        label: `$(list-tree) ${plain(run.name)}`,
        description: [
          run.branch && plain(run.branch),
          counted(run.checkpoints.length + run.more, 'checkpoint'),
          bytes(run.bytes),
        ]
          .filter(Boolean)
          .join(' · '),
        detail: plain(whyKept(run)),
        act: () => choose(root, run),
      })),
    ];
    const chosen = await vscode.window.showQuickPick(items, {
      title: `Clean up: ${bytes(used)} of ${bytes(usage.quotaBytes)} in ${counted(usage.checkpoints, 'checkpoint')}${usage.trashedCheckpoints > 0 ? ` and ${integer(usage.trashedCheckpoints)} in the trash` : ''}`,
      placeHolder: 'Free space, or choose a run to see its checkpoints (sizes before deduplication)',
      matchOnDescription: true,
      matchOnDetail: true,
    });
    await chosen?.act?.();
  });

  /** Shows what will be lost and asks first: it cannot be undone. */
  const emptyTrash = async (root: string) => {
    const lost = lossLines(await connection.request(m.storeTrash, { root })).map(oneLine);
    if (lost.length > 0) {
      const options = { modal: true, detail: `${lost.join('\n')}\n\nThis cannot be undone.` };
      const chosen = await vscode.window.showWarningMessage('Empty the trash?', options, 'Delete');
      if (chosen !== 'Delete') return;
    }
    await collect(root, true);
  };

  const collect = async (root: string, emptyTrash: boolean) => {
    const title = 'Cleaning up';
    const report = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, () =>
      connection.request(m.storeGc, { root, emptyTrash }),
    );
    void vscode.window.showInformationMessage(
      `${counted(report.removedCheckpoints, 'checkpoint')} removed, ${bytes(report.returnedBytes)} freed.`,
    );
  };

  /** Lists a run's checkpoints with the reasons for keeping them; the chosen ones go to the trash. */
  const choose = async (root: string, { run, name }: m.KeptRun) => {
    const [kept] = (await connection.request(m.storeKept, { root, run })).runs;
    const { checkpoints } = kept ?? { checkpoints: [] };
    const items = [...checkpoints].reverse().map(({ checkpoint, reasons }) => ({
      label: `step ${integer(checkpoint.step)}`,
      description: bytes(checkpoint.bytes),
      detail: plain(reasons.join('; ') || 'not needed: removed when there are newer ones'),
      removed: { root, target: checkpoint.id, name: `step ${integer(checkpoint.step)}` },
    }));
    const chosen = await vscode.window.showQuickPick(items, {
      title: `${plain(name)}: delete checkpoints`,
      placeHolder: 'Choose checkpoints to move to the trash (can be undone for 7 days)',
      canPickMany: true,
      matchOnDetail: true,
    });
    await remove((chosen ?? []).map(({ removed }) => removed));
  };

  on('init', async () => {
    const folder = await chooseFolder();
    if (!folder) return;
    await app.model.open(folder, vscode.workspace.isTrusted, true);
    const { config } = await connection.request(m.projectInit, { root: folder });
    await openAt(config);
  });

  on('keepAsJob', async (node?: Node) => {
    const target = await runTarget(app, node, 'keep as a job', ({ command }) => command !== null);
    if (!target) return;
    const { root, run } = target;
    const name = await vscode.window.showInputBox({
      title: `Keep the command of ${plain(run.name)} as a job`,
      prompt: plain(run.command!.words.join(' ')),
      value: run.job,
    });
    if (!name) return;
    const { config } = await connection.request(m.jobKeep, { root, run: run.id, name });
    await openAt(config);
  });

  on('openConfig', async () => {
    const root = await app.chooseRoot();
    if (!root) return;
    const { config } = await connection.request(m.projectInit, { root });
    await openAt(config);
  });
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

/** Counts a run's checkpoints by reason for keeping them; one with several reasons counts for each. */
function whyKept({ checkpoints, more }: m.KeptRun): string {
  const counts = new Map<string, number>();
  for (const { reasons } of checkpoints)
    for (const reason of reasons.length > 0 ? reasons : ['not needed'])
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const words = [...counts].map(([reason, count]) => (count > 1 ? `${count} × ${reason}` : reason));
  return [...words, ...(more > 0 ? [`and ${counted(more, 'older one')}`] : [])].join('; ');
}

async function chooseFolder(): Promise<string | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  if (folders.length <= 1) return folders[0]?.uri.fsPath;
  return (await vscode.window.showWorkspaceFolderPick())?.uri.fsPath;
}
