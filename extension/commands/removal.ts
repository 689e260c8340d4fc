/** Commands that delete: to the trash, out of it, and for good. */
import * as vscode from 'vscode';
import { type Removed, removeAll } from '../../pages/run-flows.ts';
import { projectWhere } from '../../protocol/messages/project.ts';
import { type KeptRun, storeGc, storeKept, storeTrash } from '../../protocol/messages/store.ts';
import { lossLines } from '../../protocol/trash-words.ts';
import { bytes, counted, integer } from '../../protocol/words.ts';
import type { App, Commands } from '../core/app.ts';
import { editorAsks } from '../core/asks.ts';
import { oneLine, plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { isLive, runTarget } from './targets.ts';

interface CleanUpItem extends vscode.QuickPickItem {
  act?(): Promise<void>;
}

export const removalCommands = { delete: deleteChosen, cleanUp } satisfies Commands;

async function deleteChosen(app: App, node?: Node, selected?: Node[]): Promise<void> {
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
  await removeAll(editorAsks, app.connection, removed);
}

async function cleanUp(app: App): Promise<void> {
  const root = await app.chooseRoot();
  if (!root) return;
  const { usage } = await app.connection.request(projectWhere, { root });
  const { runs } = await app.connection.request(storeKept, { root });
  const used = usage.objectsBytes - usage.freeBytes;
  const items: CleanUpItem[] = [
    {
      label: '$(clear-all) Free unused space',
      detail: `${bytes(usage.freeBytes)} are unused in the store file`,
      act: () => collect(app, root, false),
    },
    {
      label: '$(trash) Empty the trash as well…',
      detail: `${counted(usage.trashedCheckpoints, 'checkpoint')}, ${bytes(usage.trashBytes)} before deduplication, can still be restored`,
      act: () => emptyTrash(app, root),
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
      act: () => choose(app, root, run),
    })),
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title: `Clean up: ${bytes(used)} of ${bytes(usage.quotaBytes)} in ${counted(usage.checkpoints, 'checkpoint')}${usage.trashedCheckpoints > 0 ? ` and ${integer(usage.trashedCheckpoints)} in the trash` : ''}`,
    placeHolder: 'Free space, or choose a run to see its checkpoints (sizes before deduplication)',
    matchOnDescription: true,
    matchOnDetail: true,
  });
  await chosen?.act?.();
}

/** Shows what will be lost and asks first: it cannot be undone. */
async function emptyTrash(app: App, root: string): Promise<void> {
  const lost = lossLines(await app.connection.request(storeTrash, { root })).map(oneLine);
  if (lost.length > 0) {
    const options = { modal: true, detail: `${lost.join('\n')}\n\nThis cannot be undone.` };
    const chosen = await vscode.window.showWarningMessage('Empty the trash?', options, 'Delete');
    if (chosen !== 'Delete') return;
  }
  await collect(app, root, true);
}

async function collect(app: App, root: string, emptyTrash: boolean): Promise<void> {
  const title = 'Cleaning up';
  const report = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, () =>
    app.connection.request(storeGc, { root, emptyTrash }),
  );
  void vscode.window.showInformationMessage(
    `${counted(report.removedCheckpoints, 'checkpoint')} removed, ${bytes(report.returnedBytes)} freed.`,
  );
}

/** Lists a run's checkpoints with the reasons for keeping them; the chosen ones go to the trash. */
async function choose(app: App, root: string, { run, name }: KeptRun): Promise<void> {
  const [kept] = (await app.connection.request(storeKept, { root, run })).runs;
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
  await removeAll(
    editorAsks,
    app.connection,
    (chosen ?? []).map(({ removed }) => removed),
  );
}

/** Counts a run's checkpoints by reason for keeping them; one with several reasons counts for each. */
function whyKept({ checkpoints, more }: KeptRun): string {
  const counts = new Map<string, number>();
  for (const { reasons } of checkpoints)
    for (const reason of reasons.length > 0 ? reasons : ['not needed'])
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const words = [...counts].map(([reason, count]) => (count > 1 ? `${count} × ${reason}` : reason));
  return [...words, ...(more > 0 ? [`and ${counted(more, 'older one')}`] : [])].join('; ');
}
