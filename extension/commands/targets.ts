/** Finds the run or checkpoint of a command: the row it was called on, or one that is asked for. */
import * as vscode from 'vscode';
import { type Checkpoint, LIVE_STATUSES, type Run } from '../../protocol/domain.ts';
import { integer } from '../../protocol/words.ts';
import type { App } from '../core/app.ts';
import { lookOfCheckpoint, lookOfRun, plain, waitsForPerson } from '../core/text.ts';
import type { Node } from '../views/runs.ts';

export interface RunTarget {
  root: string;
  run: Run;
}

export interface CheckpointTarget extends RunTarget {
  checkpoint: Checkpoint;
}

export const isLive = (run: Run) => LIVE_STATUSES.includes(run.status);
export const isRunning = (run: Run) => run.status === 'running' || run.status === 'starting';
export const isResumable = (run: Run) => (!isLive(run) && run.checkpoints > 0) || waitsForPerson(run);

/** Returns the run of a command. Undefined: cancelled, or none fits, which is shown. */
export async function runTarget(
  app: App,
  node: Node | undefined,
  what: string,
  fits: (run: Run) => boolean = () => true,
): Promise<RunTarget | undefined> {
  if (node && 'root' in node) {
    const id = node.kind === 'run' ? node.id : node.kind === 'checkpoint' ? node.run : undefined;
    const run = id === undefined ? undefined : app.model.project(node.root)?.runs.get(id);
    if (run) return { root: node.root, run };
  }
  const candidates = app.model.projects.flatMap(({ project, runs }) =>
    [...runs.values()].filter(fits).map((run) => ({ root: project.root, run })),
  );
  candidates.sort((a, b) => b.run.createdAt - a.run.createdAt);
  if (candidates.length === 0) {
    void vscode.window.showInformationMessage(`There is no run to ${what}.`);
    return undefined;
  }
  if (candidates.length === 1) return candidates[0];
  const items = candidates.map((target) => {
    const look = lookOfRun(target.run, Date.now());
    return {
      label: `$(${look.icon}) ${plain(target.run.name)}`,
      description: plain(look.description),
      detail: target.run.branch === null ? undefined : plain(target.run.branch),
      target,
    };
  });
  const chosen = await vscode.window.showQuickPick(items, {
    title: `Trainstash: ${what}`,
    placeHolder: `Which run to ${what}`,
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return chosen?.target;
}

export async function checkpointTarget(
  app: App,
  node: Node | undefined,
  what: string,
): Promise<CheckpointTarget | undefined> {
  const target = await runTarget(app, node, what, (run) => run.checkpoints > 0);
  if (!target) return undefined;
  if (node?.kind === 'checkpoint') return { ...target, checkpoint: node.checkpoint };
  const checkpoints = await app.model.loadCheckpoints(target.root, target.run.id, true);
  const items = checkpoints.map((checkpoint) => {
    const look = lookOfCheckpoint(checkpoint, target.run, Date.now());
    return {
      label: `$(${look.icon}) step ${integer(checkpoint.step)}`,
      description: plain(look.description),
      checkpoint,
    };
  });
  const chosen = await vscode.window.showQuickPick(items, {
    title: `${plain(target.run.name)}: ${what}`,
    placeHolder: `Which checkpoint to ${what}`,
    matchOnDescription: true,
  });
  return chosen && { ...target, checkpoint: chosen.checkpoint };
}
