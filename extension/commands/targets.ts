/** Finds the run or checkpoint of a command: the row it was called on, or one that is asked for. */
import * as vscode from 'vscode';
import { bestOf } from '../../pages/run-facts.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { integer } from '../../protocol/words.ts';
import type { App } from '../core/app.ts';
import type { ProjectMirror } from '../core/model.ts';
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
  const known = app.model.projects.flatMap(({ project, runs }) =>
    [...runs.values()].filter(fits).map((run) => ({ root: project.root, run })),
  );
  // Without a second one among the newest there may be older ones, which the list would find.
  const hasOlder = app.model.projects.some((mirror) => mirror.runs.size < totalOf(mirror));
  if (known.length === 0 && !hasOlder) {
    void vscode.window.showInformationMessage(`There is no run to ${what}.`);
    return undefined;
  }
  if (known.length === 1 && !hasOlder) return known[0];
  return (await pickRuns(app, { title: `Trainstash: ${what}`, placeHolder: `Which run to ${what}`, fits }))?.[0];
}

function totalOf({ branches }: ProjectMirror): number {
  return branches.reduce((sum, { runs }) => sum + runs, 0);
}

interface RunItem extends vscode.QuickPickItem {
  target: RunTarget;
}

interface PickOptions {
  title: string;
  placeHolder: string;
  fits(run: Run): boolean;
  /** Project whose runs are listed; absent: all of the window. */
  root?: string;
  /** True if several may be chosen. */
  many?: boolean;
}

/** Asks for runs of all branches. The list opens with those that are loaded, and the others join it. */
export function pickRuns(app: App, options: PickOptions): Promise<RunTarget[] | undefined> {
  const list = vscode.window.createQuickPick<RunItem>();
  const { fits, root: only, many = false } = options;
  Object.assign(list, { title: options.title, placeholder: options.placeHolder, canSelectMany: many });
  list.matchOnDescription = true;
  list.matchOnDetail = true;
  const items = new Map<string, RunItem>();
  const projects = app.model.projects.filter(({ project }) => only === undefined || project.root === only);
  const add = (root: string, runs: Iterable<Run>) => {
    for (const run of runs) if (!items.has(run.id) && fits(run)) items.set(run.id, itemOf(root, run));
  };
  const show = () => {
    const chosen = list.selectedItems;
    list.items = [...items.values()].sort((a, b) => b.target.run.createdAt - a.target.run.createdAt);
    if (many) list.selectedItems = chosen;
  };
  for (const { project, runs } of projects) add(project.root, runs.values());
  show();
  return new Promise((resolve) => {
    let open = true;
    list.onDidAccept(() => {
      const chosen = many ? list.selectedItems : list.activeItems;
      resolve(chosen.map(({ target }) => target));
      list.hide();
    });
    list.onDidHide(() => {
      open = false;
      resolve(undefined);
      list.dispose();
    });
    list.show();
    list.busy = true;
    const load = async () => {
      for (const { project } of projects)
        for await (const runs of app.model.everyRun(project.root)) {
          if (!open) return;
          add(project.root, runs);
        }
      if (!open) return;
      list.busy = false;
      // Another list would move the row that somebody has gone to.
      if (items.size > list.items.length) show();
    };
    load().catch((error) => {
      // Those that are loaded stay in the list.
      app.log.warn((error as Error).message);
      if (open) list.busy = false;
    });
  });
}

function itemOf(root: string, run: Run): RunItem {
  const look = lookOfRun(run, Date.now());
  return {
    label: `$(${look.icon}) ${plain(run.name)}`,
    description: plain(look.description),
    ...(run.branch === null ? {} : { detail: plain(run.branch) }),
    target: { root, run },
  };
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
  const best = bestOf(checkpoints, target.run.monitor);
  const items = checkpoints.map((checkpoint) => {
    const look = lookOfCheckpoint(checkpoint, target.run, Date.now(), checkpoint === best);
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
